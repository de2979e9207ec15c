/* views_evict - evicting a reader that may begin to look at ring memory.
 *
 * V holds the role of an exclusive group and begins a view; E evicts it when
 * `views` is 0 and takes the role away; N opens the group: it takes the role,
 * and gives it back when somebody still looks; else it goes over frame 0 and
 * moves the floor; P uses frame 0's memory again behind its gate. Shown: frame
 * 0 does not change under V. -DREMOVE=1: instead of E and N the group is
 * removed, and V's view alone must keep its memory (gate.h).
 * -DSHARED=1: V is a member of a shared group and tries twice; E loads a claim
 * of it, looks at `views` again, frees the claim, and marks V; N takes the
 * claim, acknowledges and walks the floor. -DEVICTORS=2: a second evictor.
 * Must fail: BAD=1 nobody looks for viewers after taking the role, 2 V asks for
 * its role (REMOVE: the group's word) before it stores `views`, 3 (SHARED)
 * `views` is not looked at between the claim and its freeing; EDGE_V5, V6
 * weakened.
 *
 * ok:
 * ok: -DEVICTORS=2
 * ok: -DREMOVE=1
 * ok: -DSHARED=1
 * ok: -DSHARED=1 -DEVICTORS=2
 * bad: -DBAD=1
 * bad: -DBAD=2
 * bad: -DEDGE_V5=memory_order_release
 * bad: -DEDGE_V6=memory_order_relaxed
 * bad: -DREMOVE=1 -DBAD=2
 * bad: -DREMOVE=1 -DEDGE_V5=memory_order_release
 * bad: -DREMOVE=1 -DEDGE_V6=memory_order_relaxed
 * bad: -DSHARED=1 -DBAD=3 */
#define M_ENDPOINTS 2
#include "model.h"

#ifndef REMOVE
#define REMOVE 0
#endif
#ifndef SHARED
#define SHARED 0
#endif

#ifndef EVICTORS
#define EVICTORS 1
#endif

#define V_IDENTITY 77u
#define N_IDENTITY 88u

static struct shmqi_gate gate;
static struct m_seen seen_v, seen_n;
static struct shmqi_claims claims;

static void *producer(void *arg)
{
    uint64_t seq;
    (void)shmqi_gate_refresh(&m_ring, &gate, 1, NULL);
    if (gate.seq < 1)
        return arg;
    (void)m_mpmc_put(&m_ring, &gate, 0, 11, &seq);
    return arg;
}

/* -- copied from reader.c: shmqi_view_begin(), shmqi_view_end() ------------ */
static bool evicted;

static bool view_begin(void)
{
    bool early = shm_ld(V2, &m_groups[0].reader) == V_IDENTITY;
    uint64_t mark = shm_ld(V8, &m_endpoints[0].evicted);
    uint64_t word = shm_ld(J1, &m_groups[0].word);
    shm_st(V5, &m_endpoints[0].views, 1);
    if (BAD != 2) {
        mark = shm_ld(V8, &m_endpoints[0].evicted);
        early = shm_ld(V2, &m_groups[0].reader) == V_IDENTITY;
        word = shm_ld(J1, &m_groups[0].word);
    }
    if (mark == V_IDENTITY) {
        evicted = true;
        return false;
    }
    return (SHARED || early) &&
        shmqi_gword_unpack(word).state == SHMQI_GROUP_READY;
}

/* As take_fresh() and take() in member.c. */
static bool take(uint32_t owner, uint64_t *ret_word)
{
    uint64_t k = shm_ld(S2, shmqi_claim_at(&claims, 0));
    if (shmqi_claim_age(&claims, k, 0) == 0 &&
        shmqi_claim_unpack(k).state != SHMQI_CLAIM_FREE)
        return false;
    return shmqi_claim_take(
        &claims, 0, k, owner, SHMQI_CLAIM_CLAIMED, ret_word);
}

static void *viewer(void *arg)
{
    uint64_t held;
    for (int i = 0; i < 1 + SHARED && !evicted && seen_v.cnt == 0; i++) {
        bool mine = view_begin();
        if (mine && SHARED)
            mine = take(0, &held);
        if (mine)
            (void)m_mpmc_read(&m_ring, 0, &seen_v);
        shm_st(V6, &m_endpoints[0].views, 0);
    }
    return arg;
}

/* -- copied from group_api.c: take_from(), take_reader_role(), and from reap.c:
 * claims_free_of() --------------------------------------------------------- */
static void *evictor(void *arg)
{
    struct shmqi_endpoint_shm *e = &m_endpoints[0];
    uint64_t tag = shmqi_cursor_tag(shm_ld(J9, &m_groups[0].floor));
    if (shm_ld(V1, &e->views) != 0)
        return arg;
    if (SHARED) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(&claims, 0));
        if (shmqi_claim_age(&claims, k, 0) == 0 && shmqi_claim_held_by(k, 0)) {
            if (BAD != 3 && shm_ld(V1, &e->views) != 0)
                return arg;
            (void)shm_cas(
                S9, shmqi_claim_at(&claims, 0), k, shmqi_claim_freed(k));
        }
    } else if (shm_cas(V3, &m_groups[0].reader, V_IDENTITY, 0)) {
        uint64_t f = shm_ld(J9, &m_groups[0].floor);
        if (shmqi_cursor_tag(f) == tag)
            (void)shm_cas(J10, &m_groups[0].floor, f,
                shmqi_cursor(tag + SHMQI_TAG_STEP, f));
    }
    shm_st(V7, &e->evicted, V_IDENTITY);
    return arg;
}

/* -- copied from reader.c: take_role(), take_floor() ----------------------- */
static bool take_role(void)
{
    if (!shm_cas(V3, &m_groups[0].reader, 0, N_IDENTITY))
        return false;
    if (BAD == 1)
        return true;
    uint64_t name = shmqi_naming(0, 0);
    if (shm_ld(J6, &m_endpoints[0].member_of) != name ||
        shm_ld(V1, &m_endpoints[0].views) == 0)
        return true;
    (void)shm_cas(V3, &m_groups[0].reader, N_IDENTITY, 0);
    return false;
}

static void *newcomer(void *arg)
{
    if (SHARED) {
        uint64_t w;
        if (take(1, &w) && shmqi_claim_ack(&claims, 0, w, 1, 1, &w))
            shmqi_claims_walk(&claims, 1);
        return arg;
    }
    if (!take_role())
        return arg;
    uint64_t f = shm_ld(J9, &m_groups[0].floor);
    uint64_t mine = shmqi_cursor(shmqi_cursor_tag(f) + SHMQI_TAG_STEP, f);
    if (!shm_cas(J10, &m_groups[0].floor, f, mine))
        return arg;
    (void)m_mpmc_read(&m_ring, 0, &seen_n);
    (void)m_floor(&m_ring, 0, &mine, shmqi_pos(1, 0));
    return arg;
}

static void *remover(void *arg)
{
    uint64_t w = m_gword(0, SHMQI_GROUP_READY, 1);
    if (shm_cas(J2, &m_groups[0].word, w,
            shmqi_gword_with(w, SHMQI_GROUP_DELETING, 0)))
        (void)shm_add(J4, &m_control.version, 1);
    return arg;
}

int main(void)
{
    pthread_t p, v, e, n, e2;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHARED ? SHMQ_GROUP_SHARED : SHMQ_GROUP_EXCLUSIVE);
    m_claims_open(&m_ring, &claims);
    M_INIT(&m_groups[0].reader, V_IDENTITY);
    M_INIT(&m_endpoints[0].identity, V_IDENTITY);
    M_INIT(&m_endpoints[0].member_of, shmqi_naming(0, 0));
    M_INIT(&m_endpoints[1].identity, N_IDENTITY);
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    pthread_create(&v, NULL, viewer, NULL);
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&e, NULL, REMOVE ? remover : evictor, NULL);
    if (!REMOVE)
        pthread_create(&n, NULL, newcomer, NULL);
    if (EVICTORS == 2)
        pthread_create(&e2, NULL, evictor, NULL);
    pthread_join(v, NULL);
    pthread_join(p, NULL);
    pthread_join(e, NULL);
    if (!REMOVE)
        pthread_join(n, NULL);
    if (EVICTORS == 2)
        pthread_join(e2, NULL);
    m_seen_check(&seen_v);
    m_seen_check(&seen_n);
    return 0;
}
