/* demo_producer.c - a process that publishes one stream of lines, and the
 * replacement that goes on where a dead one stopped. */
#include "demo.h"

#include <string.h>

/* A batch on its way: record i carries stamp i as its only attribute. */
struct batch {
    struct shmq_record records[DEMO_BATCH_MAX];
    struct shmq_attr attrs[DEMO_BATCH_MAX];
    struct demo_stamp stamps[DEMO_BATCH_MAX];
    uint64_t positions[DEMO_BATCH_MAX];
    uint32_t cnt;
};

/* Stops at 40, 60 and 80 % until the story has come so far. */
static void wait_for_story(struct demo_run *run, uint32_t stream, uint64_t line)
{
    uint64_t percent = line * 100 / run->streams[stream].line_cnt;
    uint32_t need = percent < 40 ? DEMO_BEGIN
        : percent < 60           ? DEMO_PRODUCER_HIT
        : percent < 80           ? DEMO_MEMBER_ARMED
                                 : DEMO_MEMBER_HIT;
    if (stream >= run->options.producers) /* paced: after the story */
        return;
    while (atomic_load(&run->board->stage) < need)
        demo_sleep_ns(DEMO_MS / 5);
}

static void fill(struct demo_run *run, uint32_t stream, uint64_t line,
    uint32_t max, struct batch *batch)
{
    uint64_t left = run->streams[stream].line_cnt - line;
    uint64_t bytes = 0;
    uint64_t now_ns = demo_now_ns();
    batch->cnt = 0;
    while (batch->cnt < max && batch->cnt < left && bytes < 32768) {
        uint32_t i = batch->cnt++;
        const struct demo_line *text = demo_stream_line(run, stream, line + i);
        struct demo_stamp *stamp = &batch->stamps[i];
        stamp->line = line + i;
        stamp->sent_ns = now_ns;
        stamp->stream = stream;
        stamp->phase =
            stream < run->options.producers ? DEMO_FULL_SPEED : DEMO_PACED;
        stamp->check = demo_checksum(stamp, text->bytes, text->size);
        batch->attrs[i] = (struct shmq_attr){.type = SHMQ_ATTR_CORRELATION_ID,
            .value_bytes = sizeof(*stamp),
            .value = stamp};
        batch->records[i] = (struct shmq_record){.data = text->bytes,
            .size = text->size,
            .attrs = &batch->attrs[i],
            .attr_cnt = 1};
        bytes += text->size;
    }
}

/* Publishes the batch, however long a full ring makes it wait. */
static int publish(struct shmq_producer *producer, struct batch *batch)
{
    for (;;) {
        int rc = shmq_producer_publish_batch_wait(producer, batch->records,
            batch->cnt, shmq_deadline(DEMO_LEASE_NS), batch->positions);
        if (rc != SHMQ_ERR_TIMEOUT && rc != SHMQ_ERR_INTR &&
            rc != SHMQ_ERR_FULL)
            return rc;
    }
}

static void note(struct demo_producer_page *page, const struct batch *batch,
    uint64_t line, bool replacement)
{
    uint64_t now_ns = demo_now_ns();
    /* The position first: a kill between the two leaves a position that is
     * too new for `acked`, and the replacement finds the lines at it. */
    atomic_store(&page->last_position, batch->positions[batch->cnt - 1]);
    atomic_store(&page->acked, line + batch->cnt);
    if (atomic_load(&page->first_ns) == 0)
        atomic_store(&page->first_ns, batch->stamps[0].sent_ns);
    atomic_store(&page->last_ns, now_ns);
    if (replacement && atomic_load(&page->resumed_ns) == 0)
        atomic_store(&page->resumed_ns, now_ns);
}

/* Looks through the ring, from the last line that was certainly published to
 * what is there now, for more lines of the stream. Moves *line. Returns 1, or
 * 0 when that part of the ring has been used again already. */
static int read_back(struct demo_run *run, struct shmq_topic *topic,
    uint32_t stream, uint64_t *line)
{
    struct demo_producer_page *page = &run->board->producers[stream];
    struct shmq_topic_stat stat = {.struct_bytes = sizeof(stat)};
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .start = {.kind = SHMQ_START_POSITION,
            .value = atomic_load(&page->last_position)}};
    struct shmq_consumer *reader = NULL;
    struct shmq_message msg;
    bool first = true;
    if (*line == 0)
        options.start.kind = SHMQ_START_EARLIEST;
    int rc = shmq_topic_stat(topic, &stat);
    if (rc == 0)
        rc = shmq_consumer_open(topic, &options, &reader);
    if (rc != 0)
        return rc;
    while ((rc = shmq_consumer_receive(reader, &msg)) == 0) {
        struct shmq_attr attr;
        struct demo_stamp stamp;
        uint64_t position = msg.position;
        if (first && *line > 0 && position != options.start.value) {
            rc = SHMQ_ERR_GAP;
            break;
        }
        first = false;
        if (shmq_message_attr(&msg, SHMQ_ATTR_CORRELATION_ID, 0, &attr) == 0 &&
            attr.value_bytes == sizeof(stamp)) {
            memcpy(&stamp, attr.value, sizeof(stamp));
            if (stamp.stream == stream && stamp.line >= *line)
                *line = stamp.line + 1;
        }
        shmq_consumer_release(reader, &msg);
        if (position >= stat.published_position)
            break;
    }
    shmq_consumer_close(reader);
    return rc == 0 || rc == SHMQ_ERR_EMPTY ? 1 : rc == SHMQ_ERR_GAP ? 0 : rc;
}

/* When the archive has read all that was published before now, its marks tell
 * what was published. */
static int ask_archive(struct demo_run *run, struct shmq_topic *topic,
    uint32_t stream, uint64_t *line)
{
    struct shmq_topic_stat stat = {.struct_bytes = sizeof(stat)};
    struct shmq_group_stat groups[DEMO_GROUP_CNT];
    uint32_t cnt = 0;
    uint64_t floor = 0;
    int rc = shmq_topic_stat(topic, &stat);
    while (rc == 0 && floor < stat.published_position) {
        rc = shmq_topic_groups(topic, groups, DEMO_GROUP_CNT, &cnt);
        for (uint32_t i = 0; rc == 0 && i < cnt && i < DEMO_GROUP_CNT; i++)
            if (strcmp(groups[i].name, "archive") == 0)
                floor = groups[i].floor_position;
        demo_sleep_ns(DEMO_MS / 5);
    }
    const struct demo_stream *s = &run->streams[stream];
    while (*line < s->line_cnt &&
        atomic_load(&run->marks[DEMO_ARCHIVE][s->mark_base + *line]) != 0)
        (*line)++;
    return rc;
}

static int resume(struct demo_run *run, struct shmq_topic *topic,
    uint32_t stream, uint64_t *line)
{
    struct demo_producer_page *page = &run->board->producers[stream];
    enum demo_resume how = DEMO_RESUME_RING;
    *line = atomic_load(&page->acked);
    int rc = read_back(run, topic, stream, line);
    if (rc == 0) {
        how = DEMO_RESUME_ARCHIVE;
        rc = ask_archive(run, topic, stream, line);
    }
    atomic_store(&page->resumed_from, *line);
    atomic_store(&page->resume, how);
    return rc < 0 ? rc : 0;
}

static int publish_all(struct demo_run *run, struct shmq_producer *producer,
    uint32_t stream, uint64_t line, bool replacement)
{
    static struct batch batch;
    uint64_t cnt = run->streams[stream].line_cnt;
    bool paced = stream >= run->options.producers;
    uint64_t due_ns = demo_now_ns();
    while (line < cnt) {
        wait_for_story(run, stream, line);
        if (paced) { /* 1,000 lines a second, one by one */
            uint64_t now_ns = demo_now_ns();
            due_ns += DEMO_MS;
            if (now_ns < due_ns)
                demo_sleep_ns(due_ns - now_ns);
        }
        fill(run, stream, line, paced ? 1 : run->options.batch, &batch);
        int rc = publish(producer, &batch);
        if (rc != 0)
            return rc;
        note(&run->board->producers[stream], &batch, line, replacement);
        line += batch.cnt;
    }
    return 0;
}

int demo_producer(struct demo_run *run, uint32_t stream, bool replacement)
{
    struct shmq_topic *topic = NULL;
    struct shmq_producer *producer = NULL;
    uint64_t line = 0;
    int rc = shmq_topic_open(run->ns, "lines", &topic);
    if (rc == 0)
        rc = shmq_producer_open(topic, NULL, &producer);
    if (rc == 0 && replacement)
        rc = resume(run, topic, stream, &line);
    if (rc == 0)
        rc = publish_all(run, producer, stream, line, replacement);
    if (rc != 0)
        return demo_complain(run, "producer");
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}
