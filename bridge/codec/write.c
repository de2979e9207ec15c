/* write.c - writing control frames. */
#include <string.h>

#include "payload.h"

static uint8_t *take(struct shmqw_writer *w, size_t bytes)
{
    if (w->full || bytes > w->cap - w->len) {
        w->full = true;
        return NULL;
    }
    uint8_t *at = w->at + w->len;
    w->len += bytes;
    return at;
}

void shmqw_begin(struct shmqw_writer *w, void *buf, size_t cap,
    enum shmqw_command command, uint32_t flags, enum shmqw_status status,
    uint32_t corr_id, uint32_t stream_id)
{
    struct shmqw_header h = {.magic = {'S', 'Q'},
        .version = SHMQW_VERSION,
        .command = (uint8_t)command,
        .flags = (uint16_t)flags,
        .status = (uint16_t)status,
        .corr_id = corr_id,
        .stream_id = stream_id};
    if (command == SHMQW_PUBLISH || command == SHMQW_DELIVER)
        h.flags |= SHMQW_FLAG_PAYLOAD;
    w->at = buf;
    w->cap = cap < SHMQW_CONTROL_MAX ? cap : SHMQW_CONTROL_MAX;
    w->len = 0;
    w->full = false;
    uint8_t *at = take(w, sizeof h);
    if (at)
        memcpy(at, &h, sizeof h);
}

void shmqw_put_fixed(struct shmqw_writer *w, const void *fixed, size_t bytes)
{
    uint8_t *at = take(w, bytes);
    if (!at)
        return;
    memcpy(at, fixed, bytes);
    uint16_t fixed_bytes = (uint16_t)bytes;
    memcpy(w->at + offsetof(struct shmqw_header, fixed_bytes), &fixed_bytes,
        sizeof fixed_bytes);
}

/* The room for a TLV's value, behind its head. */
static uint8_t *take_tlv(struct shmqw_writer *w, uint32_t type, size_t bytes)
{
    uint16_t head[2] = {(uint16_t)type, (uint16_t)bytes};
    if (bytes > UINT16_MAX)
        w->full = true;
    uint8_t *at = take(w, sizeof head + bytes);
    if (!at)
        return NULL;
    memcpy(at, head, sizeof head);
    return at + sizeof head;
}

void shmqw_put(
    struct shmqw_writer *w, uint32_t type, const void *value, size_t bytes)
{
    uint8_t *at = take_tlv(w, type, bytes);
    if (at && bytes)
        memcpy(at, value, bytes);
}

void shmqw_put_text(
    struct shmqw_writer *w, enum shmqw_tlv type, const char *text)
{
    if (text)
        shmqw_put(w, type, text, strnlen(text, UINT16_MAX));
}

static uint8_t *put_short(uint8_t *at, const char *text, size_t len)
{
    *at++ = (uint8_t)len;
    memcpy(at, text, len);
    return at + len;
}

void shmqw_put_group_stat(struct shmqw_writer *w,
    const struct shmqw_group_stat *fixed, const char *name,
    const char *dead_letter)
{
    size_t n = strnlen(name, UINT8_MAX), d = strnlen(dead_letter, UINT8_MAX);
    uint8_t *at = take_tlv(w, SHMQW_TLV_GROUP_STAT, sizeof *fixed + 2 + n + d);
    if (!at)
        return;
    memcpy(at, fixed, sizeof *fixed);
    put_short(put_short(at + sizeof *fixed, name, n), dead_letter, d);
}

void shmqw_put_endpoint_stat(struct shmqw_writer *w,
    const struct shmqw_endpoint_stat *fixed, const char *group)
{
    size_t n = strnlen(group, UINT8_MAX);
    uint8_t *at = take_tlv(w, SHMQW_TLV_ENDPOINT_STAT, sizeof *fixed + 1 + n);
    if (!at)
        return;
    memcpy(at, fixed, sizeof *fixed);
    put_short(at + sizeof *fixed, group, n);
}

size_t shmqw_room(const struct shmqw_writer *w)
{
    size_t left = w->full ? 0 : w->cap - w->len;
    return left > 4 ? left - 4 : 0;
}

size_t shmqw_end(struct shmqw_writer *w)
{
    if (w->full)
        return 0;
    const size_t at = offsetof(struct shmqw_header, crc32c);
    memset(w->at + at, 0, 4);
    uint32_t crc = shmqw_crc32c(0, w->at, w->len);
    memcpy(w->at + at, &crc, sizeof crc);
    return w->len;
}
