/* topic.c - opening a topic's log and the ring that was there, and letting both
 * go. What comes between opening and serving: topic_begin.c. */
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
#define END_WAIT_NS 10000000000ull

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

bool shmqd_topic_open_ring(struct shmqd_topic *topic)
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

void shmqd_topic_open(struct shmqd_topic *topic)
{
    int ring = look_at_ring(topic);
    if (ring < 0)
        return;
    if (ring == 1 && !shmqd_topic_open_ring(topic))
        return;
    if (!open_log(topic, &topic->recovery))
        return;
    if (ring == 1 && !ring_fits(topic, &topic->recovery)) {
        if (!drop_ring(topic, &topic->recovery))
            return;
        ring = 0;
    }
    shmqd_topic_begin(topic, ring == 0);
}

int shmqd_log_end(struct shmqd *daemon, struct shmqd_log *log)
{
    uint64_t end_ns = shmqd_clock_ns() + END_WAIT_NS;
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
