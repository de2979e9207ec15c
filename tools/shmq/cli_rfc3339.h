/* cli_rfc3339.h - times as RFC 3339 text, UTC on output. */
#ifndef SHMQ_CLI_RFC3339_H
#define SHMQ_CLI_RFC3339_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_RFC3339_BYTES = 40 };

/* Parses for example 2025-01-31T12:00:00.5+01:00 into CLOCK_REALTIME ns.
 * False when it is not RFC 3339, or before 1970 or behind 2261. */
bool cli_rfc3339_parse(const char *text, uint64_t *ret_ns);

/* Writes for example 2025-01-31T11:00:00.500000000Z; NUL-terminated. Returns
 * its length. */
size_t cli_rfc3339_format(int64_t time_ns, char buf[CLI_RFC3339_BYTES]);

#endif
