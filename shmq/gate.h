/* gate.h - what a producer may overwrite.
 *
 * Invariant GATE: memory of a frame (its slot, its arena bytes) is reused only
 * when its sequence is below a gate that the same producer computed in a
 * refresh that ended with `version` unchanged. Nobody else's gate, and not the
 * shared gate word, gives that licence.
 *
 * Why a private gate stays good for ever: a group that starts to gate later
 * stores its floor, bumps `version`, and then starts at max(place, gate word).
 * Either its bump came before the refresh's last look at `version` - then the
 * refresh was done again and saw the floor - or after it; then the group's
 * load of the gate word comes after the refresh's CAS of it (all seq_cst) and
 * the group starts at or above this gate.
 *
 * A durable topic's gate is `drained` of its watermarks, always and alone: its
 * groups read behind it from the log. It only grows, so whatever was loaded
 * stays a licence, and who begins to read needs no pin.
 *
 * The gate is moved only as far as room is needed (plus some slack), not to
 * the lowest floor: what nobody has overwritten yet stays readable for those
 * who join at `earliest`. */
#ifndef SHMQI_GATE_H
#define SHMQI_GATE_H

#include <shmq/errors.h>
#include <shmq/topic.h>

#include "layout.h"
#include "watermarks.h"
#include "words.h"

#define SHMQI_GATE_TRIES 64u
#define SHMQI_ATTR_VIEWS (1ull << 63) /* group attrs: hands out views */

/* A producer's private gate. */
struct shmqi_gate {
    uint64_t seq; /* mpmc: below it frames may go; spsc: bytes */
    uint64_t version; /* of the control file when it was computed */
};

/* A removed group keeps memory only while a former member may be looking at
 * it. Such a member stores `views` and then looks at the group's word; we saw
 * that word and then look at `views` (all seq_cst), so one of us sees it. */
static inline bool shmqi_removed_is_viewed(
    const struct shmqi_ring *r, uint32_t entry, uint64_t word)
{
    uint64_t name = shmqi_naming(entry, shmqi_gword_unpack(word).generation);
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        uint64_t identity = shm_ld(J6, &r->endpoints[i].identity);
        if (identity != 0 && !(identity & SHMQI_IDENTITY_INIT) &&
            shm_ld(J6, &r->endpoints[i].member_of) == name &&
            shm_ld(V1, &r->endpoints[i].views) != 0)
            return true;
    }
    return false;
}

/* Whether a group in this state keeps memory from being reused. */
static inline bool shmqi_group_gates(
    const struct shmqi_ring *r, uint32_t entry, uint64_t word)
{
    uint32_t state = shmqi_gword_unpack(word).state;
    if (state == SHMQI_GROUP_GATING || state == SHMQI_GROUP_SEALED ||
        state == SHMQI_GROUP_READY)
        return true;
    return state == SHMQI_GROUP_DELETING &&
        shmqi_removed_is_viewed(r, entry, word);
}

/* A group's floor in gate units (mpmc sequence, spsc byte offset), never
 * above `end`: a scribbled floor must not free what is still needed by others,
 * and one above the end frees nothing that exists. */
static inline uint64_t shmqi_floor_of(
    const struct shmqi_ring *r, struct shmqi_group_shm *group, uint64_t end)
{
    uint64_t w = shm_ld(G4, &group->floor);
    uint64_t floor;
    if (r->ring == SHMQ_RING_SPSC)
        floor = shmqi_cursor_place(w) << 3;
    else
        floor = shmqi_pos_seq(shmqi_cursor_pos(w, end));
    return floor > end ? end : floor;
}

/* Lowest floor of all gating groups, or how far a durable topic has been
 * drained; at most `end`. */
static inline uint64_t shmqi_floors_min(
    const struct shmqi_ring *r, uint64_t end)
{
    uint64_t min = end;
    if (r->gated_by != SHMQI_GATED_BY_GROUPS)
        return r->gated_by == SHMQI_GATED_BY_DRAIN ? shmqi_marks_drained(r, end)
                                                   : min;
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        struct shmqi_group_shm *group = &r->groups[i];
        uint64_t w = shm_ld(G3, &group->word);
        if (!shmqi_group_gates(r, i, w))
            continue;
        uint64_t floor = shmqi_floor_of(r, group, end);
        if (floor < min)
            min = floor;
    }
    return min;
}

/* Raises the shared gate word to at least `seq`. */
static inline bool shmqi_gate_raise(const struct shmqi_ring *r, uint64_t seq)
{
    for (unsigned i = 0; i < SHMQI_GATE_TRIES; i++) {
        uint64_t seen = shm_ld(G5, &r->data->gate);
        if (seen >= seq || shm_cas(G6, &r->data->gate, seen, seq))
            return true;
    }
    return false;
}

/* Moves the private gate towards `want` as far as the groups allow. `end_of`
 * loads the current end of the ring (mpmc tail, spsc own end).
 * Returns 0 (the gate may still be below `want`), CLOSED, READ_ONLY. */
static inline int shmqi_gate_refresh(const struct shmqi_ring *r,
    struct shmqi_gate *gate, uint64_t want, const uint64_t *own_end)
{
    for (unsigned i = 0; i < SHMQI_GATE_TRIES; i++) {
        uint64_t end = own_end ? *own_end : shm_ld(G1, &r->data->tail);
        /* spsc: the hint store before must be visible to a joiner that bumps
         * version after the load below; mpmc: tail is seq_cst already. */
        if (own_end)
            shm_fence(G8);
        uint64_t version = shm_ld(G2, &r->control->version);
        int refused = shmqi_refused(r, version);
        if (refused)
            return refused;
        uint64_t min = shmqi_floors_min(r, end);
        uint64_t seq = min < want ? min : want;
        if (seq > gate->seq) {
            if (!shmqi_gate_raise(r, seq))
                continue;
        }
#ifndef SHMQ_BUG_GATE_WITHOUT_VERSION
        if (shm_ld(G7, &r->control->version) != version)
            continue;
#endif
        if (seq > gate->seq)
            gate->seq = seq;
        gate->version = version;
        return SHMQ_OK;
    }
    return SHMQ_OK; /* groups come and go too fast: keep the old gate */
}

#endif
