/* test_poison_durable.c - the poison record of a durable topic, and records
 * that expire there, with a SIGKILL at every access to shared memory of the
 * reader that takes them out: from the copy, over the wait for the disk, to the
 * end of its claim, or of its place.
 *
 * After each kill the host goes down (both rings are lost, the logs end at
 * their last flush, the groups stand where the journal has them) or goes on
 * (another reader takes the rest). Then each of these records is in the log of
 * the dead-letter topic, or comes from the group again; never neither. If the
 * host went on they are there, once or twice.
 * crash_poison_durable [--stride N]    (default 15; 1: every point) */
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
#define RECORDS (FRAME + 1) /* one more after a reboot */
#define POISON (FRAME - 1) /* the last: the floor passes with it */
#define ATTEMPTS 2u
#define TTL_NS T_MS

enum kind { POISONED, EXPIRED_SHARED, EXPIRED_EXCLUSIVE, KINDS };
static const char *const names[] = {
    "poison", "expired, shared", "expired, exclusive"};

/* What a run is about. */
struct run {
    uint64_t die_at;
    enum kind kind;
    bool down; /* the host goes down after the kill */
    _Atomic bool copied, flushed; /* told by the child, by the parent */
};

struct host {
    struct small *source, *grave;
    struct shmq_topic *topic;
};

static struct shmq_consumer *reader_of(enum kind kind, struct shmq_topic *topic)
{
    struct shmq_consumer_options options = t_options("s",
        kind == EXPIRED_EXCLUSIVE ? SHMQ_GROUP_EXCLUSIVE : SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = kind == POISONED ? ATTEMPTS : 0;
    return t_consumer(topic, &options);
}

/* Records of the frame that are to go. */
static bool goes(enum kind kind, uint64_t tag)
{
    return kind != POISONED || tag == POISON;
}

static void poison(const struct host *h)
{
    struct shmq_consumer *c = reader_of(POISONED, h->topic);
    struct shmq_message msg;

    t_take_run(c, 0, POISON);
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), POISON);
        T_OK(shmq_consumer_nack(c, &msg));
    }
    shmq_consumer_close(c);
}

/* The state before they are taken out. */
static struct host begin(enum kind kind)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 1 << 16);
    struct host h = {NULL, small_start("@dead.t", &attrs), NULL};

    if (kind != POISONED) {
        attrs.ttl_ns = TTL_NS;
        attrs.flags = SHMQ_TOPIC_TTL_DEAD_LETTER;
    }
    h.source = small_start("t", &attrs);

    h.grave->lazy = true;
    h.topic = t_open("t");
    struct shmq_producer *p = t_producer(h.topic);
    (void)t_publish_frame(p, 0, FRAME);
    (void)small_turn(h.source);
    if (kind == POISONED)
        poison(&h);
    else
        t_sleep_ns(12 * TTL_NS); /* the clock of records is coarse */
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
    struct shmq_consumer *c = reader_of(run->kind, t_open("t"));
    struct shmq_message msg;

    t_die_at(run->die_at);
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_EMPTY);
    run->copied = true;
    while (!run->flushed)
        (void)usleep(50);
    int rc = shmq_consumer_receive(c, &msg);
    t_points(NULL);
    T_RC(rc, SHMQ_ERR_EMPTY);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    return 0;
}

/* Dead letters that are on disk: how often each. */
static void buried(enum kind kind, uint32_t cnt[RECORDS])
{
    struct shmq_topic *dead = t_open("@dead.t");
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .flags = SHMQ_CONSUMER_READ_DURABLE,
        .start.kind = SHMQ_START_EARLIEST};
    struct shmq_consumer *reader = t_consumer(dead, &options);
    struct shmq_message msg;
    struct shmq_attr attr;
    int rc;

    memset(cnt, 0, RECORDS * sizeof(*cnt));
    while ((rc = shmq_consumer_receive(reader, &msg)) != SHMQ_ERR_EMPTY) {
        if (rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_TRUE(t_tag(&msg) < RECORDS && goes(kind, t_tag(&msg)));
        T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
        cnt[t_tag(&msg)]++;
        T_OK(shmq_consumer_release(reader, &msg));
    }
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
}

static void disk(struct small *s)
{
    (void)small_turn(s);
    small_flush(s);
}

/* Takes what the group still has; how often each came. */
static void drain(enum kind kind, const struct host *h, uint32_t seen[RECORDS])
{
    struct shmq_consumer *c = reader_of(kind, h->topic);
    struct shmq_message msg;
    uint64_t patience = t_now_ns() + T_PATIENCE;

    memset(seen, 0, RECORDS * sizeof(*seen));
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < patience);
        disk(h->grave);
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_TRUE(t_tag(&msg) < RECORDS);
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

/* What the group still had, and what is buried; how many came twice. */
static uint32_t judge(const struct run *run, bool killed,
    const uint32_t seen[RECORDS], const uint32_t letters[RECORDS])
{
    uint32_t twice = 0;

    for (uint32_t tag = 0; tag < FRAME + run->down; tag++) {
        if (!goes(run->kind, tag)) {
            /* What was done of a frame the journal does not know. */
            T_TRUE(seen[tag] == (tag > POISON) || run->down);
            continue;
        }
        if (run->down) {
            T_TRUE(letters[tag] + seen[tag] >= 1);
            continue;
        }
        T_TRUE(letters[tag] == 1 || (killed && letters[tag] == 2));
        T_EQ(seen[tag], 0);
        twice += letters[tag] == 2;
    }
    return twice;
}

/* True while the child was killed. */
static bool kill_at(struct run *run, uint32_t *ret_twice)
{
    struct host h = begin(run->kind);
    struct t_proc proc;
    uint32_t seen[RECORDS], letters[RECORDS];

    (void)alarm(600); /* the watchdog is for one point, not for all */
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
        struct shmq_producer *p = t_producer(h.topic);
        (void)t_publish(p, FRAME, 16);
        (void)small_turn(h.source);
        shmq_producer_close(p);
    }
    drain(run->kind, &h, seen);
    buried(run->kind, letters);
    *ret_twice += judge(run, killed, seen, letters);
    end(&h);
    return killed;
}

int main(int argc, char **argv)
{
    uint64_t stride = argc == 3 ? strtoull(argv[2], NULL, 10) : 15;
    uint32_t all_twice = 0;

    t_begin();
    struct run *run = t_shared_memory(sizeof(*run));
    for (int i = 0; i < 2 * KINDS; i++) {
        uint32_t kills = 0, twice = 0;
        run->kind = (enum kind)(i / 2);
        run->down = i % 2 == 0;
        for (run->die_at = 1; kill_at(run, &twice); run->die_at += stride)
            kills++;
        (void)printf("%s: killed at %u points, then the host went %s: lost at "
                     "none, twice %u times\n",
            names[run->kind], kills, run->down ? "down" : "on", twice);
        (void)fflush(stdout);
        T_TRUE(kills > 200 / stride);
        all_twice += twice;
    }
    T_TRUE(all_twice > 0);
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
