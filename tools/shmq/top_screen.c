/* top_screen.c - redraws a terminal.
 *
 * The alternate screen is used, so that what was there before comes back.
 * Every draw asks for the window's size anew and cuts what does not fit: a
 * line is never wrapped, the screen never scrolls. */
#include "top.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS = 80, ROWS = 24 };

static volatile sig_atomic_t resized;
static bool begun;

static void on_resize(int sig)
{
    (void)sig;
    resized = 1;
}

bool top_screen_possible(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term != NULL && term[0] != '\0' &&
        strcmp(term, "dumb") != 0;
}

static void put(const char *text)
{
    struct cli_out out = {NULL, 0, 0};
    cli_out_text(&out, text);
    (void)cli_out_flush(&out);
    cli_out_free(&out);
}

void top_screen_begin(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_resize;
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    put("\x1b[?1049h\x1b[?25l\x1b[2J");
    begun = true;
}

void top_screen_end(void)
{
    if (begun)
        put("\x1b[?25h\x1b[?1049l");
    begun = false;
}

bool top_screen_resized(void)
{
    bool was = resized != 0;
    resized = 0;
    return was;
}

static void window(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *ret_columns = known && size.ws_col > 0 ? size.ws_col : COLUMNS;
    *ret_rows = known && size.ws_row > 0 ? size.ws_row : ROWS;
}

/* Each line is erased behind its end, the rest of the screen below the last. */
int top_screen_draw(const struct cli_out *text)
{
    struct cli_out out = {NULL, 0, 0};
    size_t columns, rows, at = 0;
    window(&columns, &rows);
    cli_out_text(&out, "\x1b[H");
    for (size_t row = 0; row < rows && at < text->len; row++) {
        const char *line = text->data + at;
        const char *end = memchr(line, '\n', text->len - at);
        size_t len = end != NULL ? (size_t)(end - line) : text->len - at;
        if (row > 0)
            cli_out_text(&out, "\r\n");
        cli_out_bytes(&out, line, len < columns ? len : columns);
        if (len < columns)
            cli_out_text(&out, "\x1b[K");
        at += len + 1;
    }
    cli_out_text(&out, "\x1b[J");
    int status = cli_out_flush(&out);
    cli_out_free(&out);
    return status;
}
