/* attach_race - two processes attach to one free entry, one of them killed in
 * the middle; a third reads who is there; names are entered by two at once.
 *
 * A (identity 70) and B (71) want the only entry; A may be killed before any
 * access, then B reaps what is half made and tries again. X reads the entry.
 * Shown: what X reads of an endpoint are this endpoint's fields; one owns the
 * entry in the end; a living one that was through is never thrown out.
 * -DNAMES=1: instead, two processes enter names: the same (-DSAME=1) or two of
 * which the second finds the first's place taken; a third looks one up. Shown:
 * each name has one place, nobody finds another's.
 *
 * ok:
 * ok: -DNAMES=1
 * ok: -DNAMES=1 -DSAME=1
 * big: -DWATCHERS=2
 * big: -DNAMES=1 -DWATCHERS=3
 * mutate(E):
 * mutate(J): -DNAMES=1
 * bad: -DEDGE_E8=memory_order_relaxed
 * bad: -DEDGE_E9=memory_order_relaxed
 * bad: -DBAD=1 */
#define M_MORTAL 1
#define M_ENDPOINTS 1
#define M_PRODUCERS 1
#define M_GROUPS 1
#define M_NAMES 2
#ifndef NAMES
#define NAMES 0
#endif
#ifndef WATCHERS
#define WATCHERS 1
#endif
#ifndef SAME
#define SAME 0
#endif
#include "model.h"

static pthread_t ta;
static bool through[2];

/* As shmqi_endpoint_claim(). BAD=1: valid from the first CAS on. */
static bool attach(uint64_t identity)
{
    struct shmqi_fields f = {
        identity, identity, identity, identity, identity, {0, 0}};
    if (!shmqi_entry_take(&m_ring, 0, identity))
        return false;
    if (BAD == 1)
        (void)shmqi_entry_valid(&m_ring, 0, identity);
    shmqi_entry_fill(&m_ring, 0, &f);
    return BAD == 1 || shmqi_entry_valid(&m_ring, 0, identity);
}

static void *first(void *arg)
{
    m_mortal = true;
    through[0] = attach(70);
    if (through[0])
        shmqi_entry_free(&m_ring, 0, 70);
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

static void *second(void *arg)
{
    through[1] = attach(71);
    if (through[1])
        return arg;
    pthread_join(ta, NULL); /* proof of death */
    uint64_t identity = shmqi_identity_at(&m_ring, 0);
    if (identity != 0)
        shmqi_clear_identity(&m_ring, 0, identity);
    through[1] = attach(71);
    return arg;
}

static void *watcher(void *arg)
{
    struct shmqi_fields f;
    uint64_t identity;
    if (shmqi_entry_read(&m_ring, 0, &identity, &f))
        assert(f.pid == identity && f.start_time == identity &&
            f.image == identity && "fields of another endpoint");
    return arg;
}

/* -- names: hash 5 wants place 0 ------------------------------------------- */
static uint32_t place[2];
static const uint64_t words[2][SHMQI_NAME_WORDS] = {{1, 2}, {3, 4}};

/* As shmqi_group_name(). */
static enum shmqi_name_found enter(uint64_t which, bool insert, uint32_t *ret)
{
    enum shmqi_name_found found = SHMQI_NAME_NONE;
    for (*ret = 0; *ret < M_NAMES; ++*ret) {
        found = shmqi_name_at(&m_ring, *ret, 5 + which, words[which], insert);
        if (found != SHMQI_NAME_OTHER)
            break;
    }
    return found;
}

static void *namer(void *arg)
{
    uint64_t which = arg && !SAME ? 1 : 0;
    enum shmqi_name_found found = enter(which, true, &place[arg ? 1 : 0]);
    assert(found == SHMQI_NAME_HERE && "its name does not fit");
    return NULL;
}

static void *finder(void *arg)
{
    uint32_t at;
    enum shmqi_name_found found = enter(0, false, &at);
    assert((found == SHMQI_NAME_HERE || found == SHMQI_NAME_NONE ||
               found == SHMQI_NAME_OTHER || found == SHMQI_NAME_COLLIDES) &&
        "nonsense");
    if (found == SHMQI_NAME_HERE)
        assert(at < M_NAMES);
    return arg;
}

static void names(void)
{
    pthread_t a, b, f[WATCHERS];
    pthread_create(&a, NULL, namer, NULL);
    pthread_create(&b, NULL, namer, &a);
    for (int i = 0; i < WATCHERS; i++)
        pthread_create(&f[i], NULL, finder, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    for (int i = 0; i < WATCHERS; i++)
        pthread_join(f[i], NULL);
    assert((SAME ? place[0] == place[1] : place[0] != place[1]) &&
        "one place for each name");
    for (uint64_t i = 0; i < 2; i++) {
        uint32_t at;
        enum shmqi_name_found found = enter(SAME ? 0 : i, false, &at);
        assert(found == SHMQI_NAME_HERE && at == place[i]);
    }
}

int main(void)
{
    pthread_t tb, tk, tx[WATCHERS];
    m_topic(SHMQ_RING_MPMC);
    if (NAMES) {
        names();
        return 0;
    }
    pthread_create(&ta, NULL, first, NULL);
    pthread_create(&tk, NULL, killer, NULL);
    pthread_create(&tb, NULL, second, NULL);
    for (int i = 0; i < WATCHERS; i++)
        pthread_create(&tx[i], NULL, watcher, NULL);
    pthread_join(tk, NULL);
    pthread_join(tb, NULL);
    for (int i = 0; i < WATCHERS; i++)
        pthread_join(tx[i], NULL);
    assert(through[1] && shmqi_identity_at(&m_ring, 0) == 71 &&
        "nobody owns the entry");
    return 0;
}
