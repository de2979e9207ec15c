/* scenario_arena.c - arenas of the dead, joining while producers overwrite, and
 * drop-old: memory that is used again under somebody's eyes. */
#include "parts.h"

static struct {
    struct shmq_producer *producer[4];
    struct o_reader reader[4];
} side;

static void close_living(uint32_t who, struct shmq_producer *p)
{
    if (!p || x_was_killed(who) || x_was_stopped(who))
        return;
    x_call(X_STEPS);
    shmq_producer_close(p);
}

/* -- adoption ----------------------------------------------------------------
 */

static void adopt_begin(void)
{
    x_as(1);
    side.producer[0] = o_producer(1, 0);
    (void)o_publish(side.producer[0], 0, 1);
    x_as(3);
    side.reader[0] = o_reader(3, "g", 0, SHMQ_GROUP_SHARED, 0);
    x_as(0);
    side.reader[3] = o_reader(0, "g", 0, SHMQ_GROUP_SHARED, 0);
}

/* Two frames at a time in its hands, so that an adopter has to go around. */
static void hold_two(struct o_reader *r)
{
    struct o_hand a, b;
    for (uint32_t i = 0; i < 2; i++) {
        while (o_receive(r, &a) != SHMQ_OK)
            if (!x_idle())
                return;
        bool two = o_receive(r, &b) == SHMQ_OK;
        x_yield();
        if (two)
            (void)o_release(r, &b);
        (void)o_release(r, &a);
    }
}

static void adopt_thread(uint32_t who)
{
    if (who == 1) {
        p_produce(side.producer[0], 0, 2, 2);
        x_call(X_STEPS);
        shmq_producer_close(side.producer[0]);
    } else if (who == 2) {
        side.producer[1] = p_producer_wait(1);
        if (side.producer[1])
            p_produce(side.producer[1], 1, 3, 2);
    } else if (who == 3) {
        hold_two(&side.reader[0]);
    } else {
        o_peek(&side.reader[1], 1, 5);
    }
}

static void adopt_end(void)
{
    close_living(2, side.producer[1]);
    p_finish_shared(&side.reader[3]);
    p_fill(&side.reader[3], 7);
}

const struct x_scenario x_arena_adopt = {"arena-adopt",
    "a producer takes the one arena of another that died or left, while its "
    "frames are looked at",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 1, 5, 2, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, adopt_begin, adopt_thread, adopt_end, &side,
    sizeof side};

/* -- joining at earliest
 * --------------------------------------------------------- */

static void join_begin(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        x_as(1 + i);
        side.producer[i] = o_producer(1 + i, i);
        (void)o_publish(side.producer[i], i, 1);
    }
}

static void join_at(uint32_t group, const char *name, uint32_t kind)
{
    static const uint32_t starts[3] = {
        SHMQ_START_EARLIEST, SHMQ_START_POSITION, SHMQ_START_LATEST};
    struct shmq_consumer_options o = o_options(name, kind, 0);
    struct o_reader *r = &side.reader[group];
    o.start.kind = starts[x_below(3)];
    o.start.value = o.start.kind == SHMQ_START_POSITION ? 1ull << 12 : 0;
    int rc = o_reader_try(x_who(), &o, group, r);
    if (rc)
        x_fail("join: %s (%s)", shmq_err_name(rc), shmq_error_text());
    r->gapless = r->ordered;
    (void)p_consume(r, 2);
}

static void join_thread(uint32_t who)
{
    if (who <= 2)
        p_produce(side.producer[who - 1], who - 1, 4, 2);
    else if (who == 3)
        join_at(0, "x", SHMQ_GROUP_EXCLUSIVE);
    else
        join_at(1, "s", SHMQ_GROUP_SHARED);
}

/* The first record that somebody of the group was handed. */
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
    static const uint32_t kinds[2] = {SHMQ_GROUP_EXCLUSIVE, SHMQ_GROUP_SHARED};
    static const char *const names[2] = {"x", "s"};
    for (uint32_t i = 0; i < 2; i++)
        p_close(3 + i, &side.reader[i]);
    p_bury();
    for (uint32_t i = 0; i < 2; i++) {
        struct o_reader r = o_reader(0, names[i], i, kinds[i], 0);
        (void)o_drain(&r);
        o_check_done(i, first_of(i));
    }
}

const struct x_scenario x_mpmc_join = {"mpmc-join",
    "two groups are made at earliest or at a position while two producers "
    "overwrite",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 4, 2, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, join_begin, join_thread, join_end, &side,
    sizeof side};

/* -- drop-old
 * --------------------------------------------------------------------- */

static void drop_begin(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        x_as(1 + i);
        side.producer[i] = o_producer(1 + i, i);
    }
    x_as(3);
    side.reader[0] = o_reader(3, "x", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    side.reader[0].exact = true;
    x_as(4);
    side.reader[1] = o_reader(4, "s", 1, SHMQ_GROUP_SHARED, 0);
    oracle.groups[0].lossy = oracle.groups[1].lossy = true;
    x_as(5);
    side.reader[2] = o_reader(5, "s", 1, SHMQ_GROUP_SHARED, 0);
}

static void drop_thread(uint32_t who)
{
    if (who <= 2)
        p_produce(side.producer[who - 1], who - 1, 6, 2);
    else
        (void)p_consume(&side.reader[who - 3], 5);
}

static void drop_end(void)
{
    p_bury();
    for (uint32_t i = 0; i < 3; i++)
        if (!x_was_killed(3 + i))
            (void)o_drain(&side.reader[i]);
}

const struct x_scenario x_drop_old = {"drop-old",
    "two producers overwrite under an optimistic reader and two members",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_DROP_OLD, 4, 256, 2, 5, 2, 0, 0, 0}, 5,
    EVERYBODY, EVERYBODY, drop_begin, drop_thread, drop_end, &side,
    sizeof side};
