/* scenario_spsc.c - the ring of bytes: wrapping, joining, taking over. */
#include "parts.h"

static struct {
    struct shmq_producer *producer;
    struct o_reader reader[4];
} side;

#define SPSC_RING(start) \
    { \
        SHMQ_RING_SPSC, SHMQ_ON_FULL_BLOCK, 0, 256, 1, 5, 3, 0, (start), 0 \
    }

/* -- wrapping ------------------------------------------------------------- */

static void wrap_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    x_as(2);
    side.reader[0] = o_reader(2, "a", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    x_as(3);
    side.reader[1] = o_reader(3, "b", 1, SHMQ_GROUP_EXCLUSIVE, 0);
    side.reader[0].gapless = side.reader[1].gapless = true;
}

static void wrap_thread(uint32_t who)
{
    if (who == 1) {
        p_produce(side.producer, 0, 3, 2);
        if (o_publish_batch(side.producer, 0, 2, 1) != SHMQ_OK && x_idle())
            (void)o_publish_batch(side.producer, 0, 2, 1);
        p_produce(side.producer, 0, 4, 3);
    } else if (who == 2) {
        p_poll(&side.reader[0], 9);
    } else {
        (void)p_consume(&side.reader[1], 9);
    }
}

static void wrap_end(void)
{
    p_close(2, &side.reader[0]);
    p_close(3, &side.reader[1]);
    p_finish_exclusive("a", 0);
    p_finish_exclusive("b", 1);
    /* Its role passes, and nothing is in the way. */
    if (!x_was_killed(1)) {
        x_call(X_STEPS);
        shmq_producer_close(side.producer);
    }
    struct shmq_producer *p = o_producer(0, 7);
    X_TRUE(o_publish(p, 7, 1) == SHMQ_OK);
}

const struct x_scenario x_spsc_wrap = {"spsc-wrap",
    "one producer round the end of the ring, two readers", SPSC_RING(168), 3,
    EVERYBODY, EVERYBODY, wrap_begin, wrap_thread, wrap_end, &side,
    sizeof side};

const struct x_scenario x_spsc_wrap_32 = {"spsc-wrap-32",
    "the same where the low half of commit words wraps",
    SPSC_RING((1ull << 35) - 256 + 168), 3, EVERYBODY, EVERYBODY, wrap_begin,
    wrap_thread, wrap_end, &side, sizeof side};

/* -- joining -------------------------------------------------------------- */

static void join_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 2);
    (void)o_publish(side.producer, 0, 2);
    x_as(2);
    side.reader[0] = o_reader(2, "a", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    side.reader[0].gapless = true;
}

/* From its first record on it misses none. */
static void join_late(uint32_t group, const char *name, uint32_t kind)
{
    struct shmq_consumer_options o = o_options(name, SHMQ_GROUP_EXCLUSIVE, 0);
    struct o_reader *r = &side.reader[group];
    o.start.kind = kind;
    o.start.value = kind == SHMQ_START_POSITION ? 60 : 0;
    int rc = o_reader_try(x_who(), &o, group, r);
    if (rc)
        x_fail("join: %s (%s)", shmq_err_name(rc), shmq_error_text());
    r->gapless = true;
    (void)p_consume(r, 3);
}

static void join_thread(uint32_t who)
{
    static const uint32_t kinds[3] = {
        SHMQ_START_EARLIEST, SHMQ_START_LATEST, SHMQ_START_POSITION};
    if (who == 1)
        p_produce(side.producer, 0, 6, 3);
    else if (who == 2)
        (void)p_consume(&side.reader[0], 8);
    else if (who == 3)
        join_late(1, "b", kinds[x_below(3)]);
    else
        o_peek(&side.reader[3], 3, 5);
}

/* What a joiner has to see, after its first record. */
static uint64_t first_of(uint32_t group)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t a = 0; a < O_AUTHORS; a++)
        for (uint32_t i = 0; i < oracle.cnt[a]; i++) {
            const struct o_record *rec = &oracle.records[a][i];
            if (oracle.groups[group].marks[a][i].handed &&
                rec->published == O_YES && rec->position < first)
                first = rec->position;
        }
    return first;
}

static void join_end(void)
{
    p_close(2, &side.reader[0]);
    p_close(3, &side.reader[1]);
    p_finish_exclusive("a", 0);
    struct o_reader r = o_reader(0, "b", 1, SHMQ_GROUP_EXCLUSIVE, 0);
    (void)o_drain(&r);
    o_check_done(1, first_of(1));
}

const struct x_scenario x_spsc_join = {"spsc-join",
    "a group is made, and an ephemeral reader looks, while the producer goes "
    "round",
    SPSC_RING(120), 4, EVERYBODY, EVERYBODY, join_begin, join_thread, join_end,
    &side, sizeof side};

/* Without a group from the beginning: the producer overwrites. */
static void overwrite_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 2);
    (void)o_publish(side.producer, 0, 2);
}

static void overwrite_thread(uint32_t who)
{
    if (who != 2)
        join_thread(who);
}

static void overwrite_end(void)
{
    p_close(3, &side.reader[1]);
    p_bury();
    struct o_reader r = o_reader(0, "b", 1, SHMQ_GROUP_EXCLUSIVE, 0);
    (void)o_drain(&r);
    o_check_done(1, first_of(1));
}

const struct x_scenario x_spsc_overwrite = {"spsc-overwrite",
    "the same while the producer overwrites what nobody has asked for",
    SPSC_RING(120), 4, EVERYBODY, EVERYBODY, overwrite_begin, overwrite_thread,
    overwrite_end, &side, sizeof side};

/* -- taking over ---------------------------------------------------------- */

static void take_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 2);
    x_as(4);
    side.reader[0] = o_reader(4, "a", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    side.reader[0].gapless = true;
}

static void take_thread(uint32_t who)
{
    if (who == 1) {
        p_produce(side.producer, 0, 3, 2);
        x_call(X_STEPS);
        shmq_producer_close(side.producer);
    } else if (who <= 3) {
        struct shmq_producer *p = p_producer_wait(who - 1);
        if (!p)
            return;
        p_produce(p, who - 1, 2, 3);
        x_call(X_STEPS);
        shmq_producer_close(p);
    } else if (who == 4) {
        (void)p_consume(&side.reader[0], 8);
    } else {
        join_late(1, "b", SHMQ_START_EARLIEST);
    }
}

static void take_end(void)
{
    p_close(4, &side.reader[0]);
    p_bury();
    struct shmq_producer *p = o_producer(0, 7);
    p_close(5, &side.reader[1]);
    (void)o_publish(p, 7, 1);
    p_finish_exclusive("a", 0);
    struct o_reader r = o_reader(0, "b", 1, SHMQ_GROUP_EXCLUSIVE, 0);
    (void)o_drain(&r);
    o_check_done(1, first_of(1));
}

const struct x_scenario x_spsc_takeover = {"spsc-takeover",
    "two rivals take the producer's role when its holder dies or leaves, while "
    "a group joins",
    SPSC_RING(120), 5, EVERYBODY, EVERYBODY, take_begin, take_thread, take_end,
    &side, sizeof side};
