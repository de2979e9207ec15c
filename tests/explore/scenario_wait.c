/* scenario_wait.c - sleeping and waking. A wake-up may get lost with its
 * sender, and then costs one bounded sleep; otherwise (mpmc, and spsc with
 * membarrier) none is ever lost. */
#include "parts.h"

static struct {
    struct shmq_producer *producer[3];
    struct o_reader reader[4];
    uint32_t
        slept_at[3]; /* the reader's time-outs when the last publish began */
    bool woken_always;
} side;

#define FOR_NS 400000000ull

static void wait_begin(void)
{
    bool spsc = x_ring()->ring == SHMQ_RING_SPSC;
    x_as(1);
    side.producer[1] = o_producer(1, 0);
    if (!spsc) {
        x_as(2);
        side.producer[2] = o_producer(2, 1);
    }
    x_as(3);
    side.reader[3] = o_reader(3, "g", 0, SHMQ_GROUP_EXCLUSIVE, 0);
    side.woken_always = !spsc || (x_ring()->flags & SHMQ_TOPIC_ASYMMETRIC);
}

static void publish_waiting(uint32_t who)
{
    for (uint32_t i = 0; i < 3; i++) {
        side.slept_at[who] = x_timeouts_of(3);
        int rc =
            o_publish_wait(side.producer[who], who - 1, 3, x_run.now + FOR_NS);
        if (rc == SHMQ_ERR_TIMEOUT && !x_anybody_doomed())
            x_fail("no room, though nobody holds it up");
        x_yield();
    }
}

static void receive_waiting(uint32_t cnt)
{
    struct o_hand h;
    for (uint32_t i = 0; i < cnt; i++) {
        int rc = o_receive_wait(&side.reader[3], &h, x_run.now + FOR_NS);
        if (rc == SHMQ_ERR_TIMEOUT) {
            if (!x_anybody_doomed())
                x_fail("nothing arrived, though it was published");
            return;
        }
        if (rc != SHMQ_OK)
            return;
        /* It was there all the time that we slept. */
        uint32_t slept = x_timeouts_of(3) - side.slept_at[h.author + 1];
        if (slept > (side.woken_always && !x_anybody_doomed() ? 0 : 1))
            x_fail("%u whole sleeps over a published record", slept);
        (void)o_release(&side.reader[3], &h);
    }
}

static void wait_thread(uint32_t who)
{
    if (who == 3)
        receive_waiting(x_ring()->ring == SHMQ_RING_SPSC ? 3 : 6);
    else if (who == 1 || x_ring()->ring != SHMQ_RING_SPSC)
        publish_waiting(who);
}

static void wait_end(void)
{
    if (side.woken_always && !x_anybody_doomed() && x_timeouts())
        x_fail("%u wake-ups were lost", x_timeouts());
    p_close(3, &side.reader[3]);
    p_finish_exclusive("g", 0);
}

const struct x_scenario x_wait_mpmc = {"wait-mpmc",
    "two producers that wait for room and a reader that sleeps; kills",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 2, 256, 2, 3, 1, 0, 0, 0}, 3, 0x6, 0,
    wait_begin, wait_thread, wait_end, &side, sizeof side};

const struct x_scenario x_wait_spsc = {"wait-spsc",
    "the same on the spsc ring: a wake-up may cost one bounded sleep",
    {SHMQ_RING_SPSC, SHMQ_ON_FULL_BLOCK, 0, 128, 1, 3, 1, 0, 0, 0}, 3, 0x6, 0,
    wait_begin, wait_thread, wait_end, &side, sizeof side};

const struct x_scenario x_wait_asymmetric = {"wait-asymmetric",
    "the same with membarrier",
    {SHMQ_RING_SPSC, SHMQ_ON_FULL_BLOCK, 0, 128, 1, 3, 1, SHMQ_TOPIC_ASYMMETRIC,
        0, 0},
    3, 0x6, 0, wait_begin, wait_thread, wait_end, &side, sizeof side};
