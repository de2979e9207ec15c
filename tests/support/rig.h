/* rig.h - the smallest whole: an mpmc topic "t", a producer, and the reader of
 * an exclusive group "g". */
#ifndef SHMQ_TEST_RIG_H
#define SHMQ_TEST_RIG_H

#include "support/support.h"

struct rig {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *consumer;
};

static inline struct rig rig_open(uint64_t slots, uint64_t arena)
{
    struct shmq_topic_attrs attrs = t_mpmc(slots, arena);
    struct rig rig;

    rig.topic = t_topic("t", &attrs);
    rig.producer = t_producer(rig.topic);
    rig.consumer = t_exclusive(rig.topic, "g");
    return rig;
}

static inline void rig_close(struct rig *rig)
{
    shmq_consumer_close(rig->consumer);
    shmq_producer_close(rig->producer);
    shmq_topic_close(rig->topic);
}

#endif
