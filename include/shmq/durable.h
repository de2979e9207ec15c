/* shmq/durable.h - topics on disk: levels, watermarks, retention, history.
 *
 * A durable topic (SHMQ_DURABILITY_OS or _DISK) is an ordinary ring that shmqd
 * drains to segment files. A record is published (in the ring), then written
 * (handed to the kernel: survives the death of every process), then durable
 * (flushed: survives a power cut). Watermarks tell how far each has come; they
 * are exclusive ends: a record is durable when its position is below `durable`.
 *
 * Nobody holds producers of a durable topic up but shmqd: memory is used again
 * when the topic's level is reached, whatever its groups do. A reader behind
 * the ring goes on from the segment files with the same positions, by itself,
 * and comes back to memory when it has caught up. What it cannot be given is
 * told as a gap, never skipped.
 *
 * shmqd may be killed at any time: what is in the ring stays, what was
 * acknowledged durable is on disk. While it is away producers go on until the
 * ring is full, waiters wait until their deadline.
 *
 * Threads: functions that take a topic, or names, are thread-safe; those that
 * take a producer or a consumer are for the thread that uses it. A caller
 * killed inside leaves nothing half done: shmqd makes, changes or removes a
 * topic as asked, or not at all. */
#ifndef SHMQ_DURABLE_H
#define SHMQ_DURABLE_H

#include <shmq/consumer.h>
#include <shmq/producer.h>
#include <shmq/topic.h>

/* How safe a record is. */
enum shmq_level {
    SHMQ_LEVEL_DEFAULT = 0, /* the topic's own: none -> published, os ->
                               written, disk -> durable */
    SHMQ_LEVEL_PUBLISHED = 1,
    SHMQ_LEVEL_WRITTEN = 2,
    SHMQ_LEVEL_DURABLE = 3
};

enum shmq_durable_state {
    SHMQ_DURABLE_OK = 0,
    SHMQ_DURABLE_LOW_SPACE = 1, /* retention runs eagerly */
    SHMQ_DURABLE_NO_SPACE = 2, /* producers wait, or drop under drop-new */
    SHMQ_DURABLE_READ_ONLY = 3, /* publishing is refused */
    SHMQ_DURABLE_FAILED = 4, /* as read-only, after errors of the disk */
    SHMQ_DURABLE_DEGRADED = 5 /* works; parts of its history are damaged */
};

struct shmq_watermarks {
    uint32_t struct_bytes; /* set by the caller */
    uint32_t state; /* enum shmq_durable_state */
    uint64_t published; /* end of what the ring holds */
    uint64_t written;
    uint64_t durable;
    uint64_t earliest; /* first position that can still be read */
    uint64_t start; /* where this ring began; before it only history */
    uint32_t durability; /* enum shmq_durability */
    uint32_t served; /* 1: a shmqd serves it now */
    uint64_t unflushed_messages, unflushed_bytes; /* published, not at the
                                                     topic's level */
    uint64_t flushes; /* by this shmqd */
    uint64_t flushed_bytes;
    uint64_t flush_ns_p50, flush_ns_p99, flush_ns_max; /* upper bounds */
    uint64_t io_errors;
    uint64_t disk_bytes; /* of its segment files */
    uint64_t segments;
    uint64_t free_bytes; /* of their file system */
    uint64_t retain_bytes, retain_age_ns, max_lag_bytes; /* 0: none */
};

/* What history is kept. Zero keeps everything. Set struct_bytes. */
struct shmq_retention {
    uint32_t struct_bytes;
    uint32_t flags; /* enum shmq_retention_flags: which fields are meant */
    uint64_t retain_bytes; /* whole segments beyond that go, oldest first */
    uint64_t retain_age_ns; /* segments closed longer ago go */
    uint64_t max_lag_bytes; /* no group keeps more than that back: segments go
                               that a group has not read and that have so much
                               behind them */
    const char *consumed; /* "all" or "GROUP,GROUP": segments go when these
                             groups are done with them; "" switches it off */
};
enum shmq_retention_flags {
    SHMQ_RETAIN_BYTES = 1u << 0,
    SHMQ_RETAIN_AGE = 1u << 1,
    SHMQ_RETAIN_CONSUMED = 1u << 2,
    SHMQ_MAX_LAG = 1u << 3
};

SHMQ_BEGIN_DECLS

/* -- topics ----------------------------------------------------------------
 */

/* As shmq_topic_create() for durable topics, with what history is kept
 * (`retention` may be NULL). shmqd makes the topic; waits up to 2 s for it to
 * answer, then NODAEMON. */
SHMQ_API int shmq_topic_create_durable(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs,
    const struct shmq_retention *retention);

/* Changes what history is kept, live: the fields that `flags` names. NODAEMON,
 * NOENT, INVAL. Waits up to 2 s for shmqd. */
SHMQ_API int shmq_topic_set_retention(
    const char *ns, const char *topic, const struct shmq_retention *retention);

/* Removes ring and history. BUSY (naming pids) without SHMQ_UNLINK_FORCE while
 * others use it; NODAEMON when no shmqd answers within 2 s. */
SHMQ_API int shmq_topic_remove_data(
    const char *ns, const char *topic, uint32_t flags);

/* Fills *ret. INVAL for a topic that is not durable. Does not block. */
SHMQ_API int shmq_topic_watermarks(
    struct shmq_topic *topic, struct shmq_watermarks *ret);

/* Asks the shmqd of the namespace what it is doing: a JSON object, NUL-closed,
 * into `buf` (1024 bytes are enough). Waits for one to be there until
 * `deadline_ns` (NODAEMON), and at most 5 s for its answer (TIMEOUT: it is
 * stopped, or stuck). */
SHMQ_API int shmq_daemon_status(
    const char *ns, uint64_t deadline_ns, char *buf, uint64_t size);

/* -- waiting for a level -----------------------------------------------------
 */

/* Waits until the record at `position` has reached `level`, until `deadline_ns`
 * (0: only looks; sets no text).
 * Returns 0; TIMEOUT (shmq_error_text() tells whether shmqd is away);
 * DURABILITY_FAILED: shmqd refuses the topic for now, the record stays in the
 * ring and may become durable later; INVAL: the topic never reaches that level;
 * INTR; CLOSED. Thread-safe. Sleeps at most 40 ms at a time, so a wake-up that
 * got lost with its sender delays it by no more. Makes no system call when the
 * level is reached already. */
SHMQ_API int shmq_topic_level_wait(struct shmq_topic *topic, uint64_t position,
    uint32_t level, uint64_t deadline_ns);
SHMQ_API int shmq_producer_level_wait(struct shmq_producer *producer,
    uint64_t position, uint32_t level, uint64_t deadline_ns);

/* Publishes one record (shmq_producer_publish_wait()) and waits for `level`.
 * *ret_position is set as soon as it is published, also when the level is then
 * not reached. READ_ONLY: nothing was published. */
SHMQ_API int shmq_producer_publish_level_wait(struct shmq_producer *producer,
    const void *data, uint64_t size, uint32_t level, uint64_t deadline_ns,
    uint64_t *ret_position);

/* -- reading -----------------------------------------------------------------
 */

/* Waits until all that this consumer has acknowledged is so on disk, too: after
 * a restart of everything its group goes on behind it. *ret_position (may be
 * NULL) gets the group's floor that is safe. TIMEOUT, NODAEMON (nobody serves
 * the topic at the deadline), INVAL (no group, or no durable topic), STALE,
 * CLOSED, INTR. A shared group's floor stands at its oldest record that is not
 * acknowledged by any member. */
SHMQ_API int shmq_consumer_commit_wait(struct shmq_consumer *consumer,
    uint64_t deadline_ns, uint64_t *ret_position);

SHMQ_END_DECLS

#endif
