/* spsc_easy.h - the way of nearly every spsc record: publish without looking at
 * anything but the record.
 *
 * The same stores in the same order as producer_spsc.c; what that looks at is
 * folded into writer.easy_end (spsc.h). The hint is not stored here: it lags by
 * at most one part of the ring, and whoever starts at it walks over the commit
 * words behind it. */
#ifndef SHMQI_SPSC_EASY_H
#define SHMQI_SPSC_EASY_H

#include "copy.h"
#include "process.h"
#include "producer_impl.h"

/* Takes the lines behind the next commit word for writing while nobody waits
 * for it: the reader had them a lap ago. (Its own line is being polled.) The
 * next record is expected to be as long as the last one, `len`. */
static inline void shmqi_spsc_prefetch_next(
    const struct shmq_producer *p, uint64_t len)
{
    const uint8_t *base = p->ring->arena_base;
    uint64_t mask = p->ring->arena_bytes - 1, pos = p->writer.pos;
    shmqi_prefetch_write(base + ((pos + 64) & mask));
    shmqi_prefetch_write(base + ((pos + 128) & mask));
    uint64_t off = (pos + 64) & mask;
    if (len > 192 && pos + 64 + len <= p->writer.easy_end &&
        off + len <= mask + 1)
        shmqi_prefetch_rest(base + off, len);
}

/* True when the record was published; false: go the long way. The caller has
 * checked the handle and that there is data. */
static inline __attribute__((always_inline)) bool shmqi_spsc_easy(
    struct shmq_producer *p, const void *data, uint64_t size,
    uint64_t *ret_position)
{
    const struct shmqi_ring *r = p->ring;
    struct shmqi_writer *w = &p->writer;
    uint64_t pos = w->pos;
    uint64_t len = SHMQI_SPSC_HEAD + shmqi_pad8(size), end = pos + len;
    shmqi_word *commit = shmqi_spsc_at(r, pos);
    uint8_t *at = (uint8_t *)(void *)commit;
    if (__builtin_expect(size > p->max_message || end > w->easy_end ||
                (shm_ld(W6, &r->control->version) & SHMQI_REFUSING) != 0,
            0))
        return false;
    uint64_t now = shmqi_stamp(p);
    shmqi_put_word(at + offsetof(struct shmqi_spsc_shm, sequence), p->sequence);
    shmqi_put_word(at + offsetof(struct shmqi_spsc_shm, time_ns), now);
    /* the record's header: size, no attributes, flags 0 */
    shmqi_put_word(at + sizeof(struct shmqi_spsc_shm), size);
    shmqi_copy(at + SHMQI_SPSC_HEAD, data, size);
    shmqi_spsc_finish_easy(r, w, len);
    p->sequence++;
    shmqi_wake_members(p->segment);
    shmqi_count(p, 1, size);
    shmqi_spsc_prefetch_next(p, len);
    if (ret_position)
        *ret_position = pos;
    return true;
}

#endif
