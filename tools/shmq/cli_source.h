/* cli_source.h - records out of an input, in one of the three formats.
 *
 *   lines            a record per LF, which is removed; a last line without
 *                    LF counts
 *   length-prefixed  u32 little-endian, then so many bytes
 *   json             an object a line, see cli_record.h; blank lines and gaps
 *                    are passed over */
#ifndef SHMQ_CLI_SOURCE_H
#define SHMQ_CLI_SOURCE_H

#include "cli_input.h"
#include "cli_record.h"

/* In the order of the words of --format. */
enum cli_format { CLI_LINES, CLI_JSON, CLI_LENGTH_PREFIXED };

struct cli_source {
    struct cli_input in;
    enum cli_format format;
    uint64_t max_bytes; /* longest payload */
    uint64_t line; /* number of the record read last, from 1 */
    size_t searched; /* bytes from in.start on that hold no LF */
    int status; /* of a failure */
    char reason[256]; /* "what happened; what to do" */
};

enum cli_next {
    CLI_NEXT_RECORD,
    CLI_NEXT_END,
    CLI_NEXT_BLOCKED,
    CLI_NEXT_SIGNAL,
    CLI_NEXT_FAILED /* see status and reason */
};

/* Begins with a new input; see cli_input_open(). */
int cli_source_open(struct cli_source *source, const char *path);
void cli_source_close(struct cli_source *source);

/* The next record; what *ret points to lives until the next call. */
enum cli_next cli_source_next(
    struct cli_source *source, bool block, struct cli_record *ret);

#endif
