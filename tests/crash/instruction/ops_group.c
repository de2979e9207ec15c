/* ops_group.c - making, removing and moving groups; evicting; looking. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ops.h"
#include "victim.h"

static void setup_nothing(struct victim *v)
{
    v_topic(v);
    v_fill_apart(v);
    shmq_producer_close(v->producer);
    v->producer = NULL;
}

static void create(struct victim *v, uint32_t kind)
{
    struct shmq_start start = {kind, 0, 0};
    page->rc = shmq_group_create(v->topic, "fresh", NULL, &start);
}

static void create_earliest(struct victim *v)
{
    create(v, SHMQ_START_EARLIEST);
}

static void create_latest(struct victim *v)
{
    create(v, SHMQ_START_LATEST);
}

static void remove_work(struct victim *v)
{
    page->rc = shmq_group_remove(v->topic, group_names[WORK], 0);
}

static void reset_earliest(struct victim *v)
{
    struct shmq_start start = {SHMQ_START_EARLIEST, 0, 0};
    page->rc = shmq_group_reset(v->topic, group_names[WORK], &start, 0);
}

static void reset_latest(struct victim *v)
{
    struct shmq_start start = {SHMQ_START_LATEST, 0, 0};
    page->rc = shmq_group_reset(v->topic, group_names[WORK], &start, 0);
}

/* -- evict -------------------------------------------------------------------
 */

static void setup_evict(struct victim *v)
{
    v_consumer(v, WORK, SHMQ_CONSUMER_COPY);
    v_receive(v, 0);
}

static void setup_evict_reader(struct victim *v)
{
    v_consumer(v, AUDIT, SHMQ_CONSUMER_COPY);
    v_receive(v, 0);
}

static void evict(struct victim *v)
{
    page->rc =
        shmq_group_evict(v->topic, shmq_consumer_endpoint(v->consumer), 0);
}

/* Another member, which holds a record, is to be killed. It dies with the
 * victim at the latest. */
static void setup_prey(struct victim *v)
{
    struct victim its;
    pid_t parent = getpid();
    v_topic(v);
    v_fill_apart(v);
    page->prey_ready = 0;
    pid_t pid = fork();
    if (pid > 0)
        page->prey = (uint32_t)pid;
    while (pid > 0 && page->prey_ready == 0) {
        real_pause(50000);
    }
    if (pid != 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(2);
    memset(&its, 0, sizeof its);
    struct shmq_consumer_options o = v_options(&its, WORK);
    v_must(shmq_topic_open(page->ns, TOPIC, &its.topic), "open");
    v_must(shmq_consumer_open(its.topic, &o, &its.consumer), "prey");
    v_receive(&its, 0);
    page->prey_ready = shmq_consumer_endpoint(its.consumer) + 1;
    for (;;)
        (void)pause();
}

static void evict_kill(struct victim *v)
{
    page->rc =
        shmq_group_evict(v->topic, page->prey_ready - 1, SHMQ_GROUP_KILL);
}

/* -- looking ------------------------------------------------------------------
 */

static void stat_all(struct victim *v)
{
    static struct shmq_group_stat groups[4];
    static struct shmq_endpoint_stat endpoints[4];
    struct shmq_topic_stat stat;
    uint32_t cnt;
    memset(&stat, 0, sizeof stat);
    stat.struct_bytes = sizeof stat;
    page->rc = shmq_topic_stat(v->topic, &stat);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_topic_groups(v->topic, groups, 4, &cnt);
    if (page->rc == SHMQ_OK)
        page->rc = shmq_topic_endpoints(v->topic, endpoints, 4, &cnt);
}

static void nothing(struct victim *v)
{
    (void)v;
}

static void topic_open(struct victim *v)
{
    page->rc = shmq_topic_open(page->ns, TOPIC, &v->topic);
}

static void topic_close(struct victim *v)
{
    shmq_topic_close(v->topic);
    v->topic = NULL;
    page->rc = SHMQ_OK;
}

/* -- making and removing topics (mode_f.c)
 * ------------------------------------- */

static void topic_create(struct victim *v)
{
    struct shmq_topic_attrs a;
    (void)v;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.ring = page->config.ring;
    a.arena_bytes = 4096;
    a.max_groups = 1;
    a.max_members = 1;
    if (a.ring == SHMQ_RING_MPMC) {
        a.capacity_frames = 8;
        a.max_producers = 1;
    }
    page->rc = shmq_topic_create(page->ns, "made", &a);
}

static void topic_unlink(struct victim *v)
{
    (void)v;
    page->rc = shmq_topic_unlink(page->ns, "made", 0);
}

const struct op group_ops[] = {
    {"group create, earliest", BOTH | OP_NO_FLIP | OP_REAPS, 0, setup_nothing,
        create_earliest, NULL},
    {"group create, latest", BOTH | OP_NO_FLIP, 0, setup_nothing, create_latest,
        NULL},
    {"group remove", BOTH | OP_ONE_FLIP | OP_FREE, 0, setup_nothing,
        remove_work, NULL},
    {"group reset, earliest", BOTH | OP_FREE, 0, setup_nothing, reset_earliest,
        NULL},
    {"group reset, latest", BOTH | OP_FREE, 0, setup_nothing, reset_latest,
        NULL},
    {"evict, shared", OP_MPMC | OP_NEEDS_RECORD | OP_EVICTS, 0, setup_evict,
        evict, NULL},
    {"evict, exclusive", BOTH | OP_NEEDS_RECORD | OP_EVICTS, 0,
        setup_evict_reader, evict, NULL},
    {"evict, kill", BOTH | OP_NEEDS_RECORD | OP_PREY, 0, setup_prey, evict_kill,
        NULL},
    {"topic create", BOTH | OP_FILES, 0, nothing, topic_create, NULL},
    {"topic unlink", BOTH | OP_FILES, 1, nothing, topic_unlink, NULL},
    {"stat", BOTH | OP_NO_FLIP, 0, setup_nothing, stat_all, NULL},
    {"topic open", BOTH | OP_NO_FLIP, 0, nothing, topic_open, NULL},
    {"topic close", BOTH | OP_NO_FLIP, 0, v_topic, topic_close, NULL},
};
const uint32_t group_op_cnt = sizeof group_ops / sizeof group_ops[0];
