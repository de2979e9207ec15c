/* topic.c - a topic's way from log and ring to being served, and back.
 *
 * A ring that outlived the last daemon is served on: what it holds beyond the
 * log's end is drained next. A ring that is gone is made anew, at a position
 * beyond every one that a reader may have seen; that this position was taken
 * is on disk before the ring is there, so it is never taken twice. */
#include "topic.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <shmq.h>

#include "service/service_log.h"

enum { FRAME_MORE = 256 }; /* headers around half an arena */
#define RETRY_NS 1000000000ull
#define RETRY_SOON_NS 50000000ull /* a daemon that is just dying */
#define READY_WAIT_NS 10000000000ull

static void let_go(struct shmqd_topic *topic)
{
    if (topic->drain_fd >= 0)
        shmqd_unwatch(topic->daemon, topic->drain_fd);
    topic->drain_fd = -1;
    shmqi_drain_close(topic->drain);
    topic->drain = NULL;
    if (topic->log != NULL)
        (void)shmqd_log_close(topic->log, false);
    topic->log = NULL;
}

void shmqd_topic_set_aside(struct shmqd_topic *topic,
    enum shmqd_topic_state state, const char *format, ...)
{
    char why[sizeof(topic->why)];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    if (topic->drain != NULL)
        shmqi_drain_set_state(topic->drain, SHMQ_DURABLE_FAILED);
    let_go(topic);
    /* Said once, not with every try. */
    if (topic->state != state || strcmp(topic->why, why) != 0)
        shmqs_log_about(SHMQS_ERROR, "topic", topic->name, "%s", why);
    topic->state = state;
    topic->why_rc = 0;
    memcpy(topic->why, why, sizeof(why));
    topic->retry_ns = shmqd_clock_ns() + RETRY_NS;
}

static void uuid_words(const uint8_t uuid[16], uint64_t ret[2])
{
    memcpy(ret, uuid, 16);
}

/* Looks at what has the topic's name. 1: our ring, 0: nothing, -1: set
 * aside. */
static int look_at_ring(struct shmqd_topic *topic)
{
    struct shmqi_durable_info info;
    uint64_t words[2];
    int rc = shmqi_durable_look(topic->daemon->ns, topic->name, &info);
    if (rc == SHMQ_ERR_NOENT)
        return 0;
    uuid_words(topic->uuid, words);
    if (rc != 0)
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_LEFT_ALONE,
            "left alone: what has its name cannot be read (%s); `shmq rm "
            "--force` removes it",
            shmq_error_text());
    else if (info.durability == SHMQ_DURABILITY_NONE)
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_LEFT_ALONE,
            "left alone: a topic that lives in memory only has its name; "
            "`shmq rm` removes that one");
    else if (!info.marks)
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_LEFT_ALONE,
            "left alone: its ring has no watermarks; `shmq rm` removes it");
    else if (memcmp(words, info.topic_uuid, sizeof(words)) != 0)
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_LEFT_ALONE,
            "left alone: the ring of its name belongs to another data "
            "directory; `shmq rm` removes it");
    else
        return 1;
    return -1;
}

static bool open_log(
    struct shmqd_topic *topic, struct shmqd_recovery *ret_recovery)
{
    char json[1024];
    const struct shmq_topic_attrs *attrs = &topic->meta.attrs;
    struct shmqd_log_options options = {
        .kind = attrs->ring == SHMQ_RING_SPSC ? 2u : 1u,
        .level = attrs->durability == SHMQ_DURABILITY_OS ? SHMQD_LEVEL_OS
                                                         : SHMQD_LEVEL_DISK,
        .frame_bytes_max = attrs->arena_bytes / 2 + FRAME_MORE,
    };
    memcpy(options.uuid, topic->uuid, sizeof(options.uuid));
    int rc = shmqd_log_open(
        topic->daemon->store, &options, &topic->log, ret_recovery);
    if (rc != 0) {
        topic->log = NULL;
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its log cannot be opened: %s",
            shmqd_store_error(topic->daemon->store));
        return false;
    }
    shmqd_recovery_json(ret_recovery, topic->uuid, json, sizeof(json));
    shmqs_log_about(ret_recovery->degraded ? SHMQS_ERROR : SHMQS_INFO, "topic",
        topic->name, "recovered: %s", json);
    topic->degraded = ret_recovery->degraded;
    topic->low = ret_recovery->low_pos;
    topic->written = topic->durable = ret_recovery->end_pos;
    return true;
}

/* Starts the log at `start` and waits until that is on disk. */
static bool begin_log(struct shmqd_topic *topic, uint64_t start)
{
    struct shmqd_log_status status;
    uint64_t end_ns = shmqd_clock_ns() + READY_WAIT_NS;
    int rc = shmqd_log_begin(topic->log, start);
    shmqd_log_status(topic->log, &status);
    while (rc == 0 && !status.ready && status.state != SHMQD_LOG_READ_ONLY &&
        shmqd_clock_ns() < end_ns) {
        (void)shmqd_store_turn(topic->daemon->store, 10000000);
        shmqd_log_status(topic->log, &status);
    }
    if (rc == 0 && status.ready)
        return true;
    shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
        "its log takes no new segment: %s",
        shmqd_store_error(topic->daemon->store));
    return false;
}

static bool make_ring(
    struct shmqd_topic *topic, const struct shmqd_recovery *recovery)
{
    char dir[SHMQD_PATH_MAX];
    const struct shmq_topic_attrs *attrs = &topic->meta.attrs;
    /* Bytes that were never acknowledged may have been read all the same. */
    uint64_t end = recovery->dropped_end_pos > recovery->end_pos
        ? recovery->dropped_end_pos
        : recovery->end_pos;
    /* Nor may a group of the journal stand beyond the new records: it would
     * pass over them. */
    uint64_t reached = shmqd_topic_reached(topic, end);
    uint64_t start = shmqi_durable_start(attrs, reached);
    if (reached > shmqi_durable_start(attrs, end))
        shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
            "the log ends at %" PRIu64 " although a group had come to %" PRIu64
            "; what lies between is lost",
            end, reached);
    if (!begin_log(topic, start))
        return false;
    struct shmqi_durable_make make = {
        .ns = topic->daemon->ns,
        .topic = topic->name,
        .attrs = attrs,
        .start = start,
        .earliest = recovery->low_pos,
        .dir = dir,
    };
    uuid_words(topic->uuid, make.topic_uuid);
    int rc =
        shmqd_meta_path(topic->daemon->store, topic->uuid, dir, sizeof(dir));
    if (rc == 0)
        rc = shmqi_durable_create(&make);
    if (rc != 0) {
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its ring cannot be made: %s", shmq_error_text());
        topic->why_rc = rc;
        return false;
    }
    if (recovery->fresh)
        shmqs_log_about(SHMQS_INFO, "topic", topic->name, "ring made");
    else
        shmqs_log_about(SHMQS_INFO, "topic", topic->name,
            "ring made anew, from position %" PRIu64 " on", start);
    return true;
}

static bool open_ring(struct shmqd_topic *topic)
{
    int rc = shmqi_drain_open(topic->daemon->ns, topic->name, &topic->drain);
    if (rc != 0) {
        topic->drain = NULL;
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its ring cannot be served: %s", shmq_error_text());
        if (rc == SHMQ_ERR_BUSY)
            topic->retry_ns = shmqd_clock_ns() + RETRY_SOON_NS;
        return false;
    }
    return true;
}

/* False: the log was found to end beyond all that the ring holds (the header of
 * its last segment is lost, and none of the positions that it may have held
 * comes again). On such a ring every record would count as written already. */
static bool ring_fits(
    const struct shmqd_topic *topic, const struct shmqd_recovery *recovery)
{
    return recovery->end_pos <= shmqi_drain_published(topic->drain);
}

/* What the ring held beyond the true end of the log is lost with it. Killed
 * inside: the ring is there or gone; the next start decides again. */
static bool drop_ring(
    struct shmqd_topic *topic, const struct shmqd_recovery *recovery)
{
    shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
        "the log is damaged and ends at %" PRIu64
        " only, beyond the ring's end, %" PRIu64
        ": the ring is made anew; what it held is lost",
        recovery->end_pos, shmqi_drain_published(topic->drain));
    /* Its groups are newer than the journal, unless they are not there yet. */
    if (!shmqi_drain_making(topic->drain) && shmqd_topic_places_open(topic))
        (void)shmqd_topic_note_groups(topic);
    shmqi_drain_close(topic->drain);
    topic->drain = NULL;
    if (shmq_topic_unlink(topic->daemon->ns, topic->name, SHMQ_UNLINK_FORCE) ==
        0)
        return true;
    shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
        "its ring cannot be removed: %s", shmq_error_text());
    return false;
}

/* A ring that was there already: the log goes on where it ended. Memory below
 * `drained` may have been used again: if the log ends before it (a directory
 * restored from an old copy), what lies between is lost. */
static bool resume_log(
    struct shmqd_topic *topic, const struct shmqd_recovery *recovery)
{
    struct shmq_watermarks marks = {.struct_bytes = sizeof(marks)};
    uint64_t start = recovery->end_pos;
    shmqi_drain_marks(topic->drain, &marks);
    uint64_t drained = topic->meta.attrs.durability == SHMQ_DURABILITY_OS
        ? marks.written
        : marks.durable;
    if (drained > start) {
        if (start > shmqi_drain_start(topic->drain))
            shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
                "the log ends at %" PRIu64 " although %" PRIu64
                " was on disk; what lies between is lost",
                start, drained);
        start = drained;
    }
    return begin_log(topic, start);
}

/* A new ring gets the groups of the journal, also one whose maker was killed
 * before it could do so. Without a clean end the journal is older than what
 * they have read. */
static bool serve(
    struct shmqd_topic *topic, const struct shmqd_recovery *recovery)
{
    char dir[SHMQD_PATH_MAX];
    struct shmqd_log_status status;
    shmqd_log_status(topic->log, &status);
    if (shmqd_meta_path(topic->daemon->store, topic->uuid, dir, sizeof(dir)) !=
            0 ||
        shmqi_drain_set_dir(topic->drain, dir) != 0 ||
        shmqi_drain_fd(topic->drain, &topic->drain_fd) != 0 ||
        shmqd_watch(topic->daemon, topic->drain_fd, SHMQD_EVENT_TOPIC,
            topic->number) != 0) {
        topic->drain_fd = -1;
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED, "cannot be served: %s",
            shmq_error_text());
        return false;
    }
    if (!shmqd_topic_places_open(topic)) {
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED, "no memory");
        return false;
    }
    bool making = shmqi_drain_making(topic->drain);
    if (making)
        shmqd_topic_restore_groups(
            topic, recovery->clean ? 0 : recovery->end_pos);
    shmqi_drain_seek(topic->drain, status.added_pos);
    shmqi_drain_set_earliest(topic->drain, topic->low);
    shmqi_drain_raise(topic->drain, topic->written, topic->durable);
    topic->told_state = UINT32_MAX;
    topic->flush_cnt = status.flush_cnt;
    topic->flushed_bytes = status.payload_bytes;
    topic->stop_pos = 0;
    topic->look_ns = 0;
    topic->groups_ns = 0;
    topic->armed = false;
    if (making) /* from here on others can open it */
        shmqi_drain_set_state(topic->drain, SHMQ_DURABLE_OK);
    topic->state = SHMQD_TOPIC_SERVED;
    topic->why[0] = '\0';
    return true;
}

void shmqd_topic_open(struct shmqd_topic *topic)
{
    struct shmqd_recovery recovery;
    int ring = look_at_ring(topic);
    if (ring < 0)
        return;
    if (ring == 1 && !open_ring(topic))
        return;
    if (!open_log(topic, &recovery))
        return;
    if (ring == 1 && !ring_fits(topic, &recovery)) {
        if (!drop_ring(topic, &recovery))
            return;
        ring = 0;
    }
    bool ok = ring == 1 ? resume_log(topic, &recovery)
                        : make_ring(topic, &recovery) && open_ring(topic);
    if (ok)
        (void)serve(topic, &recovery);
}

int shmqd_log_end(struct shmqd *daemon, struct shmqd_log *log)
{
    uint64_t end_ns = shmqd_clock_ns() + READY_WAIT_NS;
    int rc = shmqd_log_close(log, true);
    while (rc == SHMQ_ERR_BUSY && shmqd_clock_ns() < end_ns) {
        (void)shmqd_store_turn(daemon->store, 10000000);
        rc = shmqd_log_close(log, true);
    }
    if (rc == SHMQ_ERR_BUSY)
        (void)shmqd_log_close(log, false);
    return rc;
}

bool shmqd_topic_close(struct shmqd_topic *topic, bool clean)
{
    bool closed = !clean;
    if (clean && topic->log != NULL) {
        int rc = shmqd_log_end(topic->daemon, topic->log);
        topic->log = NULL;
        closed = rc == 0;
        if (rc != 0)
            shmqs_log_about(SHMQS_WARNING, "topic", topic->name,
                "was not closed cleanly (%s): the next start scans its last "
                "segment",
                shmq_err_name(rc));
    }
    let_go(topic);
    topic->state = SHMQD_TOPIC_FAILED;
    return closed;
}
