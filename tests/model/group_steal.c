/* group_steal - the entry of a creator that stopped half-way is taken from it,
 * and used for another group, under its hands.
 *
 * X (endpoint 1) makes the group of name 0 in entry 0 and may be stopped for
 * ever before any access, or go on at any time. T (endpoint 2) steals the entry
 * when it meets it GATING, and makes the group of name 1 in it as soon as it is
 * free. -DHELP=1: H meanwhile finishes what it finds (sweeps). Shown: what a
 * name means at the end is READY, or will be when the next one looks; its words
 * are all of its own creator; a creator that was told so has made its group;
 * an entry belongs to one name.
 *
 * ok:
 * ok: -DHELP=1
 * mutate(JE):
 * mutate(JE): -DHELP=1
 * bad: -DBAD=1
 * bad: -DBAD=2
 * bad: -DEDGE_J2=memory_order_relaxed */
#define M_MORTAL 1
#define M_ENDPOINTS 3
#define M_PRODUCERS 1
#define M_GROUPS 1
#define M_NAMES 2
#ifndef HELP
#define HELP 0
#endif
#include "model.h"

static bool made[2];

/* As make_entry() in groups.c. BAD=1: the entry is not named while it is
 * written to. */
static void make(uint32_t self, uint32_t name)
{
    struct shmqi_group_shm *g = &m_groups[0];
    uint64_t creating;
    if (!shmqi_life_take(&m_ring, self, 0, &creating))
        return;
    uint64_t gating = shmqi_gword_with(creating, SHMQI_GROUP_GATING, self);
    if (BAD != 1)
        (void)shmqi_life_touch(&m_ring, self, 0);
    shm_st(N2, &g->attrs, (uint64_t)name << 32 | SHMQ_GROUP_EXCLUSIVE);
    (void)m_place(&m_ring, 0, creating, false);
    shm_st(N2, &g->seen, 100 + self);
    enum shmqi_life_made how = shmqi_life_bind(&m_ring, 0, 0, gating);
    made[name] = how == SHMQI_MADE;
    shmqi_life_untouch(&m_ring, self);
    if (how != SHMQI_MADE)
        (void)shmqi_life_sweep(&m_ring, 0);
}

static void *creator(void *arg)
{
    m_mortal = true;
    make(1, 0);
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

/* As steal_half_made() in relieve.c. BAD=2: a sealed entry is stolen, too. */
static void *thief(void *arg)
{
    uint64_t w = shmqi_life_word(&m_ring, 0);
    if (BAD == 2 && shmqi_gword_unpack(w).state == SHMQI_GROUP_SEALED)
        (void)shm_cas(J2, &m_groups[0].word, w,
            shmqi_gword_with(w, SHMQI_GROUP_DELETING, 0));
    (void)shmqi_life_steal(&m_ring, 0, w);
    (void)shmqi_life_sweep(&m_ring, 0);
    make(2, 1);
    return arg;
}

static void *helper(void *arg)
{
    (void)shmqi_life_sweep(&m_ring, 0);
    return arg;
}

int main(void)
{
    pthread_t x, k, t, h;
    m_topic(SHMQ_RING_MPMC);
    for (uint32_t i = 1; i < 3; i++)
        M_INIT(&m_endpoints[i].identity, 70 + i);
    pthread_create(&x, NULL, creator, NULL);
    pthread_create(&k, NULL, killer, NULL);
    pthread_create(&t, NULL, thief, NULL);
    if (HELP)
        pthread_create(&h, NULL, helper, NULL);
    pthread_join(x, NULL);
    pthread_join(k, NULL);
    pthread_join(t, NULL);
    if (HELP)
        pthread_join(h, NULL);
    shmqi_life_settle(&m_ring, 0);
    uint64_t word = shmqi_life_word(&m_ring, 0);
    uint32_t state = shmqi_gword_unpack(word).state;
    bool bound[2];
    for (uint32_t name = 0; name < 2; name++) {
        bound[name] = shmqi_bind_entry(shmqi_bind_word(&m_ring, name)) == 1;
        assert((!made[name] || bound[name]) && "what was made is not there");
        if (!bound[name])
            continue;
        assert(state == SHMQI_GROUP_READY && "a name without a group");
        assert(shm_ld(J9, &m_groups[0].seen) == 101 + name &&
            shmqi_life_name(&m_ring, 0) == name && "another creator's words");
    }
    assert(!(bound[0] && bound[1]) && "two names share an entry");
    return 0;
}
