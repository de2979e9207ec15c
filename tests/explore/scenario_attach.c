/* scenario_attach.c - handles that come and go, more of them than there is
 * room for, and the removal of the topic. (Making a topic is a matter of files
 * and happens outside the explorer's reach.) */
#include "atomics.h"
#include "parts.h"
#include "wait.h"

static struct {
    bool deleted;
} side;

static void attach_begin(void)
{
    side.deleted = false;
}

static bool refused(const char *what, int rc)
{
    if (rc == SHMQ_OK)
        return false;
    if (rc != SHMQ_ERR_LIMIT && rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_CLOSED)
        x_fail("%s: %s (%s)", what, shmq_err_name(rc), shmq_error_text());
    if (rc == SHMQ_ERR_CLOSED && !side.deleted)
        x_fail("%s: CLOSED, but the topic is there", what);
    return true;
}

static void produce_once(uint32_t author)
{
    int rc;
    struct shmq_producer *p = o_producer_try(x_who(), author, &rc);
    if (refused("producer", rc))
        return;
    p_produce(p, author, 2, 1);
    x_call(X_STEPS);
    shmq_producer_close(p);
}

static void consume_once(uint32_t group, const char *name)
{
    struct shmq_consumer_options o =
        o_options(name, name ? SHMQ_GROUP_SHARED : 0, 0);
    struct o_reader r;
    oracle.groups[group].lossy = !name;
    int rc = o_reader_try(x_who(), &o, group, &r);
    if (!name)
        r.ordered = false; /* a new handle each time */
    if (refused("consumer", rc))
        return;
    (void)p_consume(&r, 1);
    x_call(X_STEPS);
    shmq_consumer_close(r.consumer);
}

static void attach_thread(uint32_t who)
{
    if (who <= 2) {
        produce_once(who - 1);
        produce_once(who + 1);
    } else if (who == 3) {
        consume_once(0, "g");
        consume_once(0, "g");
    } else {
        consume_once(1, NULL);
        consume_once(0, "g");
    }
}

/* Everybody has gone or is dead: the table is empty, the arena free. */
static void attach_end(void)
{
    p_bury();
    struct shmqi_ring *r = x_ring();
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if (x_memory_newest(&r->endpoints[i].identity) != 0)
            x_fail("endpoint %u is taken by nobody", i);
    struct shmq_producer *p = o_producer(0, 7);
    x_call(X_STEPS);
    shmq_producer_close(p);
}

const struct x_scenario x_attach = {"attach",
    "producers and consumers open and close, more than there is room for",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 1, 1, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, attach_begin, attach_thread, attach_end, &side,
    sizeof side};

/* -- removal of the topic
 * -------------------------------------------------------- */

static void delete_thread(uint32_t who)
{
    if (who != 4) {
        attach_thread(who);
        return;
    }
    /* what topic.c does before it takes the names away */
    side.deleted = true;
    x_call(X_STEPS);
    (void)shm_or(J4, &x_ring()->control->version, SHMQI_DELETED);
    shmqi_wake_all(x_segment(4));
}

static void delete_end(void)
{
    struct shmq_producer *p;
    for (uint32_t t = 1; t < X_THREADS; t++)
        if (x_was_stopped(t))
            x_kill(t);
    x_call(X_STEPS);
    int rc = shmq_producer_open(x_topic(0), NULL, &p);
    if (!x_was_killed(4) && rc != SHMQ_ERR_CLOSED)
        x_fail("a removed topic is opened: %s", shmq_err_name(rc));
}

const struct x_scenario x_delete = {"delete",
    "the topic is removed while handles come and go",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 3, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, attach_begin, delete_thread, delete_end, &side,
    sizeof side};
