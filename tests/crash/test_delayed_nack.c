/* test_delayed_nack.c - a member is killed at every access to shared memory of
 * a delayed nack, of the wait, and of giving the record back: nothing is lost,
 * and nobody waits for the delay of a dead member.
 *     crash_delayed_nack [--stride N]    (default 1: every point) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/points.h"
#include "support/proc.h"
#include "support/support.h"

#ifdef SHMQ_HOOKS

#define RECORDS 4u

struct shared {
    uint64_t die_at;
    unsigned char done[RECORDS]; /* handled by the child */
};

static struct shmq_consumer *member(struct shmq_topic *topic)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = 100;
    return t_consumer(topic, &options);
}

/* The second record is delayed once; then all are taken. */
static int work(void *ctx)
{
    struct shared *shared = ctx;
    struct shmq_consumer *c = member(t_open("t"));
    struct shmq_message msg;
    uint32_t done = 0;

    t_die_at(shared->die_at);
    while (done < RECORDS) {
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        T_OK(rc);
        uint64_t tag = t_tag(&msg);
        if (tag == 1 && msg.attempt == 0) {
            T_OK(shmq_consumer_nack_later(c, &msg, T_MS / 4));
            continue;
        }
        shared->done[tag] = 1; /* handled; killed now it comes again */
        T_OK(shmq_consumer_release(c, &msg));
        done++;
    }
    shmq_consumer_close(c);
    t_points(NULL);
    return 0;
}

/* What the dead one had comes to another at once; the rest was done. */
static void take_the_rest(struct shmq_topic *topic, const struct shared *shared)
{
    struct shmq_consumer *c = member(topic);
    struct shmq_group_stat stat;
    struct shmq_message msg;
    uint64_t end = t_now_ns() + T_PATIENCE;
    uint32_t seen[RECORDS] = {0};

    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < end);
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        T_OK(rc);
        seen[t_tag(&msg)]++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    for (uint32_t i = 0; i < RECORDS; i++)
        T_TRUE(seen[i] <= 1 && seen[i] + shared->done[i] >= 1);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_TRUE(stat.claimed == 0 && stat.lag_messages == 0);
    T_EQ(stat.dead_lettered, 0);
    shmq_consumer_close(c);
}

static bool kill_at(uint64_t k, struct shared *shared)
{
    struct shmq_topic_attrs attrs = t_mpmc(8, 4096);
    struct shmq_topic *topic;
    struct shmq_producer *p;
    struct t_proc proc;

    attrs.max_producers = 2;
    attrs.max_members = 4;
    attrs.max_groups = 1;
    topic = t_topic("t", &attrs);
    p = t_producer(topic);
    shmq_consumer_close(member(topic));
    t_publish_run(p, 0, RECORDS);
    shmq_producer_close(p);
    memset(shared, 0, sizeof(*shared));
    shared->die_at = k;
    t_spawn(&proc, work, shared);
    int status = t_bury(&proc);
    bool killed = WIFSIGNALED(status);
    T_TRUE(killed ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    take_the_rest(topic, shared);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    return killed;
}

int main(int argc, char **argv)
{
    uint64_t stride = argc == 3 ? strtoull(argv[2], NULL, 10) : 1, k = 1;
    struct shared *shared = t_shared_memory(sizeof(*shared));
    uint32_t kills = 0;

    /* How many accesses the wait takes differs, so the end does, too. */
    t_begin();
    for (; k < 20000 && kill_at(k, shared); k += stride)
        kills++;
    (void)printf("killed at %u points; nothing lost\n", kills);
    T_TRUE(kills > 20);
    t_end();
    return 0;
}
#else
int main(void)
{
    (void)printf("skipped: the library has no hooks\n");
    return 77;
}
#endif
