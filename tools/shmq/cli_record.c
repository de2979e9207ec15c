/* cli_record.c - records and the names of their attributes. */
#include "cli_record.h"

#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"

/* dead_letter is the library's own: it is shown, and ignored on input. */
const struct cli_attr_name cli_attr_names[] = {
    {"key", SHMQ_ATTR_KEY},
    {"content_type", SHMQ_ATTR_CONTENT_TYPE},
    {"reply_to", SHMQ_ATTR_REPLY_TO},
    {"correlation_id", SHMQ_ATTR_CORRELATION_ID},
    {"dead_letter", SHMQ_ATTR_DEAD_LETTER},
    {NULL, 0},
};

void cli_record_clear(struct cli_record *record)
{
    record->data = NULL;
    record->size = 0;
    record->attr_cnt = 0;
}

void cli_record_free(struct cli_record *record)
{
    free(record->attrs);
    memset(record, 0, sizeof(*record));
}

void cli_record_add_attr(struct cli_record *record, uint32_t type,
    const char *name, const void *value, size_t value_bytes)
{
    cli_grow(&record->attrs, &record->attr_cap, record->attr_cnt + 1,
        sizeof(*record->attrs));
    struct shmq_attr *attr = &record->attrs[record->attr_cnt++];
    attr->type = type;
    attr->name = name;
    attr->value = value;
    /* What does not fit 32 bits is too long by far: let it be refused. */
    attr->value_bytes =
        value_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)value_bytes;
}

const char *cli_gap_reason(uint32_t reason)
{
    switch (reason) {
    case SHMQ_GAP_DROPPED:
        return "dropped";
    case SHMQ_GAP_RETENTION:
        return "retention";
    case SHMQ_GAP_LOST:
        return "lost";
    case SHMQ_GAP_TRUNCATED:
        return "truncated";
    default:
        return "corrupt";
    }
}
