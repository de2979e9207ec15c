/* cli_out.c - buffered stdout. */
#include "cli_out.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_mem.h"

void cli_out_free(struct cli_out *out)
{
    free(out->data);
    memset(out, 0, sizeof(*out));
}

void cli_out_bytes(struct cli_out *out, const void *data, size_t len)
{
    if (len == 0)
        return;
    cli_grow(&out->data, &out->cap, out->len + len, 1);
    memcpy(out->data + out->len, data, len);
    out->len += len;
}

void cli_out_text(struct cli_out *out, const char *text)
{
    cli_out_bytes(out, text, strlen(text));
}

void cli_out_char(struct cli_out *out, char c)
{
    cli_out_bytes(out, &c, 1);
}

void cli_out_u64(struct cli_out *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    cli_out_bytes(out, digits + at, sizeof(digits) - at);
}

void cli_out_format(struct cli_out *out, const char *format, ...)
{
    char text[1024];
    va_list va;
    va_start(va, format);
    int len = vsnprintf(text, sizeof(text), format, va);
    va_end(va);
    if (len > 0) {
        size_t kept =
            (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
        cli_out_bytes(out, text, kept);
    }
}

int64_t cli_out_write(const char *data, size_t len)
{
    ssize_t written = write(STDOUT_FILENO, data, len);
    if (written >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        return written;
    /* Somebody we share stdout with made it non-blocking. */
    struct pollfd pollfd = {STDOUT_FILENO, POLLOUT, 0};
    if (poll(&pollfd, 1, -1) < 0)
        return -1;
    errno = EINTR;
    return -1;
}

int cli_out_failed(int err)
{
    if (err == EPIPE || err == EBADF)
        return CLI_PIPE;
    return cli_fail_errno(
        err, "standard output", "give it a place that takes the data");
}

int cli_out_flush(struct cli_out *out)
{
    size_t done = 0;
    while (done < out->len) {
        int64_t written = cli_out_write(out->data + done, out->len - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            out->len = 0; /* a second try would tell the failure twice */
            return cli_out_failed(errno);
        }
        done += (size_t)written;
    }
    out->len = 0;
    return CLI_DONE;
}

bool cli_out_is_closed(void)
{
    struct pollfd pollfd = {STDOUT_FILENO, 0, 0};
    if (poll(&pollfd, 1, 0) <= 0)
        return false;
    return (pollfd.revents & (POLLERR | POLLNVAL)) != 0;
}
