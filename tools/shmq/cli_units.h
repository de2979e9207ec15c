/* cli_units.h - the written forms of rates, positions and times; those of
 * numbers, sizes and durations are in service/units.h.
 *
 *   POSITION  decimal, as printed; bare digits are always a position
 *   TIME      RFC 3339, @UNIX[.fraction], or -DURATION (ago)
 *
 * All are strict: nothing may stand before or after, nothing may overflow.
 * They return true and fill *ret, or false and leave it alone. */
#ifndef SHMQ_CLI_UNITS_H
#define SHMQ_CLI_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmq.h>

/* A positive decimal number such as 0.5 or 2000. */
bool cli_parse_rate(const char *text, double *ret);

/* CLOCK_REALTIME nanoseconds; `now_ns` is what -DURATION counts from. */
bool cli_parse_time(const char *text, uint64_t now_ns, uint64_t *ret_ns);

/* earliest, latest, POSITION or TIME. */
bool cli_parse_start(const char *text, uint64_t now_ns, struct shmq_start *ret);

#endif
