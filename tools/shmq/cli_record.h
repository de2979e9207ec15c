/* cli_record.h - a record as it is read from input, and its JSON form.
 *
 * JSON: one object a line. {topic, position, time, producer, sequence, key?,
 * headers?, attempt, redelivered, size, payload | payload_base64}. Text that
 * is not UTF-8 comes under NAME_base64 instead of NAME. headers is an object
 * of strings, or of arrays of strings where a name comes more than once;
 * headers_base64 is an array of [name, value]. */
#ifndef SHMQ_CLI_RECORD_H
#define SHMQ_CLI_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shmq.h>

#include "cli_json.h"

/* What it points to belongs to the line it was read from. */
struct cli_record {
    const char *data;
    size_t size;
    struct shmq_attr *attrs;
    size_t attr_cap;
    uint32_t attr_cnt;
};

enum cli_record_read {
    CLI_RECORD_OK,
    CLI_RECORD_GAP, /* a gap that `sub` reported: no record */
    CLI_RECORD_BAD /* *ret_reason says why */
};

void cli_record_clear(struct cli_record *record);
void cli_record_free(struct cli_record *record);
void cli_record_add_attr(struct cli_record *record, uint32_t type,
    const char *name, const void *value, size_t value_bytes);

/* Reads a line of JSON, which is overwritten. Keys that mean nothing for
 * publishing (position, time, ...) and unknown ones are ignored. */
enum cli_record_read cli_record_from_json(
    char *line, size_t len, struct cli_record *ret, const char **ret_reason);

/* Writes a received record, or a gap, as a line of JSON. */
void cli_record_to_json(
    struct cli_json *json, const char *topic, const struct shmq_message *msg);
void cli_gap_to_json(
    struct cli_json *json, const char *topic, const struct shmq_gap *gap);
const char *cli_gap_reason(uint32_t reason);

/* Name in JSON of an attribute that has one value, by its place, which ends
 * with NULL; and its type. */
struct cli_attr_name {
    const char *name;
    uint32_t type;
};
extern const struct cli_attr_name cli_attr_names[];

#endif
