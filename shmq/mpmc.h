/* mpmc.h - the ring of slots: publish by one compare-and-swap.
 *
 * Invariant SLOT: slot[s % N] carries lap(s) from the instant sequence s is
 * published until sequence s + N is; it changes by compare-and-swap from
 * lap(s) to lap(s + N) only. Hence no state "claimed, not yet written".
 * Invariant TAIL: every sequence below `tail` is published; at most one
 * published sequence (tail itself) is not below it.
 *
 * Crash argument: before P4 the frame lies in memory that only this producer
 * may touch; after P4 it is published, complete. tail is moved by whoever
 * finds it behind, so a publisher that dies or stops after P4 leaves nothing
 * to do. */
#ifndef SHMQI_MPMC_H
#define SHMQI_MPMC_H

#include "gate.h"

static inline shmqi_word *shmqi_slot_at(
    const struct shmqi_ring *r, uint64_t seq)
{
    return &r->slots[seq & ((1ull << r->cap_lg2) - 1)];
}

/* Room that a publish at `tail` needs, and some more so that the groups' words
 * are not read again for each publish. */
static inline uint64_t shmqi_slot_want(
    const struct shmqi_ring *r, uint64_t tail)
{
    uint64_t n = 1ull << r->cap_lg2;
    uint64_t need = tail + 1 + (n >> 3);
    return need > n ? need - n : 0;
}

/* Publishes `frame` (offset in 64-byte units in the arenas).
 * Returns 0 and its sequence; FULL; CLOSED; LIMIT; CORRUPT. */
static inline int shmqi_mpmc_publish(const struct shmqi_ring *r,
    struct shmqi_gate *gate, uint64_t frame, uint64_t *ret_seq)
{
    uint64_t n = 1ull << r->cap_lg2, last = UINT64_MAX;
    uint64_t stuck_max = 4 * n + 1024, stuck = 0;
    for (uint64_t i = 0; i < stuck_max + (1u << 20); i++) {
        uint64_t t = shm_ld(P1, &r->data->tail);
        uint64_t version = shm_ld(P2, &r->control->version);
        if (t >= SHMQI_SEQ_END)
            return SHMQ_ERR_LIMIT;
        stuck = t == last ? stuck + 1 : 0;
        if (stuck > stuck_max)
            return SHMQ_ERR_CORRUPT;
        last = t;
        if (version != gate->version || t >= gate->seq + n) {
            int rc = shmqi_gate_refresh(r, gate, shmqi_slot_want(r, t), NULL);
            if (rc)
                return rc;
#ifdef SHMQ_BUG_GATE_OFF_BY_ONE
            if (t > gate->seq + n)
                return SHMQ_ERR_FULL;
#else
            if (t >= gate->seq + n)
                return SHMQ_ERR_FULL;
#endif
        }
        shmqi_word *slot = shmqi_slot_at(r, t);
        uint64_t w = shm_ld(P3, slot);
        int64_t age = shmqi_slot_age(w, t, r->cap_lg2);
        if (age == 0) {
            (void)shm_cas(P5, &r->data->tail, t, t + 1);
        } else if (age == -1) {
            uint64_t mine = shmqi_slot(shmqi_slot_lap(t, r->cap_lg2), frame);
            if (shm_cas(P4, slot, w, mine)) {
                (void)shm_cas(P5, &r->data->tail, t, t + 1);
                *ret_seq = t;
                return SHMQ_OK;
            }
        } else if (age < -1) {
            return SHMQ_ERR_CORRUPT;
        }
    }
    return SHMQ_ERR_FULL;
}

/* One try at sequence `t`, where the gate need not move; true when it is
 * published (and tail is to be moved). */
static inline bool shmqi_mpmc_try(const struct shmqi_ring *r,
    const struct shmqi_gate *gate, uint64_t t, shmqi_word *slot, uint64_t frame)
{
    uint64_t version = shm_ld(P2, &r->control->version);
    if (version != gate->version || t >= gate->seq + (1ull << r->cap_lg2) ||
        t >= SHMQI_SEQ_END)
        return false;
    uint64_t w = shm_ld(P3, slot);
    return shmqi_slot_age(w, t, r->cap_lg2) == -1 &&
        shm_cas(P4, slot, w, shmqi_slot(shmqi_slot_lap(t, r->cap_lg2), frame));
}

/* Moves tail over a publish whose publisher has not done it. */
static inline void shmqi_mpmc_help_tail(const struct shmqi_ring *r)
{
    for (unsigned i = 0; i < 64; i++) {
        uint64_t t = shm_ld(P1, &r->data->tail);
        uint64_t w = shm_ld(P3, shmqi_slot_at(r, t));
        if (shmqi_slot_age(w, t, r->cap_lg2) != 0)
            return;
        (void)shm_cas(P5, &r->data->tail, t, t + 1);
    }
}

/* The true end of what is published, without writing anything. */
static inline uint64_t shmqi_mpmc_end(const struct shmqi_ring *r)
{
    uint64_t t = shm_ld(G1, &r->data->tail);
    uint64_t w = shm_ld(P3, shmqi_slot_at(r, t));
    return shmqi_slot_age(w, t, r->cap_lg2) == 0 ? t + 1 : t;
}

/* Slot word of sequence `seq`; its age tells whether it is readable. */
static inline int64_t shmqi_mpmc_look(
    const struct shmqi_ring *r, uint64_t seq, uint64_t *ret_word)
{
    uint64_t w = shm_ld(C1, shmqi_slot_at(r, seq));
    *ret_word = w;
    return shmqi_slot_age(w, seq, r->cap_lg2);
}

/* True when a frame copied from sequence `seq` (slot word `w`) was intact all
 * the time: neither its slot nor its arena bytes had been given away. */
static inline bool shmqi_mpmc_copy_valid(
    const struct shmqi_ring *r, uint64_t seq, uint64_t w, uint32_t arena)
{
    shm_fence(C2);
#ifdef SHMQ_BUG_SLOT_ALONE
    (void)arena;
    return shm_ld(C3, shmqi_slot_at(r, seq)) == w;
#endif
    return shm_ld(C3, shmqi_slot_at(r, seq)) == w &&
        shm_ld(C4, &r->arenas[arena].reclaimed) <= seq;
}

/* The slot word `w` of sequence `seq` names a frame whose memory, or whose
 * slot, has been given away. */
static inline bool shmqi_mpmc_given_up(
    const struct shmqi_ring *r, uint64_t seq, uint64_t w)
{
    uint64_t arena = shmqi_slot_frame(w) * SHMQI_FRAME_UNIT >> r->arena_lg2;
    return arena < r->producer_cnt &&
        !shmqi_mpmc_copy_valid(r, seq, w, (uint32_t)arena);
}

#endif
