/* topic_begin.c - from an open log to a topic that is served.
 *
 * A ring that outlived the last daemon is served on: what it holds beyond the
 * log's end is drained next. A ring that is gone is made anew, at a position
 * beyond every one that a reader may have seen; that this position was taken
 * is on disk before the ring is there, so it is never taken twice.
 *
 * A disk without room lets no log begin; the topic waits for it in its turns,
 * its log open, its retention at work, and holds up nobody. */
#include "topic.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <shmq.h>

#include "service/service_log.h"

#define RETRY_NS 1000000000ull
#define LOOK_NS 50000000ull /* at retention, while room is waited for */
#define KEEP_NS 2000000ull /* after it has deleted something */

/* Why the topic is not served yet; said once, not with every try. */
static void waits(struct shmqd_topic *topic, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void waits(struct shmqd_topic *topic, const char *format, ...)
{
    char why[sizeof(topic->why)];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    if (strcmp(topic->why, why) == 0)
        return;
    memcpy(topic->why, why, sizeof(why));
    shmqs_log_about(SHMQS_ERROR, "topic", topic->name, "%s", why);
}

/* -- where the log begins ---------------------------------------------------
 */

static uint64_t start_of_new_ring(const struct shmqd_topic *topic)
{
    const struct shmqd_recovery *recovery = &topic->recovery;
    const struct shmq_topic_attrs *attrs = &topic->meta.attrs;
    /* Bytes that were never acknowledged may have been read all the same. */
    uint64_t end = recovery->dropped_end_pos > recovery->end_pos
        ? recovery->dropped_end_pos
        : recovery->end_pos;
    /* Nor may a group of the journal stand beyond the new records: it would
     * pass over them. */
    uint64_t reached = shmqd_topic_reached(topic, end);
    if (reached > shmqi_durable_start(attrs, end))
        shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
            "the log ends at %" PRIu64 " although a group had come to %" PRIu64
            "; what lies between is lost",
            end, reached);
    return shmqi_durable_start(attrs, reached);
}

/* A ring that was there already: the log goes on where it ended. Memory below
 * `drained` may have been used again: if the log ends before it (a directory
 * restored from an old copy), what lies between is lost. */
static uint64_t start_of_old_ring(const struct shmqd_topic *topic)
{
    struct shmq_watermarks marks = {.struct_bytes = sizeof(marks)};
    uint64_t end = topic->recovery.end_pos;
    shmqi_drain_marks(topic->drain, &marks);
    uint64_t drained = topic->meta.attrs.durability == SHMQ_DURABILITY_OS
        ? marks.written
        : marks.durable;
    if (drained <= end)
        return end;
    if (end > shmqi_drain_start(topic->drain))
        shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
            "the log ends at %" PRIu64 " although %" PRIu64
            " was on disk; what lies between is lost",
            end, drained);
    return drained;
}

/* -- the ring ---------------------------------------------------------------
 */

static bool make_ring(struct shmqd_topic *topic)
{
    char dir[SHMQD_PATH_MAX];
    struct shmqd_log_status status;
    shmqd_log_status(topic->log, &status);
    struct shmqi_durable_make make = {
        .ns = topic->daemon->ns,
        .topic = topic->name,
        .attrs = &topic->meta.attrs,
        .start = topic->start,
        .earliest = status.low_pos,
        .dir = dir,
    };
    memcpy(make.topic_uuid, topic->uuid, sizeof(topic->uuid));
    int rc =
        shmqd_meta_path(topic->daemon->store, topic->uuid, dir, sizeof(dir));
    if (rc == 0)
        rc = shmqi_durable_create(&make);
    topic->why_rc = rc;
    if (rc != 0) {
        waits(topic, "its ring cannot be made: %s", shmq_error_text());
        topic->retry_ns = topic->look_ns = shmqd_clock_ns() + RETRY_NS;
        return false;
    }
    if (topic->recovery.fresh)
        shmqs_log_about(SHMQS_INFO, "topic", topic->name, "ring made");
    else
        shmqs_log_about(SHMQS_INFO, "topic", topic->name,
            "ring made anew, from position %" PRIu64 " on", topic->start);
    return true;
}

/* A new ring gets the groups of the journal, also one whose maker was killed
 * before it could do so. Without a clean end the journal is older than what
 * they have read. */
static bool serve(struct shmqd_topic *topic)
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
            topic, topic->recovery.clean ? 0 : topic->recovery.end_pos);
    shmqi_drain_seek(topic->drain, status.added_pos);
    topic->low = status.low_pos;
    shmqi_drain_set_earliest(topic->drain, topic->low);
    shmqi_drain_raise(topic->drain, topic->written, topic->durable);
    topic->told_state = UINT32_MAX;
    topic->flush_cnt = status.flush_cnt;
    topic->flushed_bytes = status.payload_bytes;
    topic->stop_pos = 0;
    topic->gap_pos = 0;
    topic->look_ns = 0;
    topic->keep_ns = 0;
    topic->groups_ns = 0;
    topic->armed = false;
    if (making) /* from here on others can open it */
        shmqi_drain_set_state(topic->drain, SHMQ_DURABLE_OK);
    topic->state = SHMQD_TOPIC_SERVED;
    topic->why[0] = '\0';
    return true;
}

/* -- beginning --------------------------------------------------------------
 */

/* The log has no segment to begin with yet. */
static void wait_for_room(
    struct shmqd_topic *topic, const struct shmqd_log_status *status)
{
    if (status->state == SHMQD_LOG_READ_ONLY) {
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its log takes no new segment: %s",
            shmqd_store_error(topic->daemon->store));
        return;
    }
    uint64_t now = shmqd_clock_ns();
    if (now < topic->look_ns)
        return;
    topic->look_ns = now + LOOK_NS;
    if (status->state != SHMQD_LOG_NO_SPACE)
        return; /* the disk is at work */
    waits(topic, "%s; the topic is served when that has changed",
        shmqd_shortage_words(status));
    if (topic->drain != NULL && !shmqi_drain_making(topic->drain)) {
        shmqi_drain_set_state(topic->drain, SHMQ_DURABLE_NO_SPACE);
        shmqd_topic_figures(topic);
    }
    if (shmqd_topic_keep(topic))
        topic->look_ns = now + KEEP_NS;
}

void shmqd_topic_go_on(struct shmqd_topic *topic)
{
    struct shmqd_log_status status;
    shmqd_log_status(topic->log, &status);
    if (topic->drain != NULL)
        shmqi_drain_beat(topic->drain);
    if (!status.ready) {
        wait_for_room(topic, &status);
        return;
    }
    if (topic->drain == NULL) {
        if (shmqd_clock_ns() < topic->retry_ns || !make_ring(topic) ||
            !shmqd_topic_open_ring(topic))
            return;
    }
    (void)serve(topic);
}

void shmqd_topic_begin(struct shmqd_topic *topic, bool new_ring)
{
    topic->start =
        new_ring ? start_of_new_ring(topic) : start_of_old_ring(topic);
    if (shmqd_log_begin(topic->log, topic->start) != 0) {
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its log takes no new segment: %s",
            shmqd_store_error(topic->daemon->store));
        return;
    }
    topic->state = SHMQD_TOPIC_BEGINS;
    topic->look_ns = topic->retry_ns = 0;
    shmqd_topic_go_on(topic);
}
