/* group_life - a group removed and its entry used for the next one, under the
 * hands of a slow helper and of a member that is just joining.
 *
 * Group g (entry 0, shared) has a claim that is done while its floor stays
 * behind. D removes g; N makes another group, of another name, in the same
 * entry, from the earliest place on; H (endpoint 1) walks g's floor. -DJOIN=1:
 * J (endpoint 2) joins g, instead of H. Shown: H's walk does not move the new
 * group's floor; nothing of an entry changes its meaning while somebody who has
 * joined names it; whoever joined g finds g's words.
 *
 * ok:
 * ok: -DJOIN=1
 * big: -DJOIN=1 -DBOTH=1
 * mutate(JES):
 * mutate(JE): -DJOIN=1
 * bad: -DBAD=1
 * bad: -DJOIN=1 -DBAD=2 */
#define M_ENDPOINTS 4
#define M_GROUPS 1
#define M_NAMES 2
#ifndef JOIN
#define JOIN 0
#endif
#ifndef BOTH
#define BOTH 0
#endif
#include "model.h"

#define N_ATTRS (1ull << 32 | 7u << 16 | SHMQ_GROUP_SHARED)
#define N_ENDPOINT 3u

static struct shmqi_gate gate;
static bool made, joined;
static uint32_t joined_generation;
static uint64_t joined_attrs;

/* As remove_group() with --force. */
static void *remover(void *arg)
{
    if (shmqi_life_unbind(&m_ring, 0, shmqi_bind(1, 1)))
        (void)shmqi_life_sweep(&m_ring, 0);
    return arg;
}

/* As shmqi_group_make() of name 1. */
static void *newcomer(void *arg)
{
    struct shmqi_group_shm *g = &m_groups[0];
    uint64_t creating;
    (void)shmqi_life_sweep(&m_ring, 0);
    if (!shmqi_life_take(&m_ring, N_ENDPOINT, 0, &creating))
        return arg;
    shm_st(N2, &g->attrs, N_ATTRS);
    uint64_t gating =
        shmqi_gword_with(creating, SHMQI_GROUP_GATING, N_ENDPOINT);
    uint64_t pos = m_place(&m_ring, 0, creating, false);
    struct shmqi_claims c = shmqi_claims_of(&m_ring, 0);
    shmqi_claims_reset(&c, pos);
    made = shmqi_life_bind(&m_ring, 0, 0, gating) == SHMQI_MADE;
    return arg;
}

/* As shmqi_walk_floors(). BAD=1: without naming the entry. */
static void *helper(void *arg)
{
    uint64_t w = BAD == 1 ? shmqi_life_word(&m_ring, 0)
                          : shmqi_life_touch(&m_ring, 1, 0);
    if (shmqi_gword_unpack(w).state == SHMQI_GROUP_READY) {
        struct shmqi_claims c = shmqi_claims_of(&m_ring, 0);
        shmqi_claims_walk(&c, 0);
    }
    shmqi_life_untouch(&m_ring, 1);
    return arg;
}

/* As shmqi_group_join(), one try. BAD=2: it counts as joined whatever the word
 * was like. */
static void *joiner(void *arg)
{
    uint64_t bind = shmqi_bind_word(&m_ring, 0);
    if (shmqi_bind_entry(bind) == 0)
        return arg;
    enum shmqi_life_joined how =
        shmqi_life_join(&m_ring, 2, 0, 0, bind, &joined_generation);
    joined = how == SHMQI_JOINED || BAD == 2;
    joined_attrs = shm_ld(N1, &m_groups[0].attrs);
    return arg;
}

int main(void)
{
    pthread_t d, n, h, j;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    for (uint32_t i = 1; i < 4; i++)
        M_INIT(&m_endpoints[i].identity, 70 + i);
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    struct shmqi_claim done = {1, SHMQI_CLAIM_DONE, 0, 0, 0};
    M_INIT(&m_claims[0], shmqi_claim_pack(done));
    pthread_create(&d, NULL, remover, NULL);
    pthread_create(&n, NULL, newcomer, NULL);
    if (!JOIN || BOTH)
        pthread_create(&h, NULL, helper, NULL);
    if (JOIN)
        pthread_create(&j, NULL, joiner, NULL);
    pthread_join(d, NULL);
    pthread_join(n, NULL);
    if (!JOIN || BOTH)
        pthread_join(h, NULL);
    if (JOIN)
        pthread_join(j, NULL);
    uint64_t word = shm_ld(J1, &m_groups[0].word);
    if (made) {
        struct shmqi_claims c = shmqi_claims_of(&m_ring, 0);
        assert(shmqi_gword_unpack(word).state == SHMQI_GROUP_READY &&
            shmqi_life_generation(word) == 1);
        assert(shmqi_claims_floor(&c, 0) == 0 && "its floor was moved");
        assert(shmqi_claim_unpack(shm_ld(S2, &m_claims[0])).lap == 0);
    }
    if (joined) {
        assert(joined_generation == 0 && !made &&
            shmqi_life_generation(word) == 0 &&
            "an entry was used again under its member");
        assert(
            (uint32_t)joined_attrs == SHMQ_GROUP_SHARED && "another group's");
    }
    return 0;
}
