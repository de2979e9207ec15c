#include "records.h"

#include <stdlib.h>
#include <string.h>

static uint32_t count_attrs(const struct shmqw_record *record)
{
    struct shmqw_attr attr;
    uint32_t cursor = 0, n = 0;
    while (shmqw_attr_next(record->attrs, record->attr_bytes, &cursor, &attr))
        n++;
    return n;
}

static bool reserve(
    struct shmqz_records *into, uint32_t records, uint32_t attrs)
{
    if (records > into->record_cap) {
        free(into->records);
        free(into->positions);
        into->records = calloc(records, sizeof *into->records);
        into->positions = calloc(records, sizeof *into->positions);
        into->record_cap = into->records && into->positions ? records : 0;
    }
    if (attrs > into->attr_cap) {
        free(into->attrs);
        into->attrs = calloc(attrs, sizeof *into->attrs);
        into->attr_cap = into->attrs ? attrs : 0;
    }
    return records <= into->record_cap && attrs <= into->attr_cap;
}

/* Fills record `idx`; its attributes begin at `first`. Returns their number. */
static uint32_t fill(struct shmqz_records *into, uint32_t idx, uint32_t first,
    const struct shmqw_record *from)
{
    struct shmq_record *to = &into->records[idx];
    struct shmqw_attr attr;
    uint32_t cursor = 0, n = 0;
    memset(to, 0, sizeof *to);
    to->data = from->data;
    to->size = from->size;
    while (shmqw_attr_next(from->attrs, from->attr_bytes, &cursor, &attr)) {
        struct shmq_attr a = {
            attr.type, attr.value_bytes, attr.value, attr.name};
        into->attrs[first + n++] = a;
    }
    to->attrs = n ? &into->attrs[first] : NULL;
    to->attr_cnt = n;
    return n;
}

static void add_origin(struct shmqz_records *into, uint32_t attr_cnt)
{
    struct shmq_attr *a = &into->attrs[attr_cnt];
    a->type = SHMQ_ATTR_ORIGIN;
    a->value_bytes = sizeof into->origin;
    a->value = &into->origin;
    a->name = NULL;
    into->records[0].attrs = into->attrs;
    into->records[0].attr_cnt = attr_cnt + 1;
}

bool shmqz_records_read(struct shmqz_records *into, const void *payload,
    size_t bytes, uint32_t record_cnt, const struct shmq_origin *origin)
{
    struct shmqw_cursor cursor = {0}, again;
    struct shmqw_record record;
    uint32_t attrs = 1, first = 0;
    cursor.at = payload;
    cursor.len = bytes;
    again = cursor;
    while (shmqw_record_next(&cursor, &record))
        attrs += count_attrs(&record);
    if (!reserve(into, record_cnt, attrs))
        return false;
    for (uint32_t i = 0; i < record_cnt; i++) {
        if (!shmqw_record_next(&again, &record))
            return false;
        first += fill(into, i, first, &record);
        if (i == 0 && origin) {
            into->origin = *origin;
            add_origin(into, first++);
        }
    }
    return true;
}

bool shmqz_records_one(
    struct shmqz_records *into, const struct shmqw_record *record)
{
    if (!reserve(into, 1, count_attrs(record)))
        return false;
    fill(into, 0, 0, record);
    return true;
}

void shmqz_records_free(struct shmqz_records *records)
{
    free(records->records);
    free(records->attrs);
    free(records->positions);
    memset(records, 0, sizeof *records);
}
