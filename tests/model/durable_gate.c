/* durable_gate - a durable topic: the drain alone lets memory be reused.
 *
 * P publishes a frame, and the same bytes again as soon as `drained` has passed
 * it. D copies what the slots show, puts it into the log, raises the marks, and
 * wakes. R, of a group that gates nothing, copies and validates; what it finds
 * overwritten it reads from the log, if `drained` reaches there. W sleeps until
 * the first frame is drained. Shown: D's copies are whole without validation
 * (DRAINED); R never gets a torn or wrong frame, and what it finds overwritten
 * is in the log when `drained` says so (PAST); W's futex word never promises
 * more than the mark it then loads. Must fail: BAD=1 drained rises before D has
 * copied, 2 before the log has it, 3 R calls lost what the log does not reach
 * yet, 4 R believes the log beyond `drained`, 5 woken before the rise; EDGE_M1,
 * M3, M4, M5 relaxed (M2: memory-model.md, 19).
 *
 * ok:
 * big: -DFRAMES=3
 * mutate(MCAP):
 * bad: -DBAD=1
 * bad: -DBAD=2
 * bad: -DBAD=3
 * bad: -DBAD=4
 * bad: -DBAD=5
 * bad: -DEDGE_M1=memory_order_relaxed
 * bad: -DEDGE_M3=memory_order_relaxed
 * bad: -DEDGE_M4=memory_order_relaxed
 * bad: -DEDGE_M5=memory_order_relaxed */
#define M_GROUPS 1
#define M_ENDPOINTS 1
#ifndef FRAMES
#define FRAMES 2
#endif
#include "model.h"

static struct shmqi_marks_shm m_marks;
static shmqi_word m_log[FRAMES]; /* a segment file */
static struct shmqi_gate gate;

/* The frame of value `v` behind the one of sequence *seq. */
static bool publish(uint64_t v, uint64_t *seq)
{
    if (v > 10) {
        (void)shmqi_gate_refresh(&m_ring, &gate, *seq + 1, NULL);
        if (gate.seq <= *seq)
            return false;
        shmqi_arena_reclaim(&m_ring, 0, gate.seq);
    }
    shmqi_word *at = m_frame_at(&m_ring, 0);
    shm_st(N2, at, v);
    shm_st(N2, at + 1, v);
    return shmqi_mpmc_publish(&m_ring, &gate, 0, seq) == 0;
}

static void *producer(void *arg)
{
    uint64_t seq = 0;
    for (uint64_t v = 10; v < 10 + FRAMES; v++)
        if (!publish(v, &seq))
            break;
    return arg;
}

/* As shmqi_drain_raise(). */
static void raise(uint64_t seq)
{
    if (BAD == 5)
        (void)shm_add(M4, &m_marks.wake, 1);
    shm_st(M1, &m_marks.written, shmqi_pos(seq, 0));
    shm_st(M1, &m_marks.drained, shmqi_pos(seq, 0));
    if (BAD != 5)
        (void)shm_add(M4, &m_marks.wake, 1);
}

static void *drain(void *arg)
{
    for (uint64_t seq = 0; seq < FRAMES; seq++) {
        uint64_t w;
        if (shmqi_mpmc_look(&m_ring, seq, &w) != 0)
            return arg;
        if (BAD == 1)
            raise(seq + 1);
        shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(w));
        uint64_t a = M_READ(at), b = M_READ(at + 1);
        assert(a == 10 + seq && b == 10 + seq && "the drain's copy is torn");
        if (BAD == 2)
            raise(seq + 1);
        M_INIT(&m_log[seq], a);
        raise(seq + 1);
    }
    return arg;
}

/* As consumer_past.c: from the ring, else from the log. */
static void *reader(void *arg)
{
    uint64_t w;
    int64_t age = shmqi_mpmc_look(&m_ring, 0, &w);
    if (age < 0)
        return arg;
    shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(w));
    uint64_t a = M_READ(at), b = M_READ(at + 1);
    if (age == 0 && shmqi_mpmc_copy_valid(&m_ring, 0, w, 0)) {
        assert(a == 10 && b == 10 && "a torn copy");
        return arg;
    }
    bool reaches = shm_ld(M3, &m_marks.drained) > 0;
    if (BAD == 3)
        assert(reaches && "told as lost");
    if (reaches || BAD == 4)
        assert(M_READ(&m_log[0]) == 10 && "not in the log");
    return arg;
}

/* As wait_level(): the futex word, then the mark, then FUTEX_WAIT on it. */
static void *waiter(void *arg)
{
    uint32_t value = shm_ld(M5, &m_marks.wake);
    bool there = shm_ld(M3, &m_marks.written) > 0;
    /* Asleep on a word that moves no more while the mark stands. */
    assert((there || value == 0) && "sleeps through the rise");
    if (there)
        assert(M_READ(&m_log[0]) == 10 && "acknowledged, not in the log");
    return arg;
}

int main(void)
{
    pthread_t p, d, r, w;
    m_topic(SHMQ_RING_MPMC);
    m_ring.gated_by = SHMQI_GATED_BY_DRAIN;
    m_ring.marks = &m_marks;
    gate.version = 1;
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&d, NULL, drain, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_create(&w, NULL, waiter, NULL);
    pthread_join(p, NULL);
    pthread_join(d, NULL);
    pthread_join(r, NULL);
    pthread_join(w, NULL);
    return 0;
}
