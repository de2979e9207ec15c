/* cli_json.h - writes JSON, streaming, without a tree.
 *
 * Values go straight into the output buffer; commas come by themselves. The
 * caller keeps begin and end, key and value in pairs. */
#ifndef SHMQ_CLI_JSON_H
#define SHMQ_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli_out.h"

struct cli_json {
    struct cli_out *out;
    bool comma; /* something stands before the next value */
};

/* bracket: one of { [ and } ]. */
void cli_json_begin(struct cli_json *json, char bracket);
void cli_json_end(struct cli_json *json, char bracket);

/* A name of ours: nothing in it needs escaping. */
void cli_json_key(struct cli_json *json, const char *key);

/* Text that may hold anything. cli_json_bytes() needs valid UTF-8;
 * cli_json_name() puts U+FFFD for bytes that are not. */
void cli_json_bytes(struct cli_json *json, const void *data, size_t len);
void cli_json_name(struct cli_json *json, const char *text);
void cli_json_base64(struct cli_json *json, const void *data, size_t len);

void cli_json_u64(struct cli_json *json, uint64_t value);
void cli_json_bool(struct cli_json *json, bool value);
void cli_json_null(struct cli_json *json);

/* A position or an identity: as a string, since JSON numbers above 2^53 do
 * not survive most readers. */
void cli_json_position(struct cli_json *json, uint64_t position);

/* CLOCK_REALTIME ns as RFC 3339; a duration as seconds with a fraction. */
void cli_json_time(struct cli_json *json, int64_t time_ns);
void cli_json_seconds(struct cli_json *json, uint64_t ns);

#endif
