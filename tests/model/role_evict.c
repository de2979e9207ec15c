/* role_evict - a reader evicted while it takes an exclusive group's role, and
 * its successor.
 *
 * V takes the role, raises the floor's tag and moves the floor; it may be
 * stopped before any access and go on at any time. E evicts it. N opens the
 * group as soon as the role is free, and moves the floor. Shown: V, coming
 * late, takes nothing from N, whom nobody evicts. -DEVICTORS=2: a second
 * evictor.
 *
 * ok:
 * ok: -DEVICTORS=2
 * mutate(JV):
 * bad: -DSHMQ_BUG_TAG_WITHOUT_ROLE */
#define M_ENDPOINTS 3
#define M_GROUPS 1
#include "model.h"

#ifndef EVICTORS
#define EVICTORS 1
#endif

#define V_IDENTITY 77u
#define N_IDENTITY 88u

/* As take_role() and take_floor() in reader_role.c; false: BUSY. */
static bool take(uint64_t identity, uint64_t *ret_floor)
{
    uint64_t tag, seen;
    if (!shmqi_role_take(&m_groups[0], 0, identity))
        return false;
    for (int i = 0; i < 2; i++)
        switch (
            shmqi_role_tag(&m_groups[0], identity, ret_floor, &tag, &seen)) {
        case SHMQI_TAGGED:
            return true;
        case SHMQI_TAG_AGAIN:
            continue;
        case SHMQI_TAG_LOST:
            return false;
        }
    return false;
}

static void *victim(void *arg)
{
    uint64_t floor;
    if (take(V_IDENTITY, &floor))
        (void)m_floor(&m_ring, 0, &floor, shmqi_pos(1, 0));
    return arg;
}

static void *evictor(void *arg)
{
    shmqi_role_evict(&m_groups[0], V_IDENTITY);
    return arg;
}

/* What it reads at its floor is done by nobody else. */
static void *newcomer(void *arg)
{
    uint64_t floor;
    if (!take(N_IDENTITY, &floor))
        return arg;
    uint64_t at = shmqi_pos_of(&m_ring, floor);
    bool moved = m_floor(&m_ring, 0, &floor, at + 2 * shmqi_pos(1, 0));
    assert(moved && "somebody else took the role from who has it");
    return arg;
}

int main(void)
{
    pthread_t v, e, e2, n;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    m_endpoint(0, V_IDENTITY);
    m_endpoint(1, N_IDENTITY);
    pthread_create(&v, NULL, victim, NULL);
    pthread_create(&e, NULL, evictor, NULL);
    if (EVICTORS == 2)
        pthread_create(&e2, NULL, evictor, NULL);
    pthread_create(&n, NULL, newcomer, NULL);
    pthread_join(v, NULL);
    pthread_join(e, NULL);
    if (EVICTORS == 2)
        pthread_join(e2, NULL);
    pthread_join(n, NULL);
    return 0;
}
