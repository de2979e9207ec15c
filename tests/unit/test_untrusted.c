/* test_untrusted.c - members that may write the control file only: what they
 * write there gives them no hold of others' memory, processes, topics. */
#include "support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "endpoint.h"
#include "layout.h"
#include "support/proc.h"
#include "topic_impl.h"
#include "words.h"

/* The control file as such a member maps it. */
static struct shmqi_ring *ring_of(struct shmq_topic *topic)
{
    return &topic->segment->ring;
}

static uint32_t endpoint_of(struct shmq_topic *topic, uint64_t identity)
{
    struct shmqi_ring *r = ring_of(topic);
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if (r->endpoints[i].identity == identity)
            return i;
    T_FAIL("no such endpoint");
}

struct other {
    const char *topic;
    bool spsc;
};

/* Another process: a producer with a record half written. */
static int lend_and_commit(void *ctx)
{
    const struct other *o = ctx;
    struct shmq_producer *p = t_producer(t_open(o->topic));
    struct shmq_loan loan;

    T_OK(shmq_producer_loan(p, 1000, NULL, 0, &loan));
    t_fill(loan.data, 500, 1);
    t_tell(shmq_producer_identity(p));
    (void)t_hear();
    t_fill(loan.data, 1000, 1);
    T_OK(shmq_producer_commit(p, &loan, 1000, NULL));
    t_tell(1);
    (void)t_hear();
    return 0;
}

static int die_at_once(void *ctx)
{
    (void)ctx;
    return 0;
}

/* Whatever the table says of a living producer, its memory stays its own. */
static void keep_the_memory(bool spsc, int how)
{
    struct other o = {"t", spsc};
    struct shmq_topic_attrs attrs = spsc ? t_spsc(16384) : t_mpmc(16, 16384);
    attrs.max_producers = spsc ? 1 : 2;
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer *c = t_ephemeral(topic, SHMQ_START_EARLIEST);
    struct shmq_producer *second = NULL;
    struct shmq_message msg;
    struct t_proc proc;
    struct t_proc corpse;

    t_spawn(&proc, lend_and_commit, &o);
    uint64_t identity = t_recv(&proc);
    uint32_t idx = endpoint_of(topic, identity);
    struct shmqi_endpoint_shm *e = &ring_of(topic)->endpoints[idx];
    if (how == 0) { /* it was never there */
        e->identity = 0;
    } else if (how == 1) { /* somebody else is */
        e->identity = identity + 1;
    } else { /* it is a process that has died */
        t_spawn(&corpse, die_at_once, NULL);
        siginfo_t info;
        T_EQ(waitid(P_PID, (id_t)corpse.pid, &info, WEXITED | WNOWAIT), 0);
        e->pid = (uint64_t)SHMQ_ROLE_PRODUCER << 32 | (uint32_t)corpse.pid;
    }
    for (int i = 0; i < 3; i++) {
        int rc = shmq_producer_open(topic, NULL, &second);
        if (spsc) {
            T_TRUE(rc == SHMQ_ERR_BUSY || rc == SHMQ_ERR_LIMIT);
        } else if (rc == SHMQ_OK) {
            t_publish_run(second, 100, 5);
            shmq_producer_close(second);
        }
    }
    t_send(&proc, 1);
    (void)t_recv(&proc);
    uint64_t mine = 0;
    while (shmq_consumer_receive(c, &msg) == SHMQ_OK) {
        uint64_t size = t_tag(&msg) == 1 ? 1000 : 16;
        T_CARRIES(&msg, t_tag(&msg), size);
        mine += size == 1000;
        T_OK(shmq_consumer_release(c, &msg));
    }
    T_EQ(mine, 1);
    t_send(&proc, 1);
    t_join(&proc);
    if (how == 2)
        (void)t_bury(&corpse);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

TEST(a_living_producer_keeps_its_memory_whatever_the_table_says)
{
    for (int how = 0; how < 3; how++) {
        keep_the_memory(false, how);
        keep_the_memory(true, how);
    }
}

static int wait_here(void *ctx)
{
    (void)ctx;
    t_tell(1);
    t_wait_for_death();
}

static int read_here(void *ctx)
{
    struct shmq_consumer *c = t_shared(t_open(ctx), "s");
    (void)c;
    t_tell(1);
    t_wait_for_death();
}

TEST(evict_kills_nobody_but_the_holder_of_the_lock)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct t_proc innocent;
    struct t_proc reader;
    struct shmq_endpoint_stat st;

    T_NEED_PROC();
    t_spawn(&innocent, wait_here, NULL);
    (void)t_recv(&innocent);
    t_spawn(&reader, read_here, (void *)(uintptr_t) "t");
    (void)t_recv(&reader);
    T_TRUE(t_endpoint_stat(topic, reader.pid, &st));
    struct shmqi_endpoint_shm *e = &ring_of(topic)->endpoints[st.id];
    uint64_t pid = e->pid, start = e->start_time, image = e->image;
    /* All that can be said of the innocent. */
    e->pid = pid >> 32 << 32 | (uint32_t)innocent.pid;
    struct shmqi_procstat ps;
    T_TRUE(shmqi_procstat((uint32_t)innocent.pid, &ps));
    e->start_time = ps.start_time;
    e->image = ps.image;
    T_RC(shmq_group_evict(topic, st.id, SHMQ_GROUP_KILL), SHMQ_ERR_BUSY);
    T_EQ(kill(innocent.pid, 0), 0);
    siginfo_t info = {0};
    T_EQ(waitid(P_PID, (id_t)innocent.pid, &info, WEXITED | WNOHANG | WNOWAIT),
        0);
    T_EQ(info.si_pid, 0);
    e->pid = pid;
    e->start_time = start;
    e->image = image;
    T_OK(shmq_group_evict(topic, st.id, SHMQ_GROUP_KILL));
    T_TRUE(WIFSIGNALED(t_bury(&reader)));
    t_kill(&innocent);
    (void)t_bury(&innocent);
    shmq_topic_close(topic);
}

TEST(doorbells_of_other_topics_are_not_removed)
{
    struct shmq_topic *mine = t_topic("mine", NULL);
    struct shmq_topic *theirs = t_topic("theirs", NULL);
    struct shmq_consumer *c = t_shared(theirs, "s");
    struct shmq_producer *p = t_producer(theirs);
    struct shmqi_ring *r = ring_of(mine);
    char path[256];
    struct stat st;
    int fd = -1;

    T_OK(shmq_consumer_fd(c, &fd));
    uint64_t identity =
        ring_of(theirs)->endpoints[shmq_consumer_endpoint(c)].identity;
    shmqi_doorbell_path(path, theirs->segment, identity);
    T_EQ(stat(path, &st), 0);
    r->endpoints[r->producer_cnt + 3].identity = identity; /* "dead" */
    shmq_producer_close(t_producer(mine)); /* whoever attaches reaps */
    T_OK(shmq_topic_unlink(t_ns, "mine", SHMQ_UNLINK_FORCE));
    T_EQ(stat(path, &st), 0);
    shmq_topic_close(mine);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(theirs);
}

/* The name of the dead-letter topic is a word like others. */
static uint64_t letters_in(const char *name)
{
    struct shmq_topic *topic = NULL;
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};

    if (shmq_topic_open(t_ns, name, &topic) != SHMQ_OK)
        return 0;
    T_OK(shmq_topic_stat(topic, &st));
    shmq_topic_close(topic);
    return st.total_messages;
}

static void die_of_poison(uint32_t mode, const char *asked, bool expect_other)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct shmq_consumer_options o = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c = NULL;
    struct shmq_message msg;
    char name[136] = "other";

    attrs.mode = mode;
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_topic *other = t_topic("other", NULL);
    struct shmq_producer *p = t_producer(topic);
    o.attrs.max_attempts = 2;
    o.attrs.dead_letter = asked;
    if (asked == NULL) { /* a hostile peer chose it */
        T_OK(shmq_group_create(topic, "s", &o.attrs, NULL));
        for (uint32_t i = 0; i < ring_of(topic)->group_cnt; i++)
            memcpy((void *)ring_of(topic)->groups[i].dead_letter, name,
                sizeof name);
    }
    T_OK(shmq_consumer_open(topic, &o, &c));
    t_publish_run(p, 0, 1);
    while (shmq_consumer_receive(c, &msg) == SHMQ_OK)
        T_OK(shmq_consumer_nack(c, &msg));
    T_EQ(letters_in("other"), expect_other ? 1 : 0);
    T_EQ(letters_in("@dead.t"), expect_other ? 0 : 1);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
    shmq_topic_close(other);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_OK(shmq_topic_unlink(t_ns, "other", 0));
    (void)shmq_topic_unlink(t_ns, "@dead.t", 0);
}

TEST(poison_goes_where_the_owner_or_the_application_says)
{
    die_of_poison(0666, NULL, false);
    die_of_poison(0666, "other", true);
    die_of_poison(0600, NULL, true);
}

/* Floors are in the control file, and views live by them. */
TEST(no_views_where_members_may_not_write_the_data)
{
    static const uint32_t modes[][3] = {{0600, 0600, 1}, {0660, 0660, 1},
        {0666, 0644, 0}, {0660, 0640, 0}, {0666, 0664, 0}};

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
        attrs.mode = modes[i][0];
        attrs.data_mode = modes[i][1];
        struct shmq_topic *topic = t_topic("t", &attrs);
        struct shmq_consumer *c = t_exclusive(topic, "x");
        struct shmq_producer *p = t_producer(topic);
        struct shmq_message msg;
        t_publish_run(p, 0, 1);
        T_OK(shmq_consumer_receive(c, &msg));
        const uint8_t *at = msg.data, *base = ring_of(topic)->arena_base;
        bool view = at >= base && at < base + 16384ull * 8;
        T_EQ(view, modes[i][2]);
        shmq_consumer_close(c);
        shmq_producer_close(p);
        shmq_topic_close(topic);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
}

TEST(names_in_error_texts_are_printable)
{
    struct shmq_topic_attrs attrs = t_mpmc(4, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *p = t_producer(topic);
    struct shmqi_ring *r = ring_of(topic);
    int rc;

    T_OK(shmq_group_create(topic, "evil", NULL, NULL));
    for (uint32_t i = 0; i < r->name_cnt; i++)
        if (r->names[i].hash != 0)
            r->names[i].bytes[0] = 0x4a325b1b0a07ff80; /* ESC [ 2 J */
    do
        rc = shmq_producer_publish_wait(p, "x", 1, shmq_deadline(T_MS), NULL);
    while (rc == SHMQ_OK);
    T_EQ(rc, SHMQ_ERR_TIMEOUT);
    for (const char *t = shmq_error_text(); *t; t++)
        T_TRUE(*t >= 0x20 && *t <= 0x7e);
    T_SAYS("[2J");
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(a_living_producer_keeps_its_memory_whatever_the_table_says),
    T(evict_kills_nobody_but_the_holder_of_the_lock),
    T(doorbells_of_other_topics_are_not_removed),
    T(poison_goes_where_the_owner_or_the_application_says),
    T(no_views_where_members_may_not_write_the_data),
    T(names_in_error_texts_are_printable),
};
T_MAIN(tests)
