/* mpmc_easy.h - the way of nearly every mpmc record: one record without
 * attributes into memory known to be free, published at the first try.
 *
 * The same accesses to shared words in the same order as mpmc.h; the producer
 * keeps its books after the publish, when nobody waits for it. Where anything
 * is unusual nothing has happened but that free memory of the own arena has
 * been written, and the long way does it all again. */
#ifndef SHMQI_MPMC_EASY_H
#define SHMQI_MPMC_EASY_H

#include "copy.h"
#include "frame.h"
#include "mpmc.h"
#include "process.h"
#include "producer_impl.h"

/* Takes the lines of the next frame for writing while nobody waits for it: the
 * readers had them a lap ago. The drain of a durable topic has had them all, so
 * there the whole of a frame as long as the last one, which took `bytes`, is
 * asked for; in memory that would make round trips of 1 KiB 4 % slower and gain
 * as little in a stream. */
static inline void shmqi_mpmc_prefetch_next(
    const struct shmq_producer *p, uint64_t bytes)
{
    const uint8_t *at = p->arena.base + p->arena.write;
    if (p->arena.room >= 128) {
        shmqi_prefetch_write(at);
        shmqi_prefetch_write(at + 64);
    }
    if (bytes > 128 && p->ring->marks && p->arena.room >= bytes)
        shmqi_prefetch_rest(at, bytes);
}

static inline uint64_t shmqi_round_unit(uint64_t len)
{
    return (len + SHMQI_FRAME_UNIT - 1) & ~(uint64_t)(SHMQI_FRAME_UNIT - 1);
}

/* Header of a frame of `cnt` records, `len` bytes with this header. */
static inline void shmqi_frame_head(
    const struct shmq_producer *p, uint8_t *at, uint32_t cnt, uint64_t len)
{
    uint64_t now = shmqi_stamp(p);
    shmqi_put_word(
        at + offsetof(struct shmqi_frame_shm, producer), p->identity);
    shmqi_put_word(
        at + offsetof(struct shmqi_frame_shm, sequence), p->sequence);
    shmqi_put_word(at + offsetof(struct shmqi_frame_shm, time_ns), now);
    /* two halves each: record_cnt, len_bytes; flags, reserved */
    shmqi_put_word(
        at + offsetof(struct shmqi_frame_shm, record_cnt), cnt | len << 32);
    shmqi_put_word(at + offsetof(struct shmqi_frame_shm, flags), 0);
}

/* True when the record was published; false: go the long way. The caller has
 * checked the handle and that there is data. */
static inline __attribute__((always_inline)) bool shmqi_mpmc_easy(
    struct shmq_producer *p, const void *data, uint64_t size,
    uint64_t *ret_position)
{
    const struct shmqi_ring *r = p->ring;
    struct shmqi_arena *a = &p->arena;
    const uint64_t before =
        sizeof(struct shmqi_frame_shm) + sizeof(struct shmqi_record_shm);
    uint64_t t = shm_ld(P1, &r->data->tail);
    shmqi_word *slot = shmqi_slot_at(r, t);
    /* The readers look at it all the time: asked for now, it comes together
     * with the lines of the frame. */
    shmqi_prefetch_write((const void *)slot);
    uint64_t len = before + shmqi_pad8(size), taken = shmqi_round_unit(len);
    if (__builtin_expect(size > p->max_message || taken > a->room ||
                a->last - a->first == a->piece_cap,
            0))
        return false;
    uint64_t off = a->write;
    uint8_t *at = a->base + off;
    shmqi_frame_head(p, at, 1, len);
    shmqi_put_word(at + sizeof(struct shmqi_frame_shm), size);
    shmqi_copy(at + before, data, size);
    uint64_t frame =
        (((uint64_t)a->idx << r->arena_lg2) + off) / SHMQI_FRAME_UNIT;
    if (__builtin_expect(!shmqi_mpmc_try(r, &p->gate, t, slot, frame), 0))
        return false;
    (void)shm_cas(P5, &r->data->tail, t, t + 1);
    p->sequence++;
    shmqi_wake_members(p->segment);
    *shmqi_piece(a, a->last++) =
        (struct shmqi_piece){t, off, taken, taken, SHMQI_PIECE_PUBLISHED};
    a->write += taken;
    a->used += taken;
    a->room -= taken;
    shmqi_mpmc_prefetch_next(p, taken);
    shmqi_count(p, 1, size);
    if (ret_position)
        *ret_position = shmqi_pos(t, 0);
    return true;
}

#endif
