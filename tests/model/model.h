/* model.h - what the clients of the model checker share: one small topic in
 * static memory instead of mapped files, and threads instead of processes.
 *
 * The protocols are the library's own headers, with nothing copied: a client
 * calls what the library's .c files call, in the order in which they call it.
 * Payloads are relaxed atomics whose values are checked: a race on them shows
 * as a wrong value. */
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

#ifdef M_POINTS /* mutate asks which accesses a client has */
void m_point(const char *point);
#undef SHMQI_HOOK
#define SHMQI_HOOK(point) m_point(point)
#endif

#include "adopt.h"
#include "clear.h"
#include "find.h"
#include "names.h"
#include "sleep.h"

#ifndef BAD
#define BAD 0 /* number of the client's seeded bug, 0: none */
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
#ifndef M_NAMES
#define M_NAMES 1
#endif

#define M_INIT(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define M_READ(p) atomic_load_explicit((p), memory_order_relaxed)

static struct shmqi_data_shm m_data;
static struct shmqi_control_shm m_control;
static struct shmqi_group_shm m_groups[M_GROUPS];
static struct shmqi_endpoint_shm m_endpoints[M_ENDPOINTS];
static struct shmqi_name_shm m_names[M_NAMES];
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
    r->names = m_names;
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
    r->name_cnt = M_NAMES;
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

/* A group that was there from the beginning, floor at 0; entry 0 is what name
 * 0 means. */
static inline void m_group(uint32_t entry, uint32_t kind)
{
    M_INIT(&m_groups[entry].word, m_gword(0, SHMQI_GROUP_READY, 1));
    M_INIT(&m_groups[entry].attrs, (uint64_t)kind | SHMQI_ATTR_VIEWS);
    if (entry == 0)
        M_INIT(&m_names[0].bind, shmqi_bind(1, 1));
}

/* A member of group 0 that was there from the beginning. */
static inline void m_endpoint(uint32_t idx, uint64_t identity)
{
    M_INIT(&m_endpoints[idx].identity, identity);
    M_INIT(&m_endpoints[idx].member_of, shmqi_naming(0, 0));
}

/* A group under construction, as place() in groups.c. Returns its start. */
static inline uint64_t m_place(
    const struct shmqi_ring *r, uint32_t entry, uint64_t creating, bool latest)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    uint64_t gating = shmqi_gword_with(
        creating, SHMQI_GROUP_GATING, shmqi_gword_unpack(creating).endpoint);
    uint64_t low =
        shmqi_pin_group(r, g, SHMQI_TAG_STEP, latest, creating, gating);
    uint64_t pos = latest ? shmqi_place_latest(r, low) : low;
    shmqi_pin_settle(r, g, SHMQI_TAG_STEP, pos);
    return pos;
}

/* -- mpmc: arenas of frames of one payload word -----------------------------
 */
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

static inline void m_see(
    const struct shmqi_ring *r, uint64_t seq, uint64_t slot, struct m_seen *s)
{
    s->seq[s->cnt] = seq;
    s->value[s->cnt++] = M_READ(m_frame_at(r, shmqi_slot_frame(slot)));
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
    m_see(r, seq, w, s);
    return true;
}

/* The reader of exclusive group `entry` moves its floor, as the flush. */
static inline bool m_floor(
    const struct shmqi_ring *r, uint32_t entry, uint64_t *word, uint64_t pos)
{
    return shmqi_floor_move(&r->groups[entry], word,
        shmqi_cursor_of(r, shmqi_cursor_tag(*word), pos));
}

/* -- a member of shared group 0 ---------------------------------------------
 */
struct m_member {
    struct shmqi_finder find;
    uint32_t idx;
    uint64_t seq, held, slot;
};

static inline void m_member_open(
    const struct shmqi_ring *r, struct m_member *m, uint32_t idx)
{
    m->find.ring = r;
    m->find.claims = shmqi_claims_of(r, 0);
    m->find.epoch = UINT64_MAX;
    m->idx = idx;
}

/* As take() in member.c, of a group that delivers copies. */
static enum shmqi_taken m_take(
    void *ctx, uint64_t seq, uint64_t claim, uint64_t slot, bool lost)
{
    struct m_member *m = ctx;
    assert(!lost && "a frame above the floor was overwritten");
    if (!shmqi_claim_take(
            &m->find.claims, seq, claim, m->idx, SHMQI_CLAIM_CLAIMED, &m->held))
        return SHMQI_TAKE_NEXT;
    m->seq = seq;
    m->slot = slot;
    return SHMQI_TAKEN;
}

static inline bool m_take_fresh(struct m_member *m)
{
    bool idle;
    return shmqi_find_fresh(&m->find, shmqi_look_ring, m_take, m, &idle) ==
        SHMQI_TAKEN;
}

/* As claim_next() in member.c, one look at fresh frames. */
static inline bool m_poll(struct m_member *m)
{
    return m_take_fresh(m) ||
        shmqi_find_freed(&m->find, false, shmqi_look_ring, m_take, m) ==
        SHMQI_TAKEN;
}

static inline bool m_ack(struct m_member *m)
{
    uint64_t w;
    if (!shmqi_claim_ack(&m->find.claims, m->seq, m->held, 1, 1, &w))
        return false;
    shmqi_claims_walk(&m->find.claims, m->seq);
    return true;
}

/* As reap() in reap.c. */
static inline void m_reap(const struct shmqi_ring *r, uint32_t self,
    uint32_t victim, uint64_t identity)
{
    if (shmqi_identity_at(r, victim) != identity)
        return;
    shmqi_clear_membership(r, self, victim, identity);
    if (r->ring == SHMQ_RING_MPMC)
        shmqi_clear_announcements(r, self, victim, identity);
    shmqi_clear_half_made(r, victim, identity);
    shmqi_clear_identity(r, victim, identity);
}

/* -- spsc: records of one payload word --------------------------------------
 */
#define M_RECORD 32u

/* Publishes `len` bytes with payload `value`: the easy way (spsc_easy.h) where
 * the writer allows it, else the long one. */
static inline int m_spsc_write(const struct shmqi_ring *r,
    struct shmqi_writer *w, uint64_t len, uint64_t value)
{
    uint64_t pos = w->pos;
    bool easy = pos + len <= w->easy_end;
    int rc = easy ? SHMQ_OK : shmqi_spsc_reserve(r, w, len, &pos);
    if (rc)
        return rc;
    /* From the end: the commit word of what was there stays longest. */
    for (uint64_t i = len - 8; i >= 8; i -= 8)
        shm_st(N2, shmqi_spsc_at(r, pos + i), value ? value : pos + 1);
    if (easy) {
        shmqi_spsc_finish_easy(r, w, len);
    } else {
        shmqi_spsc_finish(r, w, len);
        shmqi_spsc_ease(r, w);
    }
    return SHMQ_OK;
}

static inline int m_spsc_put(const struct shmqi_ring *r, struct shmqi_writer *w)
{
    return m_spsc_write(r, w, M_RECORD, 0);
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
