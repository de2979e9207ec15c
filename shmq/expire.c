/* expire.c - records older than the topic's ttl.
 *
 * A record expires when it is about to be handed out; until then it gates as
 * ever. Its end is an ordinary acknowledgement: a reader killed between copy
 * and acknowledgement leaves a record that expires again, so the dead-letter
 * topic may hold it twice (its history tells), never not at all. */
#include "consumer_impl.h"

static bool too_old(
    const struct shmq_consumer *c, const struct shmq_message *msg)
{
    uint64_t now = shmqi_now_coarse(), then = (uint64_t)msg->time_ns;
    return now > then && now - then > c->ring->ttl_ns;
}

static void count(struct shmq_consumer *c)
{
    (void)shm_add(N3, &c->ring->control->expired, 1);
    if (c->mode != SHMQI_MODE_EPHEMERAL)
        (void)shm_add(N3, &c->ring->groups[c->member.entry].expired, 1);
}

bool shmqi_expire(struct shmq_consumer *c, struct shmq_message *msg)
{
    if (!too_old(c, msg))
        return false;
    /* What the dead-letter topic does not take is handed out late rather than
     * lost. */
    if ((c->ring->flags & SHMQ_TOPIC_TTL_DEAD_LETTER) &&
        c->mode != SHMQI_MODE_EPHEMERAL &&
        !shmqi_dead_letter_copy(c, msg, msg->attempt, "expired"))
        return false;
    int rc = SHMQ_OK;
    if (c->flags & SHMQ_CONSUMER_MANUAL_ACK)
        rc = shmq_consumer_ack(c, msg);
    int rc2 = shmq_consumer_release(c, msg);
    if (rc == SHMQ_OK && rc2 == SHMQ_OK)
        count(c);
    return true;
}
