/* consumer_rest.c - the records of a frame together, for those that pass them
 * on as they are. */
#include <string.h>

#include "consumer_impl.h"
#include "error.h"
#include "process.h"

/* Zeroes what stands between `used` bytes that end at `end` and the next
 * multiple of 8: whatever the memory held before. */
static void clear_pad(uint8_t *end, uint32_t used)
{
    if (used & 7)
        memset(end, 0, 8 - (used & 7));
}

/* How many whole records stand in `copy`, a private one: nobody changes it
 * after it was checked. */
static uint32_t check(
    uint8_t *copy, uint32_t len, uint32_t max, uint32_t *ret_bytes)
{
    struct shmqi_view v;
    uint32_t off = 0, cnt = 0;
    for (; cnt < max && shmqi_record_view(copy, len, off, &v); cnt++) {
        struct shmqi_record_shm head = {v.size, (uint16_t)v.attr_bytes, 0};
        memcpy(copy + off, &head, sizeof head);
        clear_pad(copy + (v.attrs - copy) + v.attr_bytes, v.attr_bytes);
        clear_pad(copy + (v.data - copy) + v.size, v.size);
        off = v.next;
    }
    *ret_bytes = off;
    return cnt;
}

/* Its lease has ended, and another member may have it. */
static bool has_moved(const struct shmq_consumer *c, const struct shmqi_held *h)
{
    return c->mode == SHMQI_MODE_SHARED && c->member.lease_ns != 0 &&
        shm_ld(S2, shmqi_claim_at(&c->find.claims, h->seq)) != h->claim;
}

/* Whether its records may be handed out without a look at each. */
static bool is_plain(const struct shmq_consumer *c, const struct shmqi_held *h)
{
    if (has_moved(c, h))
        return false;
    if (h->lost || h->nacked || h->redelivered || c->ring->ttl_ns != 0)
        return false;
    return c->mode == SHMQI_MODE_SHARED ||
        shmqi_held_pos(c, h, h->next_idx) >= c->redeliver_until;
}

int shmq_consumer_receive_rest(struct shmq_consumer *c,
    const struct shmq_message *msg, void *memory, uint64_t room_bytes,
    uint32_t max, uint64_t *ret_bytes)
{
    if (!c || !msg || !memory || !ret_bytes)
        return shmqi_fail(SHMQ_ERR_INVAL, "rest: no consumer, record or room");
    if (!shmqi_same_process(c->generation))
        return shmqi_consumer_forked();
    uint32_t slot = msg->internal[0], bytes;
    struct shmqi_held *h = shmqi_held_of(c, msg);
    *ret_bytes = 0;
    if (!h || msg->internal[1] + 1 != h->next_idx)
        return shmqi_fail(SHMQ_ERR_INVAL, "rest: not the record received last");
    if (c->current != slot || h->next_idx >= h->cnt || !is_plain(c, h))
        return 0;
    uint32_t len = h->len - h->next_off, left = h->cnt - h->next_idx;
    if (room_bytes < len)
        len = (uint32_t)(room_bytes & ~7ull);
    shmqi_copy_racy(memory, h->bytes + h->next_off, len);
    uint32_t cnt = check(memory, len, max < left ? max : left, &bytes);
    if (cnt == 0)
        return 0;
    shmqi_held_hand_many(c, slot, cnt, bytes);
    if (c->mode == SHMQI_MODE_EXCLUSIVE)
        shmqi_reader_saw(c);
    if (h->next_idx == h->cnt)
        c->current = UINT32_MAX;
    *ret_bytes = bytes;
    return (int)cnt;
}

void shmq_consumer_nth(
    const struct shmq_message *msg, uint32_t nth, struct shmq_message *ret)
{
    *ret = *msg;
    if (nth == 0)
        return;
    ret->data = ret->attrs = NULL;
    ret->size = 0;
    ret->attr_bytes = 0;
    ret->position += nth;
    ret->sequence += nth;
    ret->internal[1] += nth;
}
