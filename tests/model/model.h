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

#include "atomics.h"

/* Every shared access of a thread that has set m_mortal is a point at which it
 * may be killed, or stopped for ever: m_stop is stored by a thread of its own,
 * so the checker tries each of them. */
static __thread bool m_mortal;
static shmqi_word m_stop;
#ifdef M_MORTAL
static inline void m_hook(void)
{
    if (m_mortal && atomic_load_explicit(&m_stop, memory_order_relaxed) != 0)
        pthread_exit(NULL);
}
#undef SHMQI_HOOK
#define SHMQI_HOOK(point) m_hook()
#endif

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
        M_INIT(&m_slots[s], shmqi_slot(shmqi_slot_lap(s, M_CAP_LG2) - 1, 0));
}

static inline uint64_t m_gword(
    uint32_t generation, uint32_t state, uint32_t joins)
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

/* -- copied from seek.c ---------------------------------------------------- */
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

static inline uint64_t m_cursor_of(
    const struct shmqi_ring *r, uint64_t tag, uint64_t pos)
{
    return shmqi_cursor(tag, r->ring == SHMQ_RING_MPMC ? pos : pos >> 3);
}

/* -- copied from groups.c: place(), from the pin to the final floor -------- */
#define M_NO_BUMP 101 /* seeded: version is not bumped */
#define M_NO_LOW 102 /* seeded: the gate word is not looked at again */
#define M_BELOW_PIN 103 /* seeded: the start may lie below the pin */

static inline uint64_t m_place(
    const struct shmqi_ring *r, uint32_t entry, bool latest)
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

/* -- copied from reader.c: the floor of an exclusive reader ---------------- */
static inline bool m_floor(
    const struct shmqi_ring *r, uint32_t entry, uint64_t *word, uint64_t pos)
{
    uint64_t w = m_cursor_of(r, shmqi_cursor_tag(*word), pos);
    if (!shm_cas(J10, &r->groups[entry].floor, *word, w))
        return false;
    *word = w;
    return true;
}

/* -- mpmc: arenas of one frame of one payload word ------------------------- */
static shmqi_word m_truth[8]; /* what the frame of each sequence holds */

static inline shmqi_word *m_frame_at(const struct shmqi_ring *r, uint64_t frame)
{
    return (shmqi_word *)(void *)(r->arena_base + frame * SHMQI_FRAME_UNIT);
}

/* Publishes `value` in frame `frame`, which the caller may write. */
static inline int m_mpmc_put(const struct shmqi_ring *r,
    struct shmqi_gate *gate, uint64_t frame, uint64_t value, uint64_t *ret_seq)
{
    M_INIT(m_frame_at(r, frame), value);
    int rc = shmqi_mpmc_publish(r, gate, frame, ret_seq);
    if (rc == SHMQ_OK)
        M_INIT(&m_truth[*ret_seq], value);
    return rc;
}

/* What a reader saw; compared with the truth when all threads are done. */
struct m_seen {
    uint64_t seq[8], value[8];
    uint32_t cnt;
};

static inline void m_seen_check(const struct m_seen *s)
{
    for (uint32_t i = 0; i < s->cnt; i++)
        assert(s->value[i] == M_READ(&m_truth[s->seq[i]]) &&
            "a frame was overwritten");
}

/* A gating reader looks at sequence `seq`: true when there is a frame. */
static inline bool m_mpmc_read(
    const struct shmqi_ring *r, uint64_t seq, struct m_seen *s)
{
    uint64_t w;
    int64_t age = shmqi_mpmc_look(r, seq, &w);
    assert(age <= 0 && "the slot was overwritten");
    if (age < 0)
        return false;
    s->seq[s->cnt] = seq;
    s->value[s->cnt++] = M_READ(m_frame_at(r, shmqi_slot_frame(w)));
    return true;
}

/* -- copied from member.c: claiming ---------------------------------------- */
struct m_member {
    struct shmqi_claims k;
    uint32_t idx;
    uint64_t epoch; /* at the last full rescan */
    uint64_t seq, held;
};

static inline void m_claims_open(
    const struct shmqi_ring *r, struct shmqi_claims *c)
{
    c->group = &r->groups[0];
    c->words = r->claims;
    c->lg2 = r->claim_lg2;
    c->endpoint_cnt = r->endpoint_cnt;
}

static inline void m_member_open(
    const struct shmqi_ring *r, struct m_member *m, uint32_t idx)
{
    m_claims_open(r, &m->k);
    m->idx = idx;
    m->epoch = UINT64_MAX;
}

/* As take(): a frame that is there and whose claim is open. */
static inline bool m_take(
    const struct shmqi_ring *r, struct m_member *m, uint64_t seq)
{
    uint64_t k = shm_ld(S2, shmqi_claim_at(&m->k, seq)), w;
    int32_t age = shmqi_claim_age(&m->k, k, seq);
    if (age > 0 ||
        (age == 0 && shmqi_claim_unpack(k).state != SHMQI_CLAIM_FREE))
        return false;
    if (shmqi_mpmc_look(r, seq, &w) != 0)
        return false;
    if (!shmqi_claim_take(&m->k, seq, k, m->idx, SHMQI_CLAIM_CLAIMED, &m->held))
        return false;
    m->seq = seq;
    return true;
}

static inline bool m_rescan(
    const struct shmqi_ring *r, struct m_member *m, uint64_t floor, uint64_t to)
{
    for (uint64_t q = floor; q < to && q < floor + (1ull << m->k.lg2); q++)
        if (m_take(r, m, q))
            return true;
    return false;
}

/* As take_fresh(), once. */
static inline bool m_take_fresh(const struct shmqi_ring *r, struct m_member *m)
{
    uint64_t nw = shm_ld(S5, &m->k.group->next), w;
    uint64_t floor = shmqi_claims_floor(&m->k, 0);
    uint64_t seq = shmqi_seq_expand(nw, floor);
    if (seq < floor)
        seq = floor;
    if (shmqi_next_epoch(nw) != m->epoch) {
        if (m_rescan(r, m, floor, seq))
            return true;
        if (!shmqi_freeing_any(&m->k))
            m->epoch = shmqi_next_epoch(nw);
    }
    if (seq >= floor + (1ull << m->k.lg2) || shmqi_mpmc_look(r, seq, &w) < 0)
        return false;
    bool got = m_take(r, m, seq);
    shmqi_claims_push(&m->k, nw, seq);
    return got;
}

/* As take_freed(), without the full rescan before each sleep. */
static inline bool m_take_freed(const struct shmqi_ring *r, struct m_member *m)
{
    shmqi_claims_walk(&m->k, 0);
    bool freeing = shmqi_freeing_any(&m->k);
    uint64_t nw = shm_ld(S5, &m->k.group->next);
    if (!freeing && shmqi_next_epoch(nw) == m->epoch)
        return false;
    uint64_t floor = shmqi_claims_floor(&m->k, 0);
    return m_rescan(r, m, floor, shmqi_seq_expand(nw, floor));
}

static inline bool m_poll(const struct shmqi_ring *r, struct m_member *m)
{
    return m_take_fresh(r, m) || m_take_freed(r, m);
}

static inline bool m_ack(struct m_member *m)
{
    uint64_t w;
    if (!shmqi_claim_ack(&m->k, m->seq, m->held, 1, 1, &w))
        return false;
    shmqi_claims_walk(&m->k, m->seq);
    return true;
}

/* -- copied from reap.c: claims_free_of(), and the identity at last -------- */
static inline bool m_still(
    const struct shmqi_ring *r, uint32_t victim, uint64_t identity)
{
    return shm_ld(E6, &r->endpoints[victim].identity) == identity;
}

static inline void m_reap(const struct shmqi_ring *r, struct shmqi_claims *c,
    uint32_t self, uint32_t victim, uint64_t identity)
{
    if (shm_ld(E1, &r->endpoints[victim].identity) != identity)
        return;
    uint64_t floor = shmqi_claims_floor(c, 0);
    shmqi_freeing_begin(c, self);
    for (uint64_t q = floor; q < floor + (1ull << c->lg2); q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(c, q));
        if (shmqi_claim_age(c, k, q) != 0 || !shmqi_claim_held_by(k, victim))
            continue;
        if (BAD != 1 && !m_still(r, victim, identity))
            break;
        (void)shm_cas(S9, shmqi_claim_at(c, q), k, shmqi_claim_freed(k));
    }
    if (BAD == 2) /* seeded: nobody is told */
        (void)shm_and(S7, &c->group->freeing[0], ~(1ull << self));
    else
        shmqi_freeing_end(c, self);
    shmqi_claims_walk(c, 0);
    if (m_still(r, victim, identity))
        (void)shm_and(S7, &c->group->freeing[0], ~(1ull << victim));
    (void)shm_cas(E2, &r->endpoints[victim].identity, identity, 0);
}

/* -- spsc: records of one payload word ------------------------------------- */
#define M_RECORD 32u

static inline int m_spsc_put(const struct shmqi_ring *r, struct shmqi_writer *w)
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
static inline bool m_spsc_read(
    const struct shmqi_ring *r, uint64_t pos, bool *whole)
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
