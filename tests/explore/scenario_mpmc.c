/* scenario_mpmc.c - producers and readers of the mpmc ring: few slots, small
 * arenas, so slots and arena bytes are used again and again. */
#include "parts.h"

static struct {
    struct shmq_producer *producer[4];
    struct o_reader reader[4];
} side;

/* -- two producers, two members ------------------------------------------- */

static void shared_begin(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        x_as(1 + i);
        side.producer[i] = o_producer(1 + i, i);
    }
    for (uint32_t i = 0; i < 2; i++) {
        x_as(3 + i);
        side.reader[i] = o_reader(3 + i, "g", 0, SHMQ_GROUP_SHARED, 0);
    }
    x_as(0);
    side.reader[3] = o_reader(0, "g", 0, SHMQ_GROUP_SHARED, 0);
}

static void shared_thread(uint32_t who)
{
    if (who <= 2)
        p_produce(side.producer[who - 1], who - 1, 4, 2);
    else
        (void)p_consume(&side.reader[who - 3], 4);
}

static void shared_end(void)
{
    p_finish_shared(&side.reader[3]);
    p_fill(&side.reader[3], 7);
}

const struct x_scenario x_mpmc_2p2c = {"mpmc-2p2c",
    "two producers and two members of a shared group",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 3, 4, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, shared_begin, shared_thread, shared_end, &side,
    sizeof side};

/* Laps of 36 bits begin anew. */
const struct x_scenario x_mpmc_2p2c_wrap = {"mpmc-2p2c-wrap",
    "the same where the laps of slots and claims wrap",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 3, 4, 1, 0,
        (((1ull << 36) - 2) << 2) - 1, 0},
    4, EVERYBODY, EVERYBODY, shared_begin, shared_thread, shared_end, &side,
    sizeof side};

/* -- three producers, one reader ------------------------------------------ */

static void exclusive_begin(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        x_as(1 + i);
        side.producer[i] = o_producer(1 + i, i);
    }
    x_as(4);
    side.reader[0] = o_reader(4, "g", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    side.reader[0].gapless = true;
}

static void exclusive_thread(uint32_t who)
{
    if (who == 3) {
        if (o_publish_batch(side.producer[2], 2, 2, 2) != SHMQ_OK && x_idle())
            (void)o_publish_batch(side.producer[2], 2, 2, 2);
        p_produce(side.producer[2], 2, 2, 1);
    } else if (who <= 2) {
        p_produce(side.producer[who - 1], who - 1, 3, 3);
    } else {
        p_poll(&side.reader[0], 8);
    }
}

static void exclusive_end(void)
{
    p_close(4, &side.reader[0]);
    p_finish_exclusive("g", 0);
}

const struct x_scenario x_mpmc_3p1c = {"mpmc-3p1c",
    "three producers and the one reader of an exclusive group, by poll",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 4, 3, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, exclusive_begin, exclusive_thread, exclusive_end,
    &side, sizeof side};

/* -- loans ---------------------------------------------------------------- */

/* Two loans at a time, committed in the other order, or one of them aborted. */
static void loan_twice(struct shmq_producer *p, uint32_t author)
{
    struct shmq_loan a, b;
    for (uint32_t i = 0; i < 2; i++) {
        x_call(X_STEPS);
        if (shmq_producer_loan(p, 8, NULL, 0, &a) != SHMQ_OK)
            continue;
        x_call(X_STEPS);
        bool two = shmq_producer_loan(p, 16, NULL, 0, &b) == SHMQ_OK;
        if (two && x_below(2))
            (void)o_commit(p, author, &b, 2);
        else if (two)
            X_TRUE(shmq_producer_abort(p, &b) == SHMQ_OK);
        if (o_commit(p, author, &a, 1) != SHMQ_OK)
            X_TRUE(shmq_producer_abort(p, &a) == SHMQ_OK);
    }
}

static void loan_thread(uint32_t who)
{
    if (who <= 2)
        loan_twice(side.producer[who - 1], who - 1);
    else
        (void)p_consume(&side.reader[who - 3], 4);
}

const struct x_scenario x_loans = {"loans",
    "loans committed out of order or aborted by two producers",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 3, 4, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, shared_begin, loan_thread, shared_end, &side,
    sizeof side};
