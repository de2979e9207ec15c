/* pub_frame.c - collects the records of one frame. */
#include "pub.h"

#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"

/* The heap moves when it grows, so until pub_frame_link() an offset stands
 * where a pointer will: offsets are counted from 1, so that NULL stays NULL. */
static const void *as_offset(size_t off)
{
    return (const void *)(uintptr_t)(off + 1);
}

static const char *from_offset(const struct pub_frame *frame, const void *off)
{
    return off == NULL ? NULL : frame->heap + ((uintptr_t)off - 1);
}

static const void *keep(struct pub_frame *frame, const void *data, size_t len)
{
    size_t off = frame->heap_len;
    cli_grow(&frame->heap, &frame->heap_cap, off + len + 1, 1);
    if (len > 0)
        memcpy(frame->heap + off, data, len);
    frame->heap_len = off + len;
    return as_offset(off);
}

static void add_attrs(struct pub_frame *frame, const struct cli_record *record)
{
    cli_grow(&frame->attrs, &frame->attr_cap,
        frame->attr_cnt + record->attr_cnt, sizeof(*frame->attrs));
    for (uint32_t i = 0; i < record->attr_cnt; i++) {
        const struct shmq_attr *from = &record->attrs[i];
        struct shmq_attr *to = &frame->attrs[frame->attr_cnt++];
        *to = *from;
        to->value = keep(frame, from->value, from->value_bytes);
        if (from->name != NULL)
            to->name = keep(frame, from->name, strlen(from->name) + 1);
    }
}

void pub_frame_add(
    struct pub_frame *frame, const struct cli_record *record, uint64_t line)
{
    uint32_t idx = frame->record_cnt;
    cli_grow(
        &frame->records, &frame->record_cap, idx + 1, sizeof(*frame->records));
    cli_grow(&frame->lines, &frame->line_cap, idx + 1, sizeof(*frame->lines));
    struct shmq_record *to = &frame->records[idx];
    to->data = keep(frame, record->data, record->size);
    to->size = record->size;
    to->attrs = NULL;
    to->attr_cnt = record->attr_cnt;
    to->reserved = 0;
    frame->lines[idx] = line;
    if (record->attr_cnt > 0)
        add_attrs(frame, record);
    frame->record_cnt++;
}

void pub_frame_link(struct pub_frame *frame)
{
    uint32_t attr = 0;
    for (uint32_t i = 0; i < frame->attr_cnt; i++) {
        frame->attrs[i].value = from_offset(frame, frame->attrs[i].value);
        frame->attrs[i].name = from_offset(frame, frame->attrs[i].name);
    }
    for (uint32_t i = 0; i < frame->record_cnt; i++) {
        struct shmq_record *record = &frame->records[i];
        record->data = from_offset(frame, record->data);
        if (record->attr_cnt > 0)
            record->attrs = &frame->attrs[attr];
        attr += record->attr_cnt;
    }
}

void pub_frame_clear(struct pub_frame *frame)
{
    frame->heap_len = 0;
    frame->record_cnt = 0;
    frame->attr_cnt = 0;
    frame->bytes = 0;
    frame->blocked_ns = 0;
}

void pub_frame_free(struct pub_frame *frame)
{
    free(frame->heap);
    free(frame->records);
    free(frame->attrs);
    free(frame->lines);
    memset(frame, 0, sizeof(*frame));
}
