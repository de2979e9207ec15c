/* seek_kill - an exclusive reader killed inside a seek, its successor goes on.
 *
 * S reads two records for group 0, moves its floor, then seeks to the earliest
 * place: it pins below the gate, tells everybody, settles at or above the gate.
 * It may be killed before any access. N takes the floor over and reads, while P
 * laps the ring. Shown: what N finds is whole. Must fail: BAD=1 a pin that was
 * left is taken for a place, 2 it is settled without telling everybody.
 *
 * ok:
 * bad: -DBAD=1
 * bad: -DBAD=2 */
#define M_MORTAL 1
#define M_PRODUCERS 1
#define M_GROUPS 1
#ifndef RECORDS
#define RECORDS 4
#endif
#include "model.h"

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

/* -- copied from reader.c: shmqi_reader_seek() ----------------------------- */
static void seek(uint64_t *word, uint64_t at)
{
    uint64_t low = m_ring_low(&m_ring), tag = shmqi_cursor_tag(*word);
    uint64_t pin =
        m_cursor_of(&m_ring, tag | SHMQI_TAG_PIN, at < low ? at : low);
    if (!shm_cas(J10, &m_groups[0].floor, *word, pin))
        return;
    (void)shm_add(J4, &m_control.version, 1);
    shm_fence(J7);
    low = m_ring_low(&m_ring);
    (void)shm_cas(J10, &m_groups[0].floor, pin, m_cursor_of(&m_ring, tag, low));
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
    seek(&word, pos);
    return arg;
}

/* -- copied from reader.c: take_floor(), settle_pin() ---------------------- */
static void *newcomer(void *arg)
{
    bool whole = true;
    pthread_join(ts, NULL);
    uint64_t f = shm_ld(J9, &m_groups[0].floor);
    uint64_t tag = shmqi_cursor_tag(f) + SHMQI_TAG_STEP;
    uint64_t word = shmqi_cursor(tag, f);
    if (!shm_cas(J10, &m_groups[0].floor, f, word))
        return arg;
    uint64_t pos = shmqi_cursor_place(word) << 3;
    if (BAD != 1 && (tag & SHMQI_TAG_PIN)) {
        if (BAD != 2)
            (void)shm_add(J4, &m_control.version, 1);
        shm_fence(J7);
        uint64_t low = m_ring_low(&m_ring);
        if (pos < low)
            pos = low;
        uint64_t w = m_cursor_of(&m_ring, tag & ~SHMQI_TAG_PIN, pos);
        if (!shm_cas(J10, &m_groups[0].floor, word, w))
            return arg;
    }
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
