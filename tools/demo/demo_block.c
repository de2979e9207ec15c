/* demo_block.c - the one wait that remains: a full `block` topic waits for the
 * group that gates it. It is named, and evicting the reader ends it. */
#include "demo.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { READER_STOPPED = 1, RING_FULL = 2, ALL_PUBLISHED = 3 };

static int open_reader(struct shmq_topic *topic, struct shmq_consumer **ret)
{
    /* Copies: a reader without views into the ring can be evicted alive. */
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .flags = SHMQ_CONSUMER_COPY,
        .group = "slow",
        .attrs = {.kind = SHMQ_GROUP_EXCLUSIVE}};
    return shmq_consumer_open(topic, &options, ret);
}

static int read_on(struct demo_run *run, struct shmq_consumer *consumer)
{
    struct shmq_message msg;
    uint32_t line = 0;
    int rc =
        shmq_consumer_receive_wait(consumer, shmq_deadline(20 * DEMO_MS), &msg);
    if (rc == SHMQ_ERR_TIMEOUT || rc == SHMQ_ERR_INTR) {
        bool all = atomic_load(&run->board->block_step) == ALL_PUBLISHED;
        return all ? shmq_consumer_drained(consumer) : 0;
    }
    if (rc != 0)
        return rc;
    if (msg.size == sizeof(line))
        memcpy(&line, msg.data, sizeof(line));
    if (line < DEMO_BLOCK_LINES)
        atomic_fetch_add(&run->board->block_marks[line], 1);
    if (msg.flags & SHMQ_MESSAGE_REDELIVERED)
        atomic_fetch_add(&run->board->block_redelivered, 1);
    return shmq_consumer_release(consumer, &msg);
}

/* Body of the reading processes. */
static int slow_reader(struct demo_run *run)
{
    struct shmq_topic *topic = NULL;
    struct shmq_consumer *consumer = NULL;
    int rc = shmq_topic_open(run->ns, "gate", &topic);
    if (rc == 0)
        rc = open_reader(topic, &consumer);
    while (rc == 0)
        rc = read_on(run, consumer);
    if (rc == SHMQ_ERR_STALE)
        atomic_fetch_add(&run->board->block_stale, 1);
    else if (rc < 0)
        return demo_complain(run, "slow reader");
    shmq_consumer_close(consumer);
    shmq_topic_close(topic);
    return 0;
}

/* Body of the publishing process: ten lines, then the others once the reader
 * is stopped. It tells what holds it up, and goes on trying. */
static int publisher(struct demo_run *run)
{
    struct demo_board *board = run->board;
    struct shmq_topic *topic = NULL;
    struct shmq_producer *producer = NULL;
    uint32_t line = 0;
    int rc = shmq_topic_open(run->ns, "gate", &topic);
    if (rc == 0)
        rc = shmq_producer_open(topic, NULL, &producer);
    while (rc == 0 && line < DEMO_BLOCK_LINES) {
        while (line == 10 && atomic_load(&board->block_step) < READER_STOPPED)
            demo_sleep_ns(DEMO_MS);
        rc = shmq_producer_publish_wait(
            producer, &line, sizeof(line), shmq_deadline(300 * DEMO_MS), NULL);
        if (rc == 0) {
            line++;
            atomic_store(&board->block_room_ns, demo_now_ns());
        } else if (rc == SHMQ_ERR_TIMEOUT) {
            if (atomic_load(&board->block_step) == READER_STOPPED)
                snprintf(board->block_holder, sizeof(board->block_holder), "%s",
                    shmq_error_text());
            atomic_store(&board->block_step, RING_FULL);
            rc = 0;
        }
    }
    if (rc != 0)
        return demo_complain(run, "publisher");
    atomic_store(&board->block_step, ALL_PUBLISHED);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}

static bool ten_read(struct demo_run *run)
{
    return atomic_load(&run->board->block_marks[9]) != 0;
}

static bool ring_full(struct demo_run *run)
{
    return atomic_load(&run->board->block_step) == RING_FULL;
}

static bool room_again(struct demo_run *run)
{
    return atomic_load(&run->board->block_room_ns) > run->story.block.evict_ns;
}

static bool all_gone(struct demo_run *run)
{
    for (size_t i = 0; i < DEMO_BLOCK_PROCESSES; i++)
        if (run->block_pids[i] != 0)
            return false;
    return true;
}

/* What stat says about the reader: fills the story, returns its id. */
static int find_holder(
    struct demo_run *run, struct shmq_topic *topic, uint32_t *ret_id)
{
    static const char *const states[] = {
        "?", "running", "stopped", "dead", "unknown"};
    struct shmq_endpoint_stat endpoints[8];
    uint32_t cnt = 0;
    int rc = shmq_topic_endpoints(topic, endpoints, 8, &cnt);
    for (uint32_t i = 0; rc == 0 && i < cnt && i < 8; i++) {
        const struct shmq_endpoint_stat *e = &endpoints[i];
        if (e->role != SHMQ_ROLE_MEMBER || e->pid != run->block_pids[0])
            continue;
        snprintf(run->story.block.endpoint, sizeof(run->story.block.endpoint),
            "endpoint %u, pid %d (%s), of group %s, %s, holds up %u", e->id,
            (int)e->pid, e->comm, e->group, states[e->state % 5], e->block_cnt);
        *ret_id = e->id;
        run->story.block.ok =
            e->state == SHMQ_STATE_STOPPED && e->block_cnt == 1;
        return 0;
    }
    return rc != 0 ? rc : SHMQ_ERR_NOENT;
}

static int fill_up(struct demo_run *run, struct shmq_topic *topic)
{
    uint64_t sent_ns = 0;
    struct shmq_consumer *second = NULL;
    run->block_pids[0] = demo_spawn(run, slow_reader);
    run->block_pids[1] = demo_spawn(run, publisher);
    if (run->block_pids[0] < 0 || run->block_pids[1] < 0 ||
        demo_wait(run, ten_read) != 0 ||
        demo_stop(run->block_pids[0], &sent_ns) != 0)
        return -1;
    run->story.block.pid = run->block_pids[0];
    demo_say(run, "topic gate, block: its reader (pid %d) is stopped\n",
        (int)run->block_pids[0]);
    atomic_store(&run->board->block_step, READER_STOPPED);
    if (demo_wait(run, ring_full) != 0)
        return -1;
    snprintf(run->story.block.holder, sizeof(run->story.block.holder), "%s",
        run->board->block_holder);
    demo_say(run, "%s\n", run->story.block.holder);
    if (open_reader(topic, &second) != SHMQ_ERR_BUSY)
        return -1;
    snprintf(run->story.block.busy, sizeof(run->story.block.busy), "%s",
        shmq_error_text());
    return 0;
}

static int end_it(struct demo_run *run, struct shmq_topic *topic)
{
    uint32_t id = 0;
    int rc = find_holder(run, topic, &id);
    if (rc != 0)
        return rc;
    demo_say(run, "stat: %s\n", run->story.block.endpoint);
    run->story.block.evict_ns = demo_now_ns();
    rc = shmq_group_evict(topic, id, 0);
    if (rc != 0)
        return rc;
    run->block_pids[2] = demo_spawn(run, slow_reader);
    if (run->block_pids[2] < 0 || demo_wait(run, room_again) != 0)
        return -1;
    run->story.block.evict_ns = demo_now_ns() - run->story.block.evict_ns;
    demo_say(run,
        "it is evicted; a new reader takes over, publishing goes on "
        "%s later\n",
        demo_time(run->story.block.evict_ns));
    kill(run->block_pids[0], SIGCONT);
    return demo_wait(run, all_gone);
}

static void judge(struct demo_run *run)
{
    run->story.block.delivered = 0;
    for (uint32_t i = 0; i < DEMO_BLOCK_LINES; i++)
        run->story.block.delivered +=
            atomic_load(&run->board->block_marks[i]) != 0;
    run->story.block.redelivered = atomic_load(&run->board->block_redelivered);
    run->story.block.stale = atomic_load(&run->board->block_stale);
    run->story.block.ok = run->story.block.ok &&
        run->story.block.delivered == DEMO_BLOCK_LINES &&
        run->story.block.stale == 1;
}

int demo_block(struct demo_run *run)
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs),
        .capacity_frames = 64,
        .max_message_bytes = 4096};
    struct shmq_topic *topic = NULL;
    struct shmq_group_attrs slow = {
        .struct_bytes = sizeof(slow), .kind = SHMQ_GROUP_EXCLUSIVE};
    int rc = shmq_topic_create(run->ns, "gate", &attrs);
    if (rc == 0)
        rc = shmq_topic_open(run->ns, "gate", &topic);
    if (rc == 0)
        rc = shmq_group_create(topic, "slow", &slow, NULL);
    if (rc == 0)
        rc = fill_up(run, topic);
    if (rc == 0)
        rc = end_it(run, topic);
    if (rc != 0 && run->board->complaint[0] == '\0')
        snprintf(run->board->complaint, sizeof(run->board->complaint),
            "topic gate: %s: %s", shmq_err_name(rc), shmq_error_text());
    judge(run);
    shmq_topic_close(topic);
    return rc == 0 ? 0 : -1;
}
