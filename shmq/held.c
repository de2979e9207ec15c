/* held.c - frames that a consumer has taken, and handing out their records. */
#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "error.h"
#include "mpmc.h"

/* Two bitmaps of a frame's records: done, and handed out but not released. */
#define MAP_WORDS (SHMQ_BATCH_MAX / 64)
#define BIT_WORDS (2 * MAP_WORDS)
#define TRACK_BYTES (BIT_WORDS * 8 + SHMQ_BATCH_MAX * 4)

struct shmqi_held *shmqi_held_new(struct shmq_consumer *c, uint32_t *ret_slot)
{
    uint32_t slot = UINT32_MAX;
    if (c->mode != SHMQI_MODE_SHARED) {
        if (c->last - c->first == c->held_max)
            return NULL;
        slot = (uint32_t)(c->last++ % c->held_max);
    } else {
        /* Behind the one taken last: what is released in order is free there.
         */
        for (uint32_t i = 0, at = c->free_from; i < c->held_max; i++, at++) {
            if (at >= c->held_max)
                at = 0;
            if (!c->held[at].used) {
                slot = at;
                break;
            }
        }
        if (slot == UINT32_MAX)
            return NULL;
        c->free_from = slot + 1;
    }
    struct shmqi_held *h = &c->held[slot];
    uint8_t *copy = h->copy;
    uint64_t copy_cap = h->copy_cap;
    uint64_t *bits = h->bits;
    uint32_t *serials = h->serials;
    memset(h, 0, sizeof *h);
    h->copy = copy;
    h->copy_cap = copy_cap;
    h->bits = bits;
    h->serials = serials;
    h->used = true;
    h->serial = ++c->serial;
    c->held_cnt++;
    *ret_slot = slot;
    return h;
}

void shmqi_held_free(struct shmq_consumer *c, struct shmqi_held *h)
{
    if (h->used) {
        h->used = false;
        c->held_cnt--;
    }
    if (c->current != UINT32_MAX && &c->held[c->current] == h)
        c->current = UINT32_MAX;
}

/* Whoever lets go of one frame before it takes the next gets the same memory
 * again, and finds it in the cache; in turn through all entries it would not.
 */
static void take_warm(struct shmq_consumer *c, struct shmqi_held *h)
{
    struct shmqi_held *last = c->copied;
    c->copied = h;
    if (!last || last == h || last->used)
        return;
    uint8_t *copy = last->copy;
    uint64_t cap = last->copy_cap;
    last->copy = h->copy;
    last->copy_cap = h->copy_cap;
    h->copy = copy;
    h->copy_cap = cap;
}

int shmqi_held_copy_room(
    struct shmq_consumer *c, struct shmqi_held *h, uint64_t bytes)
{
    take_warm(c, h);
    if (bytes <= h->copy_cap)
        return SHMQ_OK;
    uint64_t cap = h->copy_cap ? h->copy_cap : 512;
    while (cap < bytes)
        cap *= 2;
    uint8_t *more = realloc(h->copy, cap);
    if (!more)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory for a copy of %llu bytes",
            (unsigned long long)bytes);
    h->copy = more;
    h->copy_cap = cap;
    return SHMQ_OK;
}

int shmqi_held_track(struct shmqi_held *h)
{
    if (h->cnt < 2)
        return SHMQ_OK;
    if (!h->bits) {
        h->bits = malloc(TRACK_BYTES);
        if (!h->bits)
            return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
        h->serials = (uint32_t *)(void *)(h->bits + BIT_WORDS);
    }
    memset(h->bits, 0, BIT_WORDS * sizeof *h->bits);
    return SHMQ_OK;
}

int shmqi_held_fill(struct shmq_consumer *c, struct shmqi_held *h, uint64_t seq,
    uint64_t slot_word)
{
    const struct shmqi_ring *r = c->ring;
    struct shmqi_frame f;
    bool good = shmqi_frame_open(r, slot_word, &f);
    if (!good)
        return c->copies && shmqi_mpmc_given_up(r, seq, slot_word)
            ? SHMQ_ERR_GAP
            : SHMQ_ERR_CORRUPT;
    h->bytes = f.bytes;
    if (c->copies) {
        int rc = shmqi_held_copy_room(c, h, f.head.len_bytes);
        if (rc)
            return rc;
#ifdef SHMQ_BUG_LENGTH_LOADED_TWICE
        shmqi_copy_racy(&f.head, f.bytes, sizeof f.head);
#endif
        shmqi_copy_racy(h->copy, f.bytes, f.head.len_bytes);
        if (!shmqi_mpmc_copy_valid(r, seq, slot_word, f.arena))
            return SHMQ_ERR_GAP;
        h->bytes = h->copy;
    }
    h->seq = seq;
    h->producer = f.head.producer;
    h->sequence = f.head.sequence;
    h->time_ns = f.head.time_ns;
    h->cnt = f.head.record_cnt;
    h->len = f.head.len_bytes;
    h->next_off = sizeof(struct shmqi_frame_shm);
    return shmqi_held_track(h);
}

uint64_t shmqi_held_pos(
    const struct shmq_consumer *c, const struct shmqi_held *h, uint32_t idx)
{
    return c->ring->ring == SHMQ_RING_MPMC ? shmqi_pos(h->seq, idx) : h->seq;
}

int shmqi_held_hand(
    struct shmq_consumer *c, uint32_t slot, struct shmq_message *ret)
{
    struct shmqi_held *h = &c->held[slot];
    struct shmqi_view v;
    uint32_t idx = h->next_idx;
    /* A claim word may say that more records are done than there are. */
    if (idx >= h->cnt || !shmqi_record_view(h->bytes, h->len, h->next_off, &v))
        return SHMQ_ERR_CORRUPT;
    ret->data = v.data;
    ret->size = v.size;
    ret->position = shmqi_held_pos(c, h, idx);
    ret->producer = h->producer;
    ret->sequence = h->sequence + idx;
    ret->time_ns = (int64_t)h->time_ns;
    ret->attempt = 0;
    ret->flags = h->redelivered ? SHMQ_MESSAGE_REDELIVERED : 0;
    ret->attrs = v.attrs;
    ret->attr_bytes = v.attr_bytes;
    ret->internal[0] = slot;
    ret->internal[1] = idx;
    ret->internal[2] = h->serial;
    h->next_idx++;
    h->next_off = v.next;
    h->open++;
    if (h->cnt > 1) {
        h->bits[MAP_WORDS + (idx >> 6)] |= 1ull << (idx & 63);
        h->serials[idx] = h->serial;
    }
    shm_st(N2, &c->ring->endpoints[c->idx].messages, ++c->messages);
    return SHMQ_OK;
}

/* Bits [from, to) of a map, word by word. */
static uint64_t bits_in_word(uint32_t word, uint32_t from, uint32_t to)
{
    uint32_t first = word * 64, low = from > first ? from - first : 0;
    uint32_t high = to < first + 64 ? to - first : 64;
    uint64_t below = high == 64 ? UINT64_MAX : (1ull << high) - 1;
    return below & (UINT64_MAX << low);
}

void shmqi_held_hand_many(
    struct shmq_consumer *c, uint32_t slot, uint32_t cnt, uint32_t bytes)
{
    struct shmqi_held *h = &c->held[slot];
    uint32_t from = h->next_idx, to = from + cnt;
    for (uint32_t w = from >> 6; w <= (to - 1) >> 6; w++)
        h->bits[MAP_WORDS + w] |= bits_in_word(w, from, to);
    for (uint32_t i = from; i < to; i++)
        h->serials[i] = h->serial;
    h->next_idx = to;
    h->next_off += bytes;
    h->open += cnt;
    c->messages += cnt;
    shm_st(N2, &c->ring->endpoints[c->idx].messages, c->messages);
}

/* A message is good while it is the last one handed out for its record: a nack
 * raises the serial and makes those from its record on void. */
struct shmqi_held *shmqi_held_of(
    struct shmq_consumer *c, const struct shmq_message *msg)
{
    uint32_t slot = msg->internal[0], idx = msg->internal[1];
    uint32_t serial = msg->internal[2];
    if (slot >= c->held_max)
        return NULL;
    struct shmqi_held *h = &c->held[slot];
    if (!h->used || idx >= h->next_idx)
        return NULL;
    return serial == (h->cnt > 1 ? h->serials[idx] : h->serial) ? h : NULL;
}

static bool bit_is_set(const struct shmqi_held *h, uint32_t idx)
{
    return h->bits && (h->bits[idx >> 6] >> (idx & 63) & 1);
}

bool shmqi_held_done(struct shmqi_held *h, uint32_t idx)
{
    if (idx < h->done)
        return false;
    if (idx > h->done) {
        h->bits[idx >> 6] |= 1ull << (idx & 63);
        return false;
    }
    h->done++;
    while (h->done < h->cnt && h->cnt > 1 && bit_is_set(h, h->done))
        h->done++;
    return true;
}

void shmqi_held_done_many(struct shmqi_held *h, uint32_t idx, uint32_t cnt)
{
    uint32_t to = idx + cnt;
    if (idx <= h->done) {
        h->done = to > h->done ? to : h->done;
    } else {
        for (uint32_t w = idx >> 6; w <= (to - 1) >> 6; w++)
            h->bits[w] |= bits_in_word(w, idx, to);
    }
    while (h->done < h->cnt && h->cnt > 1 && bit_is_set(h, h->done))
        h->done++;
}

bool shmqi_held_release_many(
    struct shmqi_held *h, uint32_t idx, uint32_t cnt, uint32_t serial)
{
    uint32_t to = idx + cnt, other = 0;
    if (cnt == 0 || h->cnt < 2 || to > h->next_idx)
        return false;
    for (uint32_t i = idx; i < to; i++)
        other |= h->serials[i] ^ serial;
    for (uint32_t w = idx >> 6; w <= (to - 1) >> 6; w++) {
        uint64_t all = bits_in_word(w, idx, to);
        if (other || (h->bits[MAP_WORDS + w] & all) != all)
            return false;
    }
    for (uint32_t w = idx >> 6; w <= (to - 1) >> 6; w++)
        h->bits[MAP_WORDS + w] &= ~bits_in_word(w, idx, to);
    h->open -= cnt;
    return true;
}

bool shmqi_held_release(struct shmqi_held *h, uint32_t idx)
{
    if (h->cnt > 1) {
        uint64_t bit = 1ull << (idx & 63);
        if (!(h->bits[MAP_WORDS + (idx >> 6)] & bit))
            return false;
        h->bits[MAP_WORDS + (idx >> 6)] &= ~bit;
    } else if (h->open == 0) {
        return false;
    }
    h->open--;
    return true;
}

void shmqi_held_forget(struct shmqi_held *h, uint32_t idx)
{
    if (h->cnt < 2) {
        h->open = 0;
    } else {
        for (uint32_t i = idx; i < h->cnt; i++) {
            (void)shmqi_held_release(h, i);
            h->bits[i >> 6] &= ~(1ull << (i & 63));
        }
    }
    if (h->done > idx)
        h->done = idx;
}

bool shmqi_held_is_done(const struct shmqi_held *h, uint32_t idx)
{
    return idx < h->done || (h->cnt > 1 && bit_is_set(h, idx));
}

void shmqi_held_void(struct shmqi_held *h, uint32_t idx)
{
    for (uint32_t i = idx; h->cnt > 1 && i < h->cnt; i++)
        h->serials[i] = 0;
    if (h->cnt == 1)
        h->serial = 0;
    h->next_idx = h->cnt; /* nothing more is handed out */
}
