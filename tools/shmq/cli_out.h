/* cli_out.h - stdout through a buffer of our own, written with write(2), so
 * that it is known which bytes have left. */
#ifndef SHMQ_CLI_OUT_H
#define SHMQ_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_out {
    char *data;
    size_t len;
    size_t cap;
};

enum { CLI_OUT_FLUSH_BYTES = 64 * 1024 }; /* flush from here on */

void cli_out_free(struct cli_out *out);

void cli_out_bytes(struct cli_out *out, const void *data, size_t len);
void cli_out_text(struct cli_out *out, const char *text);
void cli_out_char(struct cli_out *out, char c);
void cli_out_u64(struct cli_out *out, uint64_t value);
void cli_out_format(struct cli_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One write(2) of up to `len` bytes from `data`, with a wait where stdout is
 * non-blocking. Returns bytes, or -1 and errno (EINTR included). */
int64_t cli_out_write(const char *data, size_t len);

/* Writes all of the buffer, whatever signals come. Returns an exit status;
 * a failure has been told, but for a closed stdout, which is CLI_PIPE and
 * silent. */
int cli_out_flush(struct cli_out *out);

/* The exit status for errno value `err` of a write, after telling it. */
int cli_out_failed(int err);

/* Whether the other end of stdout is known to be gone. */
bool cli_out_is_closed(void);

#endif
