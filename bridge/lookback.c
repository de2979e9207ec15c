#include "lookback.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_A_RUN 2048u

struct shmqz_lookback {
    struct shmq_consumer *consumer;
    uint64_t producer; /* that asks */
    uint64_t seen_from, end;
    bool forgot;
    struct shmqz_piece piece; /* the frame being looked at */
    uint32_t left; /* its records still to come */
};

bool shmqz_lookback_lost_any(struct shmqz_topic *topic)
{
    struct shmq_topic_stat stat = {0};
    if (topic->attrs.durability) /* what the log has not is gone */
        return true;
    stat.struct_bytes = sizeof stat;
    return shmq_topic_stat(topic->handle, &stat) ||
        stat.total_messages > stat.depth_messages;
}

int shmqz_lookback_begin(struct shmqz_topic *topic, uint64_t from,
    uint64_t producer, struct shmqz_lookback **ret)
{
    struct shmq_consumer_options o = {0};
    uint64_t earliest = shmqz_topic_earliest(topic), ring_low, end;
    struct shmqz_lookback *look = calloc(1, sizeof *look);
    if (!look)
        return SHMQ_ERR_NOMEM;
    o.struct_bytes = sizeof o;
    o.start.kind = SHMQ_START_POSITION;
    o.start.value = from;
    int rc = shmq_topic_range(topic->handle, &ring_low, &end);
    if (rc == SHMQ_OK)
        rc = shmq_consumer_open(topic->handle, &o, &look->consumer);
    if (rc) {
        free(look);
        return rc;
    }
    look->producer = producer;
    look->seen_from = from;
    look->end = end;
    if (from < earliest && shmqz_lookback_lost_any(topic))
        look->seen_from = earliest;
    *ret = look;
    return SHMQ_OK;
}

/* Whether the record says that a remote producer's frame begins here. */
static bool begins(const struct shmq_message *msg, struct shmqz_piece *ret)
{
    struct shmq_attr attr;
    struct shmq_origin origin;
    if (shmq_message_attr(msg, SHMQ_ATTR_ORIGIN, 0, &attr) ||
        attr.value_bytes != sizeof origin)
        return false;
    memcpy(&origin, attr.value, sizeof origin);
    if (origin.producer == 0 || origin.record_cnt == 0 ||
        origin.record_cnt > SHMQ_BATCH_MAX)
        return false;
    ret->producer = origin.producer;
    ret->epoch = origin.epoch;
    ret->record_cnt = origin.record_cnt;
    ret->sequence = origin.sequence;
    ret->base_pos = msg->position;
    return true;
}

/* A frame's records follow each other, so its last one is known by counting. */
static void look_at(struct shmqz_lookback *look, struct shmqz_origins *origins,
    const struct shmq_message *msg)
{
    if (begins(msg, &look->piece))
        look->left = look->piece.record_cnt;
    if (look->left == 0)
        return;
    look->piece.end_pos = msg->position + 1;
    if (--look->left > 0)
        return;
    shmqz_origins_touch(origins, look->producer);
    if (shmqz_origins_add(origins, &look->piece, &look->forgot))
        return;
    look->forgot = true;
    if (look->piece.producer == look->producer)
        look->seen_from = look->piece.end_pos;
}

bool shmqz_lookback_run(struct shmqz_lookback *look,
    struct shmqz_origins *origins, struct shmqz_seen *ret)
{
    for (uint32_t i = 0; i < RECORDS_A_RUN; i++) {
        struct shmq_message msg;
        int rc = shmq_consumer_receive(look->consumer, &msg);
        if (rc == SHMQ_ERR_GAP) {
            struct shmq_gap gap;
            if (shmq_consumer_gap(look->consumer, &gap) == SHMQ_OK)
                look->seen_from = gap.to;
            look->left = 0;
            continue;
        }
        bool done = rc != SHMQ_OK || msg.position >= look->end;
        if (rc == SHMQ_OK) {
            if (!done)
                look_at(look, origins, &msg);
            (void)shmq_consumer_release(look->consumer, &msg);
        }
        if (done) {
            ret->rc = rc == SHMQ_ERR_EMPTY ? SHMQ_OK : rc;
            ret->from = look->seen_from;
            ret->forgot = look->forgot;
            return true;
        }
    }
    return false;
}

void shmqz_lookback_end(struct shmqz_lookback *look)
{
    if (!look)
        return;
    shmq_consumer_close(look->consumer);
    free(look);
}
