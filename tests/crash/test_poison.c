/* test_poison.c - one poison record in a frame of 4,096 takes only itself out,
 * with a SIGKILL at every access to shared memory of the one who takes it out.
 *
 * A member has finished the records before the poison and given the poison back
 * as often as the group allows. A child then asks for the next record, which
 * first moves the poison to the dead-letter topic, and is killed at its k-th
 * hook point, for every k until it survives. After each: another member gets
 * every other record, the poison only from the dead-letter topic (once or,
 * where the child died between copy and acknowledgement, twice), and the floor
 * passes the frame. crash_poison [--stride N]    (default 20; 1: every point)
 */
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
#define FRAME SHMQ_BATCH_MAX
#define POISON 2047u
#define ATTEMPTS 2u

static struct shmq_consumer *member(struct shmq_topic *topic)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = ATTEMPTS;
    return t_consumer(topic, &options);
}

/* The state before the poison is taken out. */
static void use_up_attempts(struct shmq_topic *topic)
{
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = member(topic);
    struct shmq_message msg;

    (void)t_publish_frame(p, 0, FRAME);
    t_take_run(c, 0, POISON);
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), POISON);
        T_EQ(msg.attempt, i);
        T_OK(shmq_consumer_nack(c, &msg));
    }
    shmq_consumer_close(c);
    shmq_producer_close(p);
}

/* Tells the number of points when it gets through. */
static int take_out(void *ctx)
{
    struct shmq_consumer *c = member(t_open("t"));
    struct shmq_message msg;

    t_tell(1);
    t_die_at(*(uint64_t *)ctx);
    int rc = shmq_consumer_receive(c, &msg);
    t_points(NULL);
    T_OK(rc);
    T_EQ(t_tag(&msg), POISON + 1);
    t_tell(t_points_seen());
    shmq_consumer_close(c); /* gives the rest back */
    return 0;
}

static uint32_t dead_letters(void)
{
    struct shmq_topic *dead = NULL;
    struct shmq_consumer *reader;
    struct shmq_message msg;
    uint32_t cnt = 0;
    int rc = shmq_topic_open(t_ns, "@dead.t", &dead);

    if (rc == SHMQ_ERR_NOENT)
        return 0;
    T_OK(rc);
    reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    for (; (rc = shmq_consumer_receive(reader, &msg)) == SHMQ_OK; cnt++) {
        struct shmq_attr attr;
        T_EQ(t_tag(&msg), POISON);
        T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
        T_OK(shmq_consumer_release(reader, &msg));
    }
    T_RC(rc, SHMQ_ERR_EMPTY);
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
    return cnt;
}

/* Everything but the poison comes, and comes to an end. */
static void drain(struct shmq_topic *topic)
{
    static unsigned char seen[FRAME];
    struct shmq_consumer *c = member(topic);
    struct shmq_group_stat stat;
    struct shmq_message msg;
    uint64_t end = t_now_ns() + T_PATIENCE;

    memset(seen, 0, sizeof(seen));
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < end);
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        T_OK(rc);
        T_TRUE(t_tag(&msg) > POISON && t_tag(&msg) < FRAME);
        seen[t_tag(&msg)]++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    for (uint32_t tag = POISON + 1; tag < FRAME; tag++)
        T_EQ(seen[tag], 1);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_EQ(stat.claimed, 0);
    T_EQ(stat.lag_messages, 0);
    T_EQ(stat.floor_position, t_stat(topic).published_position);
    shmq_consumer_close(c);
}

/* True while the child was killed. */
static bool kill_at(uint64_t k, uint32_t *ret_twice)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 1 << 18);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct t_proc proc;
    uint32_t letters;

    (void)alarm(600); /* the watchdog is for one point, not for all */
    use_up_attempts(topic);
    t_spawn(&proc, take_out, &k);
    (void)t_recv(&proc);
    int status = t_bury(&proc);
    bool killed = WIFSIGNALED(status);
    T_TRUE(killed ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    drain(topic);
    letters = dead_letters();
    T_TRUE(letters == 1 || (killed && letters == 2));
    *ret_twice += letters == 2;
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_OK(shmq_topic_unlink(t_ns, "@dead.t", 0));
    return killed;
}

int main(int argc, char **argv)
{
    uint64_t stride = argc == 3 ? strtoull(argv[2], NULL, 10) : 20, k = 1;
    uint32_t kills = 0, twice = 0;

    t_begin();
    for (; kill_at(k, &twice); k += stride)
        kills++;
    (void)printf("killed at %u points of %llu; the poison alone went, %u times "
                 "twice; %u other records came once each\n",
        kills, (unsigned long long)k - 1, twice, FRAME - 1);
    T_TRUE(kills > 50 && (twice > 0 || stride > 1));
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
