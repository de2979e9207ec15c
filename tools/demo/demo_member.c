/* demo_member.c - a process that reads lines in a group and checks each. */
#include "demo.h"

#include <string.h>

struct reader {
    struct demo_run *run;
    struct demo_member_page *page;
    struct shmq_topic *topic;
    struct shmq_consumer *consumer;
    _Atomic unsigned char *marks;
    enum demo_group group;
    uint32_t member;
    uint64_t next[DEMO_STREAM_MAX]; /* smallest line in order, per stream */
};

/* Finds out which line this is and compares it with the input. Returns false
 * when it is not the line that it claims to be. */
static bool identify(const struct demo_run *run, const struct shmq_message *msg,
    struct demo_stamp *stamp)
{
    struct shmq_attr attr;
    if (shmq_message_attr(msg, SHMQ_ATTR_CORRELATION_ID, 0, &attr) != 0 ||
        attr.value_bytes != sizeof(*stamp))
        return false;
    memcpy(stamp, attr.value, sizeof(*stamp));
    if (stamp->check != demo_checksum(stamp, msg->data, msg->size) ||
        stamp->stream > run->options.producers ||
        stamp->line >= run->streams[stamp->stream].line_cnt)
        return false;
    const struct demo_line *line =
        demo_stream_line(run, stamp->stream, stamp->line);
    return line->size == msg->size &&
        (msg->size == 0 || memcmp(line->bytes, msg->data, msg->size) == 0);
}

static void note_return(
    struct demo_member_page *page, uint64_t mark, uint64_t now_ns)
{
    uint32_t cnt = atomic_load(&page->return_cnt);
    atomic_fetch_add(&page->redelivered, 1);
    if (cnt < DEMO_RETURN_MAX) {
        page->returns[cnt] = (struct demo_return){mark, now_ns};
        atomic_store(&page->return_cnt, cnt + 1);
    }
}

static void note_time(struct demo_member_page *page,
    const struct demo_stamp *stamp, uint64_t now_ns)
{
    uint64_t last_ns = atomic_load(&page->last_ns);
    if (last_ns != 0 && now_ns - last_ns > atomic_load(&page->silence_ns))
        atomic_store(&page->silence_ns, now_ns - last_ns);
    atomic_store(&page->last_ns, now_ns);
    demo_hist_add(&page->latency[stamp->phase == DEMO_PACED],
        now_ns > stamp->sent_ns ? now_ns - stamp->sent_ns : 0);
}

/* Books one line; returns its mark number. */
static uint64_t book(
    struct reader *reader, const struct demo_stamp *stamp, bool again)
{
    struct demo_member_page *page = reader->page;
    uint64_t mark = reader->run->streams[stamp->stream].mark_base + stamp->line;
    uint64_t now_ns = demo_now_ns();
    atomic_store(&page->held, mark + 1);
    unsigned char before = atomic_fetch_add(&reader->marks[mark], 1);
    uint64_t *next = &reader->next[stamp->stream];
    if (again) {
        note_return(page, mark, now_ns);
    } else {
        bool in_order = reader->group == DEMO_ARCHIVE ? stamp->line == *next
                                                      : stamp->line >= *next;
        if (before != 0)
            atomic_fetch_add(&page->unflagged, 1);
        if (!in_order)
            atomic_fetch_add(&page->disorder, 1);
        *next = stamp->line + 1;
        note_time(page, stamp, now_ns);
    }
    atomic_fetch_add(&page->received, 1);
    return mark;
}

#define PATIENCE (DEMO_MS * 20000) /* more than a busy machine needs */

/* The victim of the story keeps one line in hand until it has been hit. */
static void linger(struct reader *reader)
{
    const struct demo_board *board = reader->run->board;
    uint64_t end_ns = demo_now_ns() + PATIENCE;
    if (atomic_load(&board->linger) != reader->member + 1)
        return;
    atomic_store(&reader->page->lingering, 1);
    while (atomic_load(&board->linger) != 0 && demo_now_ns() < end_ns)
        demo_sleep_ns(DEMO_MS);
    atomic_store(&reader->page->lingering, 0);
}

/* The other workers leave lines for the victim: on a busy machine they would
 * have them all before it gets any. */
static void stand_back(const struct reader *reader)
{
    struct demo_board *board = reader->run->board;
    uint64_t end_ns = demo_now_ns() + PATIENCE;
    uint32_t victim;
    while (reader->group == DEMO_WORKERS &&
        (victim = atomic_load(&board->linger)) != 0 &&
        victim != reader->member + 1 &&
        atomic_load(&board->members[victim - 1].lingering) == 0 &&
        demo_now_ns() < end_ns)
        demo_sleep_ns(DEMO_MS / 10);
}

static int handle(struct reader *reader, struct shmq_message *msg)
{
    struct demo_stamp stamp;
    if (!identify(reader->run, msg, &stamp)) {
        atomic_fetch_add(&reader->page->torn, 1);
        return shmq_consumer_release(reader->consumer, msg);
    }
    book(reader, &stamp, (msg->flags & SHMQ_MESSAGE_REDELIVERED) != 0);
    stand_back(reader);
    linger(reader);
    int rc = shmq_consumer_release(reader->consumer, msg);
    if (rc == 0)
        atomic_fetch_add(&reader->page->acked, 1);
    atomic_store(&reader->page->held, 0);
    return rc;
}

static int reopen(struct reader *reader)
{
    bool archive = reader->group == DEMO_ARCHIVE;
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .group = archive ? "archive" : "workers",
        .attrs = {.kind = archive ? SHMQ_GROUP_EXCLUSIVE : SHMQ_GROUP_SHARED}};
    if (!archive && reader->run->options.stop)
        options.attrs.lease_ns = DEMO_LEASE_NS;
    shmq_consumer_close(reader->consumer);
    reader->consumer = NULL;
    return shmq_consumer_open(reader->topic, &options, &reader->consumer);
}

/* One turn: a line, or 50 ms without. Returns 1 when all is done. */
static int turn(struct reader *reader)
{
    struct shmq_message msg;
    int rc = shmq_consumer_receive_wait(
        reader->consumer, shmq_deadline(50 * DEMO_MS), &msg);
    if (rc == 0)
        rc = handle(reader, &msg);
    else if (rc == SHMQ_ERR_STALE)
        return reopen(reader);
    switch (rc) {
    case SHMQ_ERR_STALE: /* the line went to another meanwhile */
        atomic_fetch_add(&reader->page->stale, 1);
        return 0;
    case SHMQ_ERR_GAP:
        atomic_fetch_add(&reader->page->gaps, 1);
        return 0;
    case SHMQ_ERR_TIMEOUT:
    case SHMQ_ERR_INTR:
        if (atomic_load(&reader->run->board->finish) == 0)
            return 0;
        return shmq_consumer_drained(reader->consumer);
    default:
        return rc;
    }
}

int demo_member(struct demo_run *run, uint32_t member)
{
    struct reader reader = {.run = run,
        .page = &run->board->members[member],
        .group = member == 0 ? DEMO_ARCHIVE : DEMO_WORKERS,
        .member = member};
    reader.marks = run->marks[reader.group];
    int rc = shmq_topic_open(run->ns, "lines", &reader.topic);
    if (rc == 0)
        rc = reopen(&reader);
    while (rc == 0)
        rc = turn(&reader);
    if (rc < 0)
        return demo_complain(run, member == 0 ? "archive" : "worker");
    shmq_consumer_close(reader.consumer);
    shmq_topic_close(reader.topic);
    return 0;
}
