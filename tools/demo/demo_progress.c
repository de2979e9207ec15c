/* demo_progress.c - what is said while the work goes on. In a terminal there
 * is one line that changes; events scroll past above it. */
#include "demo.h"

#include <stdarg.h>
#include <unistd.h>

static uint64_t shown_ns;

const char *demo_count(uint64_t n)
{
    static char ring[8][32];
    static unsigned turn;
    char *text = ring[turn++ % 8];
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    int at = 0;
    for (int i = 0; i < len; i++) {
        text[at++] = digits[i];
        if (i + 1 < len && (len - i - 1) % 3 == 0)
            text[at++] = ',';
    }
    text[at] = '\0';
    return text;
}

const char *demo_time(uint64_t ns)
{
    static char ring[8][32];
    static unsigned turn;
    char *text = ring[turn++ % 8];
    if (ns < 1000)
        snprintf(text, 32, "%llu ns", (unsigned long long)ns);
    else if (ns < 100 * 1000)
        snprintf(text, 32, "%.1f us", (double)ns / 1e3);
    else if (ns < 100 * DEMO_MS)
        snprintf(text, 32, "%.2f ms", (double)ns / 1e6);
    else
        snprintf(text, 32, "%.2f s", (double)ns / 1e9);
    return text;
}

static FILE *stream_of(const struct demo_run *run)
{
    return run->options.json ? stderr : stdout;
}

void demo_say(const struct demo_run *run, const char *format, ...)
{
    FILE *stream = stream_of(run);
    va_list args;
    if (run->options.quiet)
        return;
    if (shown_ns != 0)
        fputs("\r\033[K", stream);
    shown_ns = 0;
    fprintf(
        stream, "  %7.3f s  ", (double)(demo_now_ns() - run->start_ns) / 1e9);
    va_start(args, format);
    vfprintf(stream, format, args);
    va_end(args);
    fflush(stream);
}

void demo_progress(const struct demo_run *run)
{
    FILE *stream = stream_of(run);
    uint64_t now_ns = demo_now_ns();
    if (run->options.quiet || now_ns - shown_ns < 100 * DEMO_MS ||
        !isatty(fileno(stream)))
        return;
    shown_ns = now_ns;
    uint64_t all =
        run->line_cnt + run->streams[run->options.producers].line_cnt;
    uint64_t published = demo_published(run);
    fprintf(stream,
        "\r\033[K  %7.3f s  %3u %%  published %s  archive %s  workers %s",
        (double)(now_ns - run->start_ns) / 1e9,
        (unsigned)(published * 100 / all), demo_count(published),
        demo_count(demo_received(run, DEMO_ARCHIVE)),
        demo_count(demo_received(run, DEMO_WORKERS)));
    fflush(stream);
}
