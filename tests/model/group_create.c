/* group_create - two creators of one name; one of them killed or stopped
 * anywhere; a third process that only joins.
 *
 * X (endpoint 0) may be killed before any access (then R reaps it) or with
 * -DSTOP=1 stopped for ever; Y (endpoint 1) makes the same group; J (endpoint
 * 2) joins what is bound. Shown: in the end the name means one group, READY or
 * made READY by the next who joins, its words are those of its creator,
 * complete; nobody waits for anybody; entries of losers and of the dead are
 * free again. Whoever meets what X has sealed binds it in its place.
 *
 * TRIES=1: the third process tries once, a much smaller model for the sample.
 *
 * ok: -DTRIES=1
 * ok:
 * ok: -DSTOP=1
 * mutate(JE):
 * bad: -DBAD=1 */
#define M_MORTAL 1
#define M_ENDPOINTS 3
#define M_PRODUCERS 1
#define M_GROUPS 2
#include "model.h"

#ifndef STOP
#define STOP 0
#endif

#ifndef TRIES
#define TRIES 2
#endif

#define X_IDENTITY 70u

static pthread_t tx;
static bool made[2];

/* As shmqi_group_make(). BAD=1: sealed before its words are final. */
static void make(uint32_t self, uint64_t old_bind)
{
    uint64_t creating = 0;
    uint32_t entry = 0;
    while (
        entry < M_GROUPS && !shmqi_life_take(&m_ring, self, entry, &creating))
        entry++;
    assert(entry < M_GROUPS && "an entry is lost");
    struct shmqi_group_shm *g = &m_groups[entry];
    uint64_t gating = shmqi_gword_with(creating, SHMQI_GROUP_GATING, self);
    (void)shmqi_life_touch(&m_ring, self, entry);
    shm_st(N2, &g->attrs, SHMQ_GROUP_EXCLUSIVE);
    (void)m_place(&m_ring, entry, creating, false);
    shm_st(N2, &g->seen, 100 + self);
    if (BAD != 1)
        shm_st(N2, &g->lease_ns, 100 + self);
    made[self] =
        shmqi_life_bind(&m_ring, old_bind, entry, gating) == SHMQI_MADE;
    if (BAD == 1)
        shm_st(N2, &g->lease_ns, 100 + self);
    shmqi_life_untouch(&m_ring, self);
    if (!made[self])
        (void)shmqi_life_sweep(&m_ring, entry);
}

static void *creator(void *arg)
{
    uint32_t self = arg ? 1 : 0;
    m_mortal = self == 0;
    uint64_t bind = shmqi_bind_word(&m_ring, 0);
    if (shmqi_bind_entry(bind) == 0)
        make(self, bind);
    return NULL;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

/* One try to join; the next helps a creator to READY. */
static bool join(uint32_t self)
{
    uint32_t generation = 0;
    uint64_t bind = shmqi_bind_word(&m_ring, 0);
    uint32_t entry = shmqi_bind_entry(bind);
    if (entry == 0 ||
        shmqi_life_join(&m_ring, self, entry - 1, 0, bind, &generation) !=
            SHMQI_JOINED)
        return false;
    struct shmqi_group_shm *g = &m_groups[entry - 1];
    uint64_t seen = shm_ld(J9, &g->seen), lease = shm_ld(N1, &g->lease_ns);
    assert(seen >= 100 && seen == lease && "joined before it was complete");
    return true;
}

static void *joiner(void *arg)
{
    if (!join(2) && TRIES > 1)
        (void)join(2);
    return arg;
}

static uint32_t state_of(uint32_t entry)
{
    return shmqi_gword_unpack(shmqi_life_word(&m_ring, entry)).state;
}

int main(void)
{
    pthread_t ty, tk, tj;
    m_topic(SHMQ_RING_MPMC);
    M_INIT(&m_endpoints[0].identity, X_IDENTITY);
    for (uint32_t i = 1; i < 3; i++)
        M_INIT(&m_endpoints[i].identity, X_IDENTITY + i);
    pthread_create(&tx, NULL, creator, NULL);
    pthread_create(&ty, NULL, creator, &tx);
    pthread_create(&tk, NULL, killer, NULL);
    pthread_create(&tj, NULL, joiner, NULL);
    pthread_join(tx, NULL);
    pthread_join(ty, NULL);
    pthread_join(tk, NULL);
    pthread_join(tj, NULL);
    assert(!(made[0] && made[1]) && "made twice");
    if (!STOP)
        m_reap(&m_ring, 1, 0, X_IDENTITY);
    for (uint32_t i = 0; i < M_GROUPS; i++) /* as shmqi_reap_all() */
        (void)shmqi_life_sweep(&m_ring, i);
    shmqi_life_leave(&m_ring, 2);
    bool in = join(2) || join(2);
    assert(in && "the group cannot be joined");
    uint32_t bound = shmqi_bind_entry(shmqi_bind_word(&m_ring, 0)) - 1;
    assert(state_of(bound) == SHMQI_GROUP_READY);
    if (!STOP)
        assert(state_of(1 - bound) == SHMQI_GROUP_FREE && "an entry is lost");
    return 0;
}
