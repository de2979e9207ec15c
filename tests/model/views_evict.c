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
 *
 * ok:
 * ok: -DREMOVE=1
 * ok: -DSHARED=1
 * big: -DEVICTORS=2
 * big: -DSHARED=1 -DEVICTORS=2
 * mutate(VJG):
 * mutate(VJG): -DREMOVE=1
 * mutate(VSE): -DSHARED=1
 * bad: -DEDGE_V5=memory_order_release
 * bad: -DEDGE_V6=memory_order_relaxed
 * bad: -DREMOVE=1 -DEDGE_V5=memory_order_release
 * bad: -DREMOVE=1 -DEDGE_V6=memory_order_relaxed */
#define M_ENDPOINTS 3
#define M_GROUPS 1
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

static bool evicted;

/* As shmqi_view_begin(). */
static bool view_begin(void)
{
    enum shmqi_view_start how =
        shmqi_view_up(&m_ring, 0, V_IDENTITY, 0, 0, !SHARED);
    evicted = how == SHMQI_VIEW_EVICTED;
    return how == SHMQI_VIEW_OK;
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
        shmqi_view_down(&m_ring, 0);
    }
    return arg;
}

/* As take_from() in group_api.c. */
static void *evictor(void *arg)
{
    if (shmqi_view_is_up(&m_ring, 0))
        return arg;
    if (!SHARED)
        shmqi_role_evict(&m_groups[0], V_IDENTITY);
    else if (!shmqi_clear_claims(&m_ring, 2, 0, 0, V_IDENTITY, true))
        return arg;
    shmqi_view_evicted(&m_ring, 0, V_IDENTITY);
    return arg;
}

/* As take_role() in reader_role.c. */
static bool take_role(void)
{
    if (!shmqi_role_take(&m_groups[0], 0, N_IDENTITY))
        return false;
    if (shmqi_role_viewer(&m_ring, 0, 0, 1, 0) == m_ring.endpoint_cnt)
        return true;
    shmqi_role_give(&m_groups[0], N_IDENTITY);
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
    uint64_t mine, tag, seen;
    if (shmqi_role_tag(&m_groups[0], N_IDENTITY, &mine, &tag, &seen) !=
        SHMQI_TAGGED)
        return arg;
    (void)m_mpmc_read(&m_ring, 0, &seen_n);
    (void)m_floor(&m_ring, 0, &mine, shmqi_pos(1, 0));
    return arg;
}

/* As remove_group() with --force. */
static void *remover(void *arg)
{
    if (shmqi_life_unbind(&m_ring, 0, shmqi_bind(1, 1)))
        (void)shmqi_life_sweep(&m_ring, 0);
    return arg;
}

int main(void)
{
    pthread_t p, v, e, n, e2;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHARED ? SHMQ_GROUP_SHARED : SHMQ_GROUP_EXCLUSIVE);
    claims = shmqi_claims_of(&m_ring, 0);
    M_INIT(&m_groups[0].reader, V_IDENTITY);
    m_endpoint(0, V_IDENTITY);
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
