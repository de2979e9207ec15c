/* model.h - what the clients of the model checker share: one small topic in
 * static memory instead of mapped files, and the few lines of the library's
 * .c files that the protocols need besides the headers.
 *
 * The protocols themselves are the production headers. What is copied here
 * from a .c file says so; a change there must be repeated here. Payloads are
 * relaxed atomics whose values are checked: a race on them shows as a wrong
 * value. */
#ifndef SHMQ_MODEL_H
#define SHMQ_MODEL_H

#include <assert.h>
#include <pthread.h>

#include <shmq/group.h>

#include "claims.h"
#include "mpmc.h"
#include "spsc.h"

#ifndef BAD
#define BAD 0 /* number of the seeded bug, 0: none */
#endif
#ifndef M_GROUPS
#define M_GROUPS 2
#endif
#ifndef M_ENDPOINTS
#define M_ENDPOINTS 2
#endif
#ifndef M_ARENA_LG2
#define M_ARENA_LG2 6
#endif
#ifndef M_CAP_LG2
#define M_CAP_LG2 1
#endif
#ifndef M_CLAIM_LG2
#define M_CLAIM_LG2 1
#endif
#ifndef M_PRODUCERS
#define M_PRODUCERS 2
#endif

#define M_INIT(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define M_READ(p) atomic_load_explicit((p), memory_order_relaxed)

static struct shmqi_data_shm m_data;
static struct shmqi_control_shm m_control;
static struct shmqi_group_shm m_groups[M_GROUPS];
static struct shmqi_endpoint_shm m_endpoints[M_ENDPOINTS];
static struct shmqi_arena_shm m_arenas[M_PRODUCERS];
static shmqi_word m_slots[1 << M_CAP_LG2];
static shmqi_word m_claims[M_GROUPS << M_CLAIM_LG2];
static shmqi_word m_bytes[(M_PRODUCERS << M_ARENA_LG2) / 8];

static struct shmqi_ring m_ring;

/* A new topic, as initialise() in files.c and shmqi_ring_map() make it. */
static inline void m_topic(uint32_t ring)
{
    struct shmqi_ring *r = &m_ring;
    r->data = &m_data;
    r->control = &m_control;
    r->slots = m_slots;
    r->arenas = m_arenas;
    r->arena_base = (uint8_t *)m_bytes;
    r->endpoints = m_endpoints;
    r->groups = m_groups;
    r->claims = m_claims;
    r->arena_bytes = 1u << M_ARENA_LG2;
    r->arena_lg2 = M_ARENA_LG2;
    r->ring = ring;
    r->on_full = SHMQ_ON_FULL_BLOCK;
    r->cap_lg2 = ring == SHMQ_RING_MPMC ? M_CAP_LG2 : 0;
    r->claim_lg2 = M_CLAIM_LG2;
    r->producer_cnt = M_PRODUCERS;
    r->endpoint_cnt = M_ENDPOINTS;
    r->group_cnt = M_GROUPS;
    M_INIT(&m_control.version, 1);
    for (uint64_t s = 0; ring == SHMQ_RING_MPMC && s < 1u << M_CAP_LG2; s++)
        M_INIT(&m_slots[s],
               shmqi_slot(shmqi_slot_lap(s, M_CAP_LG2) - 1, 0));
}

static inline uint64_t m_gword(uint32_t generation, uint32_t state,
                               uint32_t joins)
{
    struct shmqi_gword g = {generation, state, joins, 0};
    return shmqi_gword_pack(g);
}

/* A group that was there from the beginning, floor at 0. */
static inline void m_group(uint32_t entry, uint32_t kind)
{
    M_INIT(&m_groups[entry].word, m_gword(0, SHMQI_GROUP_READY, 1));
    M_INIT(&m_groups[entry].attrs, (uint64_t)kind | SHMQI_ATTR_VIEWS);
}

/* -- copied from seek.c ------------------------------------------------------- */
static inline uint64_t m_ring_low(const struct shmqi_ring *r)
{
    uint64_t gate = shm_ld(G5, &r->data->gate);
    return r->ring == SHMQ_RING_MPMC ? shmqi_pos(gate, 0) : gate;
}

static inline uint64_t m_ring_end(const struct shmqi_ring *r)
{
    if (r->ring == SHMQ_RING_MPMC)
        return shmqi_pos(shmqi_mpmc_end(r), 0);
    uint64_t hint = shm_ld(J1, &r->data->hint);
    uint64_t end = shmqi_spsc_walk(r, hint, UINT64_MAX);
    return end == UINT64_MAX ? hint : end;
}

static inline uint64_t m_cursor_of(const struct shmqi_ring *r, uint64_t tag,
                                   uint64_t pos)
{
    return shmqi_cursor(tag, r->ring == SHMQ_RING_MPMC ? pos : pos >> 3);
}

/* -- copied from groups.c: place(), from the pin to the final floor ------------ */
#define M_NO_BUMP 101   /* seeded: version is not bumped */
#define M_NO_LOW 102    /* seeded: the gate word is not looked at again */
#define M_BELOW_PIN 103 /* seeded: the start may lie below the pin */

static inline uint64_t m_place(const struct shmqi_ring *r, uint32_t entry,
                               bool latest)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    uint64_t creating = m_gword(0, SHMQI_GROUP_CREATING, 0);
    uint64_t pin = latest ? m_ring_end(r) : m_ring_low(r);
    shm_st(J3, &g->floor, m_cursor_of(r, 1, pin));
    (void)shm_cas(J2, &g->word, creating,
                  shmqi_gword_with(creating, SHMQI_GROUP_GATING, 0));
    if (BAD != M_NO_BUMP)
        (void)shm_add(J4, &r->control->version, 1);
    shm_fence(J7);
    uint64_t low = BAD == M_NO_LOW ? pin : m_ring_low(r);
    uint64_t pos = low;
    if (latest) {
        uint64_t end = m_ring_end(r);
        pos = end < low ? low : end;
    }
    if (BAD != M_BELOW_PIN && pos < pin)
        pos = pin;
    shm_st(J3, &g->floor, m_cursor_of(r, 1, pos));
    return pos;
}

/* -- copied from reader.c: the floor of an exclusive reader -------------------- */
static inline bool m_floor(const struct shmqi_ring *r, uint32_t entry,
                           uint64_t *word, uint64_t pos)
{
    uint64_t w = m_cursor_of(r, shmqi_cursor_tag(*word), pos);
    if (!shm_cas(J10, &r->groups[entry].floor, *word, w))
        return false;
    *word = w;
    return true;
}

/* -- spsc: records of one payload word ------------------------------------------ */
#define M_RECORD 32u

static inline int m_spsc_put(const struct shmqi_ring *r,
                             struct shmqi_writer *w)
{
    uint64_t pos;
    int rc = shmqi_spsc_reserve(r, w, M_RECORD, &pos);
    if (rc)
        return rc;
    M_INIT(shmqi_spsc_at(r, pos + 8), pos + 1);
    shm_st(W5, shmqi_spsc_at(r, pos + M_RECORD), 0); /* finish() */
    shmqi_spsc_commit(r, w, M_RECORD);
    return SHMQ_OK;
}

/* A gating reader looks at `pos`: true when there is a record. Whether its
 * payload was whole is asserted by the caller when it has moved on: a check on
 * the spot would order the floor behind the read all by itself. */
static inline bool m_spsc_read(const struct shmqi_ring *r, uint64_t pos,
                               bool *whole)
{
    uint64_t w;
    enum shmqi_spsc_seen seen = shmqi_spsc_look(r, pos, &w);
    assert(seen != SHMQI_SPSC_NONSENSE && "the record was overwritten");
    if (seen != SHMQI_SPSC_RECORD)
        return false;
    *whole &= M_READ(shmqi_spsc_at(r, pos + 8)) == pos + 1;
    return true;
}

#endif
