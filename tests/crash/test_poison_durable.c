/* test_poison_durable.c - the poison record of a durable topic, with a SIGKILL
 * at every access to shared memory of the member that takes it out: from the
 * copy, over the wait for the disk, to the end of its claim.
 *
 * After each kill the host goes on (another member takes the rest; the poison
 * is in the log of the dead-letter topic, once or twice) or goes down: both
 * rings are lost, the logs end at their last flush, the groups stand where the
 * journal has them. Then the poison is in the log of the dead-letter topic or
 * comes from the group again; never neither.
 * crash_poison_durable [--stride N]    (default 3; 1: every point) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/points.h"
#include "support/proc.h"
#include "support/small_shmqd.h"
#include "support/support.h"

#ifdef SHMQ_HOOKS
#define FRAME 8u
#define POISON 3u
#define ATTEMPTS 2u

/* What a run is about. */
struct run {
    uint64_t die_at;
    bool down; /* the host goes down after the kill */
    _Atomic bool copied, flushed; /* told by the child, by the parent */
};

struct host {
    struct small *source, *grave;
    struct shmq_topic *topic;
};

static struct shmq_consumer *member(struct shmq_topic *topic)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = ATTEMPTS;
    return t_consumer(topic, &options);
}

/* The state before the poison is taken out. */
static struct host begin(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 1 << 16);
    struct host h = {
        small_start("t", &attrs), small_start("@dead.t", &attrs), NULL};
    struct shmq_message msg;

    h.grave->lazy = true;
    h.topic = t_open("t");
    struct shmq_producer *p = t_producer(h.topic);
    struct shmq_consumer *c = member(h.topic);
    (void)t_publish_frame(p, 0, FRAME);
    (void)small_turn(h.source);
    t_take_run(c, 0, POISON);
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), POISON);
        T_OK(shmq_consumer_nack(c, &msg));
    }
    shmq_consumer_close(c);
    shmq_producer_close(p);
    return h;
}

static void end(struct host *h)
{
    shmq_topic_close(h->topic);
    small_end(h->source);
    small_end(h->grave);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    T_OK(shmq_topic_unlink(t_ns, "@dead.t", SHMQ_UNLINK_FORCE));
}

/* Asks before and after the flush, which the parent does in between. */
static int take_out(void *ctx)
{
    struct run *run = ctx;
    struct shmq_consumer *c = member(t_open("t"));
    struct shmq_message msg;

    t_die_at(run->die_at);
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_EMPTY);
    run->copied = true;
    while (!run->flushed)
        (void)usleep(50);
    T_OK(shmq_consumer_receive(c, &msg));
    t_points(NULL);
    T_EQ(t_tag(&msg), POISON + 1);
    shmq_consumer_close(c); /* gives the rest back */
    return 0;
}

/* Dead letters that are on disk. */
static uint32_t buried(void)
{
    struct shmq_topic *dead = t_open("@dead.t");
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .flags = SHMQ_CONSUMER_READ_DURABLE,
        .start.kind = SHMQ_START_EARLIEST};
    struct shmq_consumer *reader = t_consumer(dead, &options);
    struct shmq_message msg;
    struct shmq_attr attr;
    uint32_t cnt = 0;
    int rc;

    while ((rc = shmq_consumer_receive(reader, &msg)) != SHMQ_ERR_EMPTY) {
        if (rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_EQ(t_tag(&msg), POISON);
        T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
        T_OK(shmq_consumer_release(reader, &msg));
        cnt++;
    }
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
    return cnt;
}

static void disk(struct small *s)
{
    (void)small_turn(s);
    small_flush(s);
}

/* Takes what the group still has; how often each came. */
static void drain(const struct host *h, uint32_t seen[FRAME])
{
    struct shmq_consumer *c = member(h->topic);
    struct shmq_message msg;
    uint64_t patience = t_now_ns() + T_PATIENCE;

    memset(seen, 0, FRAME * sizeof(*seen));
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < patience);
        disk(h->grave);
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_TRUE(t_tag(&msg) < FRAME);
        seen[t_tag(&msg)]++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    shmq_consumer_close(c);
}

static bool has_ended(const struct t_proc *proc)
{
    siginfo_t info = {.si_pid = 0};

    T_TRUE(waitid(P_PID, (id_t)proc->pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
        0);
    return info.si_pid != 0;
}

/* True while the child was killed. */
static bool kill_at(struct run *run, uint32_t *ret_twice)
{
    struct host h = begin();
    struct t_proc proc;
    uint32_t seen[FRAME];

    run->copied = run->flushed = false;
    t_spawn(&proc, take_out, run);
    while (!run->copied && !has_ended(&proc))
        (void)usleep(50);
    if (run->copied)
        disk(h.grave);
    run->flushed = true;
    int status = t_bury(&proc);
    bool killed = WIFSIGNALED(status);
    T_TRUE(killed ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    small_journal(h.source);
    if (run->down) {
        shmq_topic_close(h.topic);
        small_reboot(h.source);
        small_reboot(h.grave);
        h.topic = t_open("t");
    }
    drain(&h, seen);
    uint32_t letters = buried();
    if (run->down) {
        T_TRUE(letters + seen[POISON] >= 1);
    } else {
        T_TRUE(letters == 1 || (killed && letters == 2));
        T_EQ(seen[POISON], 0);
        *ret_twice += letters == 2;
    }
    for (uint32_t tag = POISON + 1; tag < FRAME; tag++)
        T_EQ(seen[tag], 1);
    end(&h);
    return killed;
}

int main(int argc, char **argv)
{
    uint64_t stride = argc == 3 ? strtoull(argv[2], NULL, 10) : 3;
    uint32_t kills[2] = {0, 0}, twice = 0;

    t_begin();
    struct run *run = t_shared_memory(sizeof(*run));
    for (int down = 0; down < 2; down++) {
        run->down = down != 0;
        for (run->die_at = 1; kill_at(run, &twice); run->die_at += stride)
            kills[down]++;
    }
    (void)printf("killed at %u points, and at %u with the host going down; the "
                 "poison was lost at none, %u times it came twice\n",
        kills[0], kills[1], twice);
    T_TRUE(kills[0] > 50 && kills[1] > 50 && twice > 0);
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
