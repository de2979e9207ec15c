/* cli_input.h - reads a file or stdin into a buffer, and tells when it would
 * block. */
#ifndef SHMQ_CLI_INPUT_H
#define SHMQ_CLI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_input {
    int fd;
    const char *name; /* as messages call it */
    bool is_file; /* regular: never blocks */
    bool is_eof;
    int err; /* errno of a failed read */
    char *data;
    size_t start; /* first byte not consumed */
    size_t end;
    size_t cap;
};

enum cli_fill {
    CLI_FILL_DATA,
    CLI_FILL_EOF,
    CLI_FILL_BLOCKED, /* nothing there now */
    CLI_FILL_SIGNAL,
    CLI_FILL_ERROR
};

/* Opens `path`, or takes stdin for NULL and "-". Returns 0 or an errno. The
 * buffer of an input that was closed is used again. */
int cli_input_open(struct cli_input *in, const char *path);
void cli_input_close(struct cli_input *in);
void cli_input_free(struct cli_input *in);

/* Reads more behind `end`; what is in the buffer may move. Blocks only if
 * told to. */
enum cli_fill cli_input_fill(struct cli_input *in, bool block);

/* Waits until there is something to read, but at most so long. */
void cli_input_wait(const struct cli_input *in, uint64_t timeout_ns);

#endif
