/* dead_topic.h - a dead-letter topic beside the topic of model.h: a ring of its
 * own, of two producers with one frame each, that nothing gates; with
 * -DDURABLE=1 a log and a mark behind it. Records are two words of 10. */
#ifndef SHMQ_MODEL_DEAD_TOPIC_H
#define SHMQ_MODEL_DEAD_TOPIC_H

#include "model.h"

#ifndef DURABLE
#define DURABLE 0
#endif

static struct shmqi_data_shm dead_data;
static struct shmqi_control_shm dead_control;
static struct shmqi_arena_shm dead_arenas[2];
static shmqi_word dead_slots[1 << M_CAP_LG2];
static shmqi_word dead_bytes[2 * SHMQI_FRAME_UNIT / 8];
static struct shmqi_gate dead_gate[2];
static struct shmqi_ring dead;
static struct shmqi_marks_shm dead_marks;
static shmqi_word dead_log[2]; /* a segment file */

/* After m_topic(). */
static inline void dead_topic(void)
{
    dead = m_ring;
    dead.data = &dead_data;
    dead.control = &dead_control;
    dead.slots = dead_slots;
    dead.arenas = dead_arenas;
    dead.arena_base = (uint8_t *)dead_bytes;
    dead.group_cnt = 0;
    M_INIT(&dead_control.version, 1);
    for (uint64_t s = 0; s < 1u << M_CAP_LG2; s++)
        M_INIT(&dead_slots[s], shmqi_slot(shmqi_slot_lap(s, M_CAP_LG2) - 1, 0));
    dead_gate[0].version = dead_gate[1].version = 1;
}

/* As shmqi_dead_send(), by its producer `idx`. Returns the copy's place. */
static inline uint64_t dead_send(uint32_t idx, uint64_t x, uint64_t y)
{
    uint64_t seq = 0;
    shmqi_word *at = m_frame_at(&dead, idx);
    shm_st(N2, at, x);
    shm_st(N2, at + 1, y);
    int rc = shmqi_mpmc_publish(&dead, &dead_gate[idx], idx, &seq);
    assert(rc == SHMQ_OK);
    return seq;
}

/* As shmqi_dead_mark(): copies below it are safe. */
static inline uint64_t dead_mark(void)
{
    return DURABLE ? shmqi_marks_level(&dead_marks, SHMQ_LEVEL_DURABLE)
                   : UINT64_MAX;
}

/* Whether copy `seq` is as safe as it should be, to whoever looks. */
static inline bool dead_arrived(uint64_t seq)
{
    uint64_t w;
    if (DURABLE)
        return dead_mark() > seq && M_READ(&dead_log[seq]) == 10;
    if (shmqi_mpmc_look(&dead, seq, &w) != 0)
        return false;
    shmqi_word *at = m_frame_at(&dead, shmqi_slot_frame(w));
    uint64_t x = M_READ(at), y = M_READ(at + 1);
    assert(x == 10 && y == 10 && "a torn copy was published");
    return true;
}

/* shmqd: what the slots show goes to the log, then the mark rises. */
static void *dead_drain(void *arg)
{
    for (uint64_t seq = 0, w; seq < 2; seq++) {
        if (shmqi_mpmc_look(&dead, seq, &w) != 0)
            return arg;
        M_INIT(&dead_log[seq], M_READ(m_frame_at(&dead, shmqi_slot_frame(w))));
        shm_st(M1, &dead_marks.durable, seq + 1);
    }
    return arg;
}

/* Of a durable one, shmqd runs beside. */
static pthread_t dead_daemon;

static inline void dead_begin(void)
{
    if (DURABLE)
        pthread_create(&dead_daemon, NULL, dead_drain, NULL);
}

static inline void dead_end(void)
{
    if (DURABLE)
        pthread_join(dead_daemon, NULL);
}

#endif
