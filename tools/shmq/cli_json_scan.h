/* cli_json_scan.h - reads JSON (RFC 8259) strictly, in place, without a tree.
 *
 * The text must be valid UTF-8 and writable: strings are decoded where they
 * stand. Every function skips white space first and returns false when
 * something else stands there; the scan is then of no further use. */
#ifndef SHMQ_CLI_JSON_SCAN_H
#define SHMQ_CLI_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct cli_json_scan {
    char *at;
    char *end;
};

struct cli_json_string {
    char *data; /* NUL behind it; may hold NULs */
    size_t len;
};

/* The next character that is no white space, or 0 at the end. */
char cli_json_peek(struct cli_json_scan *scan);

/* Takes that character if it is `c`. */
bool cli_json_take(struct cli_json_scan *scan, char c);

bool cli_json_take_string(
    struct cli_json_scan *scan, struct cli_json_string *ret);

/* A key of an object and its colon. */
bool cli_json_take_key(struct cli_json_scan *scan, struct cli_json_string *ret);

/* Any value, at most 64 levels deep. */
bool cli_json_skip(struct cli_json_scan *scan);

#endif
