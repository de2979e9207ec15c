/* cli_input.c - buffered input. */
#include "cli_input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli_mem.h"
#include "cli_signals.h"

enum { READ_BYTES = 256 * 1024 }; /* room for one read */

int cli_input_open(struct cli_input *in, const char *path)
{
    struct stat st;
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    in->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0)
        return errno;
    in->name = is_stdin ? "stdin" : path;
    in->is_file = fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode);
    in->is_eof = false;
    in->err = 0;
    in->start = 0;
    in->end = 0;
    return 0;
}

void cli_input_close(struct cli_input *in)
{
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    in->fd = -1;
}

void cli_input_free(struct cli_input *in)
{
    free(in->data);
    memset(in, 0, sizeof(*in));
    in->fd = -1;
}

static bool is_readable(const struct cli_input *in)
{
    struct pollfd pollfd = {in->fd, POLLIN, 0};
    return in->is_file || poll(&pollfd, 1, 0) > 0;
}

static void make_room(struct cli_input *in)
{
    if (in->start > 0 && in->cap - in->end < READ_BYTES) {
        memmove(in->data, in->data + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    cli_grow(&in->data, &in->cap, in->end + READ_BYTES, 1);
}

enum cli_fill cli_input_fill(struct cli_input *in, bool block)
{
    if (in->is_eof)
        return CLI_FILL_EOF;
    make_room(in);
    for (;;) {
        if (cli_signal() != 0)
            return CLI_FILL_SIGNAL;
        if (!block && !is_readable(in))
            return CLI_FILL_BLOCKED;
        ssize_t got = read(in->fd, in->data + in->end, in->cap - in->end);
        if (got > 0) {
            in->end += (size_t)got;
            return CLI_FILL_DATA;
        }
        if (got == 0) {
            in->is_eof = true;
            return CLI_FILL_EOF;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!block)
                return CLI_FILL_BLOCKED;
            cli_input_wait(in, 1000000000);
        } else if (errno != EINTR) {
            in->err = errno;
            return CLI_FILL_ERROR;
        }
    }
}

void cli_input_wait(const struct cli_input *in, uint64_t timeout_ns)
{
    struct pollfd pollfd = {in->fd, POLLIN, 0};
    struct timespec timeout = {
        (time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    ppoll(&pollfd, 1, &timeout, NULL);
}
