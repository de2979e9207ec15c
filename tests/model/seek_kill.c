/* seek_kill - an exclusive reader killed inside a seek, its successor goes on.
 *
 * S reads two records for group 0, moves its floor, then seeks to the earliest
 * place: it pins below the gate, tells everybody, settles at or above the gate.
 * It may be killed before any access. N takes the floor over and reads, while P
 * laps the ring. Shown: what N finds is whole.
 *
 * ok:
 * big: -DRECORDS=5
 * mutate(JG):
 * bad: -DEDGE_J4=memory_order_relaxed */
#define M_MORTAL 1
#define M_PRODUCERS 1
#define M_GROUPS 1
#ifndef RECORDS
#define RECORDS 4
#endif
#include "model.h"

#define N_IDENTITY 88u

static struct shmqi_writer writer;
static pthread_t ts;
static uint64_t start;

static void *producer(void *arg)
{
    for (int i = 0; i < RECORDS; i++)
        if (m_spsc_put(&m_ring, &writer))
            break;
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

/* As shmqi_reader_seek(), to `earliest`. */
static void seek(uint64_t *word)
{
    uint64_t low, tag = shmqi_cursor_tag(*word);
    if (shmqi_pin_seek(&m_ring, &m_groups[0], word, &low))
        (void)shmqi_floor_move(
            &m_groups[0], word, shmqi_cursor_of(&m_ring, tag, low));
}

static void *seeker(void *arg)
{
    uint64_t word = 0, pos = 0;
    bool whole = true;
    for (int i = 0; i < 2 && m_spsc_read(&m_ring, pos, &whole); i++) {
        pos += M_RECORD;
        (void)m_floor(&m_ring, 0, &word, pos);
    }
    assert(whole);
    m_mortal = true;
    seek(&word);
    return arg;
}

/* As take_floor() and settle_pin(). */
static void *newcomer(void *arg)
{
    bool whole = true;
    uint64_t word, tag, seen;
    pthread_join(ts, NULL);
    if (shmqi_role_tag(&m_groups[0], N_IDENTITY, &word, &tag, &seen) !=
        SHMQI_TAGGED)
        return arg;
    uint64_t pos = shmqi_pos_of(&m_ring, word);
    if ((tag & SHMQI_TAG_PIN) &&
        !shmqi_pin_inherit(&m_ring, &m_groups[0], &word, &pos))
        return arg;
    (void)m_spsc_read(&m_ring, pos, &whole);
    assert(whole && "the first record was overwritten");
    start = pos;
    return arg;
}

int main(void)
{
    pthread_t p, k, n;
    m_topic(SHMQ_RING_SPSC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    M_INIT(&m_groups[0].reader, N_IDENTITY);
    pthread_create(&ts, NULL, seeker, NULL);
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&k, NULL, killer, NULL);
    pthread_create(&n, NULL, newcomer, NULL);
    pthread_join(p, NULL);
    pthread_join(k, NULL);
    pthread_join(n, NULL);
    bool whole = true;
    if (!m_spsc_read(&m_ring, start, &whole))
        assert(start == writer.pos && "a hole that looks like the end");
    assert(whole && "the first record was overwritten");
    return 0;
}
