/* topic_drain.c - the records of a topic: from its ring into staging memory,
 * and the watermarks back.
 *
 * Budget: PORTIONS calls per turn, each of PORTION_BYTES at most unless one
 * frame is larger; so a topic whose producers never pause takes its share and
 * no more. A portion is copied, then its checksum computed: it is so small that
 * it is still in the processor's cache then. */
#include "topic.h"

#include <errno.h>
#include <inttypes.h>

#include <shmq.h>

#include "service/service_log.h"

enum { PORTIONS = 8, PORTION_BYTES = 128 * 1024, LEAST_BYTES = 512 };

/* Takes what stands next, in as little room as will do: what the batch that is
 * being filled has left, else that of a fresh one, else that of the largest
 * frame. */
static int take(struct shmqd_topic *topic, struct shmqi_portion *ret_portion,
    struct shmq_gap *ret_gap)
{
    const uint64_t most = shmqi_drain_frame_max(topic->drain);
    const uint64_t wanted[] = {LEAST_BYTES, PORTION_BYTES,
        shmqd_store_batch_bytes(topic->daemon->store), most};
    int rc = SHMQ_ERR_TOO_LARGE;
    for (size_t i = 0;
         i < sizeof(wanted) / sizeof(*wanted) && rc == SHMQ_ERR_TOO_LARGE;
         i++) {
        uint64_t least = wanted[i] < most ? wanted[i] : most, room;
        uint8_t *at;
        rc = shmqd_log_room(topic->log, least, &at, &room);
        topic->log_full = rc == SHMQ_ERR_FULL;
        if (rc == SHMQ_ERR_FULL)
            return rc;
        if (rc != 0 && rc != SHMQ_ERR_READ_ONLY)
            shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
                "its log takes nothing: %s",
                shmqd_store_error(topic->daemon->store));
        if (rc != 0)
            return SHMQ_ERR_FULL; /* read-only: shmqd_topic_tell() says so */
        if (least < PORTION_BYTES)
            least = PORTION_BYTES;
        rc = shmqi_drain_take(topic->drain, at, room < least ? room : least,
            ret_portion, ret_gap);
    }
    return rc;
}

/* Nothing follows what was passed over, and in a full ring nothing can: the log
 * says so by itself, and the memory is free. */
static void end_with_gap(struct shmqd_topic *topic)
{
    if (topic->gap_pos == 0)
        return;
    int rc = shmqd_log_pass(topic->log, topic->gap_pos);
    if (rc != SHMQ_ERR_FULL) /* else by the next turn */
        topic->gap_pos = 0;
}

/* One portion. Returns true when it was one. */
static bool move_portion(struct shmqd_topic *topic)
{
    struct shmqi_portion portion;
    struct shmq_gap gap;
    int rc = take(topic, &portion, &gap);
    if (rc == SHMQ_ERR_GAP) {
        topic->gap_pos = gap.to;
        /* The ring's own bytes are damaged: its producers are to blame. */
        shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
            "what a producer published at positions %" PRIu64 " to %" PRIu64
            " is damaged; readers get a gap",
            gap.from, gap.to);
        return true;
    }
    if (rc != 0 && rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_FULL)
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its ring cannot be drained: %s", shmq_error_text());
    if (rc == SHMQ_ERR_EMPTY)
        end_with_gap(topic);
    if (rc != 0)
        return false;
    struct shmqd_log_chunk chunk = {
        .bytes = portion.bytes,
        .base_pos = portion.base_pos,
        .end_pos = portion.end_pos,
        .frame_cnt = portion.frame_cnt,
        .record_cnt = portion.record_cnt,
        .first_ts_ns = portion.first_ts_ns,
        .max_ts_ns = portion.max_ts_ns,
    };
    topic->gap_pos = 0; /* told by where the chunk begins */
    topic->daemon->fed_records += portion.record_cnt;
    rc = shmqd_log_add(topic->log, &chunk);
    if (rc != 0) {
        /* These records are taken out of the ring and not in the log: start
         * over at the end of the log rather than leave a hole. */
        shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
            "cannot add to the log: %s",
            shmqd_store_error(topic->daemon->store));
        struct shmqd_log_status status;
        shmqd_log_status(topic->log, &status);
        shmqi_drain_seek(topic->drain, status.added_pos);
        return false;
    }
    return true;
}

bool shmqd_topic_drain(struct shmqd_topic *topic)
{
    for (int i = 0; i < PORTIONS; i++) {
        if (!move_portion(topic))
            return false;
    }
    return true;
}

static uint32_t durable_state(
    const struct shmqd_topic *topic, const struct shmqd_log_status *status)
{
    switch (status->state) {
    case SHMQD_LOG_LOW_SPACE:
        return SHMQ_DURABLE_LOW_SPACE;
    case SHMQD_LOG_NO_SPACE:
        return SHMQ_DURABLE_NO_SPACE;
    case SHMQD_LOG_READ_ONLY:
        return SHMQ_DURABLE_FAILED;
    case SHMQD_LOG_OK:
        break;
    }
    return topic->degraded || status->unsure ? SHMQ_DURABLE_DEGRADED
                                             : SHMQ_DURABLE_OK;
}

const char *shmqd_shortage_words(const struct shmqd_log_status *status)
{
    switch (status->error) {
    case EMFILE:
    case ENFILE:
        return "no file descriptor is left for a segment: producers wait; end "
               "some clients, or raise the limit";
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
        return "the kernel has no memory for a write: producers wait";
    default:
        return "the disk is full: producers wait; free space and it goes on";
    }
}

static void tell_state(
    struct shmqd_topic *topic, const struct shmqd_log_status *status)
{
    static const char degraded[] =
        "works; parts of its history are damaged, or may be lost by a "
        "power cut (a sync failed; a restart looks at them)";
    static const char *const words[] = {
        [SHMQ_DURABLE_OK] = "is well",
        [SHMQ_DURABLE_LOW_SPACE] =
            "disk space is low: no spare segment; retention runs",
        [SHMQ_DURABLE_NO_SPACE] = NULL,
        [SHMQ_DURABLE_READ_ONLY] = "takes no records",
        [SHMQ_DURABLE_FAILED] =
            "the disk failed twice: takes no records until shmqd is restarted",
        [SHMQ_DURABLE_DEGRADED] = degraded,
    };
    static const enum shmqs_level levels[] = {
        [SHMQ_DURABLE_OK] = SHMQS_INFO,
        [SHMQ_DURABLE_LOW_SPACE] = SHMQS_WARNING,
        [SHMQ_DURABLE_NO_SPACE] = SHMQS_ERROR,
        [SHMQ_DURABLE_READ_ONLY] = SHMQS_ERROR,
        [SHMQ_DURABLE_FAILED] = SHMQS_ERROR,
        [SHMQ_DURABLE_DEGRADED] = SHMQS_WARNING,
    };
    uint32_t state = durable_state(topic, status);
    const char *text = words[state];
    if (state == topic->told_state)
        return;
    if (state == SHMQ_DURABLE_NO_SPACE)
        text = shmqd_shortage_words(status);
    topic->told_state = state;
    topic->look_ns = 0; /* retention, figures: now */
    shmqi_drain_set_state(topic->drain, state);
    shmqs_log_about(levels[state], "topic", topic->name, "%s", text);
}

bool shmqd_topic_tell(struct shmqd_topic *topic)
{
    struct shmqd_log_status status;
    shmqd_log_status(topic->log, &status);
    tell_state(topic, &status);
    if (status.low_pos != topic->low) {
        topic->low = status.low_pos;
        shmqi_drain_set_earliest(topic->drain, status.low_pos);
    }
    if (status.flush_cnt != topic->flush_cnt) {
        topic->flush_cnt = status.flush_cnt;
        shmqi_drain_count_flush(topic->drain, status.last_flush_ns,
            status.payload_bytes - topic->flushed_bytes);
        topic->flushed_bytes = status.payload_bytes;
    }
    bool moved = status.written_pos != topic->written ||
        status.durable_pos != topic->durable;
    if (moved) {
        topic->written = status.written_pos;
        topic->durable = status.durable_pos;
        shmqi_drain_raise(topic->drain, status.written_pos, status.durable_pos);
    }
    return moved;
}

/* A ring may end with a pad, which no log holds. */
bool shmqd_topic_is_drained(const struct shmqd_topic *topic)
{
    struct shmqd_log_status status;
    if (topic->state != SHMQD_TOPIC_SERVED || topic->durable >= topic->stop_pos)
        return true;
    shmqd_log_status(topic->log, &status);
    return shmqi_drain_reached(topic->drain) >= topic->stop_pos &&
        topic->gap_pos == 0 && status.durable_pos >= status.added_pos;
}
