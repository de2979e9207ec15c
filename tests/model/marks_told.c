/* marks_told - what shmqd tells besides the marks: where the log is, and which
 * places of groups are safe on disk.
 *
 * Without flags, the place of an entry: it belongs to group A, whose floor D
 * raises once; then the entry is used again, by B. Each floor is on disk before
 * D tells it. R is a member of A: what it takes for A's safe place was A's, and
 * is on disk. -DDIR=1, the directory's name: D writes it twice, R reads it (a
 * daemon that is killed in between leaves it odd). R gets one of the names,
 * whole, or none. -DASK=1, a commit: C moves its floor and asks, D looks
 * whether anybody asked and takes the places down, then arms and looks again,
 * as before a sleep. A commit that D counted is among the places; D does not
 * sleep over one, unless C's wake-up is still to come.
 * Must fail: BAD=1 the place told before it is on disk, 2 the entry's next
 * floor told under its last name, 3 the name read without the second look, 4
 * asked before the floor moves, 5 no look after arming; orders below.
 *
 * ok:
 * ok: -DDIR=1
 * ok: -DASK=1
 * mutate(M):
 * mutate(M): -DDIR=1
 * mutate(MT): -DASK=1
 * bad: -DBAD=1
 * bad: -DBAD=2
 * bad: -DDIR=1 -DBAD=3
 * bad: -DASK=1 -DBAD=4
 * bad: -DASK=1 -DBAD=5
 * bad: -DEDGE_M8=memory_order_relaxed
 * bad: -DEDGE_M9=memory_order_relaxed
 * bad: -DASK=1 -DEDGE_M6=memory_order_acq_rel
 * bad: -DDIR=1 -DEDGE_M10=memory_order_relaxed
 * bad: -DDIR=1 -DEDGE_M11=memory_order_relaxed
 * bad: -DDIR=1 -DEDGE_M12=memory_order_relaxed
 * bad: -DDIR=1 -DEDGE_M13=memory_order_relaxed */
#define M_GROUPS 1
#define M_ENDPOINTS 1
#include "model.h"

#ifndef DIR
#define DIR 0
#endif
#ifndef ASK
#define ASK 0
#endif

/* -- places: as tell_place() in drain_groups.c, safe_place() in commit.c ----
 */

#define A 0x100u
#define B 0x200u
static struct shmqi_journaled_shm m_place_told;
static shmqi_word m_disk[3]; /* places that are on disk, by their number */
static const uint64_t floors[3] = {5, 7, 50}; /* two of A, one of B */

static void tell(uint64_t name, uint32_t no)
{
    struct shmqi_journaled_shm *j = &m_place_told;
    if (BAD != 1)
        M_INIT(&m_disk[no], 1);
    if (shm_ld(N1, &j->group) != name) {
        if (BAD != 2)
            shm_st(M8, &j->group, 0);
        shm_st(M8, &j->floor, floors[no]);
        shm_st(M8, &j->group, name);
    } else if (shm_ld(N1, &j->floor) != floors[no]) {
        shm_st(M8, &j->floor, floors[no]);
    }
    if (BAD == 1)
        M_INIT(&m_disk[no], 1);
}

static void *teller(void *arg)
{
    tell(A, 0);
    tell(A, 1);
    tell(B, 2);
    return arg;
}

static void *member(void *arg)
{
    const struct shmqi_journaled_shm *j = &m_place_told;
    if (shm_ld(M9, &j->group) != A)
        return arg;
    uint64_t floor = shm_ld(M9, &j->floor);
    if (shm_ld(M9, &j->group) != A)
        return arg;
    assert(floor != floors[2] && "the place of another group");
    uint32_t no = floor == floors[1];
    assert(M_READ(&m_disk[no]) == 1 && "told, not on disk");
    return arg;
}

/* -- the directory: as shmqi_drain_set_dir(), shmqi_marks_dir() -------------
 */

#define WORDS 2
static struct shmqi_marks_shm m_marks;

static void *namer(void *arg)
{
    for (uint64_t name = 1; name <= 2; name++) {
        uint64_t version = shm_ld(N1, &m_marks.dir_version) & ~1ull;
        shm_st(M10, &m_marks.dir_version, version + 1);
        shm_fence(M12);
        for (uint32_t i = 0; i < WORDS; i++)
            shm_st(N2, &m_marks.dir_words[i], name);
        shm_st(M10, &m_marks.dir_version, version + 2);
    }
    return arg;
}

static void *reader(void *arg)
{
    uint64_t words[WORDS];
    uint64_t version = shm_ld(M11, &m_marks.dir_version);
    if (version == 0 || (version & 1))
        return arg;
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = shm_ld(N1, &m_marks.dir_words[i]);
    shm_fence(M13);
    if (BAD != 3 && shm_ld(N1, &m_marks.dir_version) != version)
        return arg;
    assert(words[0] == version / 2 && words[1] == version / 2 &&
        "half of a name, or another one");
    return arg;
}

/* -- commits: as ask() in commit.c, anything() in drain.c -------------------
 */

static shmqi_word m_place_now, m_armed, m_rung;

static void *asker(void *arg)
{
    if (BAD != 4)
        (void)shm_cas(J10, &m_place_now, 0, 7);
    (void)shm_add(M6, &m_control.commits, 1);
    if (BAD == 4)
        (void)shm_cas(J10, &m_place_now, 0, 7);
    if (shm_ld(P6, &m_armed) != 0) /* sleep.h */
        M_INIT(&m_rung, 1);
    return arg;
}

static void *drain(void *arg)
{
    uint64_t commits = shm_ld(M7, &m_control.commits);
    uint64_t floor = shm_ld(J9, &m_place_now);
    assert((commits == 0 || floor == 7) && "asked for, not taken down");
    (void)shm_or(T7, &m_armed, 1);
    shm_fence(T8);
    if (BAD != 5 && shm_ld(M7, &m_control.commits) != commits)
        return arg; /* goes round again */
    M_INIT(&m_groups[0].seen, 1 + commits); /* asleep */
    return arg;
}

int main(void)
{
    pthread_t p, r;
    m_topic(SHMQ_RING_MPMC);
    pthread_create(&p, NULL, DIR ? namer : ASK ? asker : teller, NULL);
    pthread_create(&r, NULL, DIR ? reader : ASK ? drain : member, NULL);
    pthread_join(p, NULL);
    pthread_join(r, NULL);
    if (ASK && M_READ(&m_groups[0].seen) == 1)
        assert(M_READ(&m_rung) == 1 && "asleep over a commit");
    return 0;
}
