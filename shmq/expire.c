/* expire.c - records older than the topic's ttl.
 *
 * A record expires when it is about to be handed out; until then it gates as
 * ever. Its end is an ordinary acknowledgement, after the copy, if one is made,
 * is safe (deadletter.h): a reader killed before it leaves a record that
 * expires again, so the dead-letter topic may hold it twice (its history
 * tells), never not at all. */
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

static bool is_buried(const struct shmq_consumer *c)
{
    return (c->ring->flags & SHMQ_TOPIC_TTL_DEAD_LETTER) &&
        c->mode != SHMQI_MODE_EPHEMERAL;
}

void shmqi_expire_end(struct shmq_consumer *c, struct shmq_message *msg)
{
    int rc = SHMQ_OK;
    if (c->flags & SHMQ_CONSUMER_MANUAL_ACK)
        rc = shmq_consumer_ack(c, msg);
    int rc2 = shmq_consumer_release(c, msg);
    if (rc == SHMQ_OK && rc2 == SHMQ_OK)
        count(c);
}

/* Behind those that wait for room there already. */
static enum shmqi_sent copy(
    struct shmq_consumer *c, const struct shmq_message *msg, uint64_t *ret_at)
{
    if (c->dead.again)
        return SHMQI_SENT_FULL;
    return shmqi_dead_send(c, msg, msg->attempt, "expired", ret_at);
}

bool shmqi_expire(struct shmq_consumer *c, struct shmq_message *msg)
{
    struct shmqi_dying d = {0};
    if (!too_old(c, msg))
        return false;
    if (is_buried(c)) {
        enum shmqi_sent sent = shmqi_dead_room(c) ? copy(c, msg, &d.at)
                                                  : SHMQI_SENT_REFUSED;
        /* What the dead-letter topic does not take is handed out late rather
         * than lost. */
        if (sent == SHMQI_SENT_REFUSED)
            return false;
        if (sent == SHMQI_SENT_FULL) {
            d.at = UINT64_MAX; /* to be copied when it has room */
            sent = SHMQI_SENT_WAITS;
        }
#ifdef SHMQ_BUG_EXPIRED_FIRST
        sent = SHMQI_SENT_SAFE;
#endif
        if (sent == SHMQI_SENT_WAITS) {
            d.expired = true;
            d.msg = *msg;
            shmqi_dead_keep(c, &d);
            return true;
        }
    }
    shmqi_expire_end(c, msg);
    return true;
}
