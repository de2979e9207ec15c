/* scenario_roles.c - who reads: takeover and seek of exclusive groups, evict.
 */
#include "parts.h"

static struct {
    struct shmq_producer *producer;
    struct o_reader reader[5];
    uint32_t victim; /* endpoint */
} side;

/* -- takeover and seek --------------------------------------------------------
 */

static void seek_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 1);
    (void)o_publish(side.producer, 0, 2);
    x_as(2);
    side.reader[2] = o_reader(2, "g", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    /* A reader killed while it goes back leaves its mark; what was done before
     * and is gone by now is reported as a gap. */
    oracle.groups[0].lossy = true;
}

/* Reads, looks at a view for a while, and goes back now and then. */
static void read_and_seek(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h;
    for (uint32_t i = 0; i < cnt; i++) {
        if (x_below(4) == 0 && o_seek_back(r) != SHMQ_OK)
            return;
        int rc = o_receive(r, &h);
        if (rc == SHMQ_OK) {
            x_yield();
            (void)o_release(r, &h);
        } else if (rc == SHMQ_ERR_STALE || !x_idle()) {
            return;
        }
    }
}

static void seek_thread(uint32_t who)
{
    if (who == 1) {
        p_produce(side.producer, 0, 5, 2);
    } else if (who == 2) {
        read_and_seek(&side.reader[2], 4);
        x_call(X_STEPS);
        shmq_consumer_close(side.reader[2].consumer);
    } else {
        struct o_reader *r = &side.reader[who];
        if (!p_reader_wait("g", 0, SHMQ_GROUP_EXCLUSIVE, r))
            return;
        read_and_seek(r, 3);
        x_call(X_STEPS);
        shmq_consumer_close(r->consumer);
    }
}

static void seek_end(void)
{
    p_finish_exclusive("g", 0);
}

const struct x_scenario x_takeover = {"takeover-seek",
    "two rivals take an exclusive group's role; readers go back in the ring",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, seek_begin, seek_thread, seek_end, &side,
    sizeof side};

const struct x_scenario x_takeover_spsc = {"takeover-seek-s",
    "the same on the spsc ring",
    {SHMQ_RING_SPSC, SHMQ_ON_FULL_BLOCK, 0, 256, 1, 5, 1, 0, 120, 0}, 4,
    EVERYBODY, EVERYBODY, seek_begin, seek_thread, seek_end, &side,
    sizeof side};

/* -- evict
 * ------------------------------------------------------------------------ */

static void evict_begin(void)
{
    seek_begin();
    side.victim = shmq_consumer_endpoint(side.reader[2].consumer);
}

static void evict_once(uint32_t endpoint)
{
    x_call(X_STEPS);
    int rc = shmq_group_evict(x_topic(x_who()), endpoint, 0);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_NOENT)
        x_fail("evict: %s (%s)", shmq_err_name(rc), shmq_error_text());
}

static void evict_thread(uint32_t who)
{
    struct o_hand h;
    if (who == 1) {
        p_produce(side.producer, 0, 4, 2);
    } else if (who == 2) {
        for (uint32_t i = 0; i < 3; i++) {
            int rc = o_receive(&side.reader[2], &h);
            x_yield();
            if (rc == SHMQ_OK)
                (void)o_release(&side.reader[2], &h);
            else if (rc == SHMQ_ERR_STALE)
                break;
            x_call(X_STEPS);
            /* asleep nobody looks: then it may be evicted */
            (void)o_receive_wait(&side.reader[2], &h, x_run.now + 1);
        }
    } else if (who == 3) {
        evict_once(side.victim);
        evict_once(side.victim);
    } else if (p_reader_wait("g", 0, SHMQ_GROUP_EXCLUSIVE, &side.reader[4])) {
        (void)p_consume(&side.reader[4], 3);
        x_call(X_STEPS);
        shmq_consumer_close(side.reader[4].consumer);
    }
}

static void evict_end(void)
{
    p_close(2, &side.reader[2]);
    p_finish_exclusive("g", 0);
}

const struct x_scenario x_evict = {"evict",
    "a living reader is evicted while it looks, sleeps, or comes back",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, evict_begin, evict_thread, evict_end, &side,
    sizeof side};

/* -- evicting members
 * --------------------------------------------------------------- */

static void evict_shared_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 1);
    (void)o_publish(side.producer, 0, 2);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t who = i == 2 ? 0 : 2 + i;
        x_as(who);
        side.reader[who] = o_reader(
            who, "g", 0, SHMQ_GROUP_SHARED, i == 1 ? SHMQ_CONSUMER_COPY : 0);
    }
    side.victim = shmq_consumer_endpoint(side.reader[2].consumer);
    oracle.groups[0].moves = true;
}

static void evict_shared_thread(uint32_t who)
{
    struct o_hand h;
    if (who == 1) {
        p_produce(side.producer, 0, 3, 2);
    } else if (who == 2) {
        for (uint32_t i = 0; i < 3; i++) {
            int rc = o_receive(&side.reader[2], &h);
            x_yield();
            if (rc == SHMQ_OK)
                (void)o_release(&side.reader[2], &h);
            else if (rc == SHMQ_ERR_STALE || !x_idle())
                return;
        }
    } else if (who == 3) {
        (void)p_consume(&side.reader[3], 3);
    } else {
        evict_once(side.victim);
        evict_once(side.victim + 1);
    }
}

static void evict_shared_end(void)
{
    for (uint32_t who = 2; who <= 3; who++)
        p_close(who, &side.reader[who]);
    p_finish_shared(&side.reader[0]);
    p_fill(&side.reader[0], 7);
}

const struct x_scenario x_evict_shared = {"evict-shared",
    "members with claims, views or copies are evicted",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, evict_shared_begin, evict_shared_thread,
    evict_shared_end, &side, sizeof side};
