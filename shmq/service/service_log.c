/* service_log.c - lines on stderr. */
#include "service_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1024, LINE_MAX_BYTES = 2048 };

static const char *log_program = "shmq";
static bool log_json;
static bool log_to_journal;
static enum shmqs_level log_least = SHMQS_INFO;
static atomic_uint_fast64_t log_dropped;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* stderr is the journal when JOURNAL_STREAM names its device and inode. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char mine[64];
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)st.st_dev,
        (uintmax_t)st.st_ino);
    return strcmp(mine, stream) == 0;
}

/* Else the first file opened gets the number of a stream that is closed, and
 * log lines go into it. */
static void open_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF)
            continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) < 0)
            _exit(1);
    }
}

void shmqs_log_open(
    const char *program, bool json, enum shmqs_level least_important)
{
    open_streams();
    log_program = program;
    log_json = json;
    log_least = least_important;
    log_to_journal = stderr_is_journal();
}

/* A line being put together; what does not fit is cut off. */
struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
};

static void add_char(struct line *line, char c)
{
    if (line->len < sizeof(line->bytes) - 3) /* room for "} and LF */
        line->bytes[line->len++] = c;
}

static void add_text(struct line *line, const char *text)
{
    for (; *text != '\0'; text++)
        add_char(line, *text);
}

/* Length of the UTF-8 sequence at `p`, or 0 when it is none. */
static size_t utf8_len(const unsigned char *p)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {
        {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    if (p[0] < 0x80)
        return 1;
    for (size_t i = 0; i < 3; i++) {
        if ((p[0] & forms[i].mask) != forms[i].lead)
            continue;
        uint32_t code = p[0] & (unsigned char)~forms[i].mask;
        for (size_t k = 1; k <= i + 1; k++) {
            if ((p[k] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (p[k] & 0x3f);
        }
        bool surrogate = code >= 0xd800 && code < 0xe000;
        return code >= forms[i].least && code <= 0x10ffff && !surrogate ? i + 2
                                                                        : 0;
    }
    return 0;
}

static void add_escaped(struct line *line, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    while (*p != '\0') {
        size_t len = utf8_len(p);
        /* Neither a character nor an escape is cut in the middle. */
        if (line->len + sizeof("\\u0000") >= sizeof(line->bytes) - 3)
            return;
        if (len == 0) {
            add_char(line, '?');
            p++;
        } else if (*p < 0x20 || *p == 0x7f) {
            char code[8];
            snprintf(code, sizeof(code), log_json ? "\\u%04x" : "\\x%02x", *p);
            add_text(line, code);
            p++;
        } else {
            if (log_json && (*p == '"' || *p == '\\'))
                add_char(line, '\\');
            for (size_t k = 0; k < len; k++)
                add_char(line, (char)p[k]);
            p += len;
        }
    }
}

static void add_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char text[48];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(
        text + len, sizeof(text) - len, ".%03dZ", (int)(now.tv_nsec / 1000000));
    add_text(line, text);
}

static void write_json(struct line *line, enum shmqs_level level,
    const char *key, const char *value, const char *message)
{
    char pid[24];
    add_text(line, "{\"time\":\"");
    add_time(line);
    add_text(line, "\",\"level\":\"");
    add_text(line, level_names[level]);
    add_text(line, "\",\"program\":\"");
    add_escaped(line, log_program);
    snprintf(pid, sizeof(pid), "\",\"pid\":%d", (int)getpid());
    add_text(line, pid);
    if (key != NULL) {
        add_text(line, ",\"");
        add_escaped(line, key);
        add_text(line, "\":\"");
        add_escaped(line, value);
        add_char(line, '"');
    }
    add_text(line, ",\"message\":\"");
    add_escaped(line, message);
    memcpy(line->bytes + line->len, "\"}", 2);
    line->len += 2;
}

static void write_text(struct line *line, enum shmqs_level level,
    const char *key, const char *value, const char *message)
{
    static const char *const prefixes[] = {"<3>", "<4>", "<6>", "<7>"};
    if (log_to_journal) {
        add_text(line, prefixes[level]);
    } else {
        add_time(line);
        add_char(line, ' ');
        add_text(line, level_names[level]);
        add_char(line, ' ');
    }
    if (key != NULL) {
        add_escaped(line, key);
        add_char(line, '=');
        add_escaped(line, value);
        add_text(line, ": ");
    }
    add_escaped(line, message);
}

/* A pipe that polls writable takes PIPE_BUF bytes at once; a socket is asked
 * not to wait. */
static bool put_line(const char *bytes, size_t len)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0)
        return false;
    ssize_t sent = send(STDERR_FILENO, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        sent = write(STDERR_FILENO, bytes, len);
    return sent == (ssize_t)len;
}

static void emit(enum shmqs_level level, const char *key, const char *value,
    const char *message)
{
    struct line line;
    line.len = 0;
    if (log_json)
        write_json(&line, level, key, value, message);
    else
        write_text(&line, level, key, value, message);
    line.bytes[line.len++] = '\n';
    if (!put_line(line.bytes, line.len))
        atomic_fetch_add(&log_dropped, 1);
}

__attribute__((format(printf, 4, 0))) static void log_line(
    enum shmqs_level level, const char *key, const char *value,
    const char *format, va_list args)
{
    char message[MESSAGE_MAX];
    if (level > log_least)
        return;
    uint_fast64_t dropped = atomic_exchange(&log_dropped, 0);
    if (dropped != 0) {
        snprintf(message, sizeof(message),
            "%" PRIuFAST64 " lines before this one were lost: stderr is not "
            "being read",
            dropped);
        emit(SHMQS_WARNING, NULL, NULL, message);
    }
    vsnprintf(message, sizeof(message), format, args);
    emit(level, key, value, message);
}

void shmqs_log(enum shmqs_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(level, NULL, NULL, format, args);
    va_end(args);
}

void shmqs_log_about(enum shmqs_level level, const char *key, const char *value,
    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(level, key, value, format, args);
    va_end(args);
}
