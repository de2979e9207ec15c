/* units.h - the written forms of numbers, sizes and durations.
 *
 *   SIZE      integer, optionally with K, M or G (1024)
 *   DURATION  number with us, ms, s, m, h or d; bare: seconds
 *
 * All programs read them alike. All forms are strict: nothing may stand before
 * or after, nothing may overflow. The functions return true and fill *ret, or
 * false and leave it alone. They keep no state: any thread may call them. */
#ifndef SHMQS_UNITS_H
#define SHMQS_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits only. */
bool shmqs_parse_u64(const char *text, uint64_t *ret);

/* One to five octal digits. */
bool shmqs_parse_octal(const char *text, uint32_t *ret);

bool shmqs_parse_size(const char *text, uint64_t *ret_bytes);

/* At most 292 years, so that now + duration fits. */
bool shmqs_parse_duration(const char *text, uint64_t *ret_ns);

/* For longer forms: reads digits at *at, or an optional ".digits" as
 * billionths (digits behind the ninth are dropped), and moves *at behind them.
 * *ret is 0 when there is no fraction. */
bool shmqs_scan_u64(const char **at, uint64_t *ret);
bool shmqs_scan_fraction(const char **at, uint64_t *ret_billionths);

#endif
