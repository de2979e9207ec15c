/* topic_log.h - the durable log of topics: what shmqd's run loop calls.
 *
 * A store is a data directory; it holds the logs of many topics, one back end
 * and the staging buffers they share. All of it belongs to one thread, a run
 * loop that does a bounded amount of work per turn:
 *
 *     for each topic:
 *         shmqd_log_room(log, ..) -> where the next bytes go, or AGAIN
 *         (drain frames of the ring to there, log_format.h encoding)
 *         shmqd_log_add(log, ..)
 *     shmqd_store_turn(store, timeout)     starts writes, takes completions
 *     for each topic: shmqd_log_status(log) -> watermarks
 *
 * Nothing here blocks but the functions marked "waits".
 *
 * What is durable: durable_pos is the end of the contiguous prefix of what was
 * added whose writes and flushes all succeeded. It only grows. A flush that
 * failed is never tried again: the bytes go into a new segment. After a second
 * failure in a row without progress between the log is read-only.
 *
 * Crash (killed at any instruction, power cut): open() finds everything below
 * durable_pos again. Stopped: the same, later. */
#ifndef SHMQD_TOPIC_LOG_H
#define SHMQD_TOPIC_LOG_H

#include "io.h"

struct shmqd_store;
struct shmqd_log;

/* -- results --------------------------------------------------------------
 * 0 or a negative enum shmq_err; text for people in the store's error text. */

struct shmqd_store_options {
    const char *namespace_name; /* written into a new store; another one in an
                                   existing store: LAYOUT */
    struct shmqd_io *io; /* becomes the store's when open succeeds */
    uint64_t min_free_bytes; /* space to leave free on the file system;
                                UINT64_MAX: min(1 GiB, 5 %) */
    uint64_t segment_bytes; /* largest segment, multiple of 4096; 0: 64 MiB */
    uint32_t staging_bytes; /* of one buffer; 0: 512 KiB */
    uint32_t staging_cnt; /* 0: 32 */
    uint32_t dsync_max_bytes; /* larger batches share an fdatasync, others are
                                 durable in themselves (RWF_DSYNC); 0: 128 KiB;
                                 1: all share */
    bool no_zero_fill; /* new segments are not overwritten with zeros first:
                          for copy-on-write file systems */
    uint64_t lock_wait_ns; /* for a daemon that is just dying; 0: 2 s */
    int64_t (*realtime_ns)(void); /* NULL: CLOCK_REALTIME; tests give others */
    int64_t (*monotonic_ns)(void); /* NULL: CLOCK_MONOTONIC */
    uint64_t (*random)(void *ctx); /* NULL: getrandom */
    void *random_ctx;
};

/* Opens or makes the data directory (0700, its own directory only), takes
 * LOCK, reads STORE. Waits. `text` (of `text_room` bytes) gets one line on
 * failure. BUSY another daemon has it, PERM (foreign owner, read-only), LAYOUT
 * (namespace, format), CORRUPT, NOSPACE, NOMEM, SYS. The directory is never
 * touched before LOCK is held, except to make it. */
int shmqd_store_open(const char *dir, const struct shmqd_store_options *o,
    struct shmqd_store **ret_store, char *text, size_t text_room);
/* Closes what is left open, uncleanly, and the back end. NULL is legal. */
void shmqd_store_close(struct shmqd_store *s);

/* The last failure of this store or its logs as one line. */
const char *shmqd_store_error(const struct shmqd_store *s);
const char *shmqd_store_back_end(const struct shmqd_store *s);
struct shmqd_io *shmqd_store_io(struct shmqd_store *s);

/* Pollable: readable when turn has something to do; -1: call it every time. */
int shmqd_store_fd(const struct shmqd_store *s);

/* Starts what may start, waits up to `timeout_ns` for a completion (0: not),
 * takes at most 64 completions, and lets logs make their next step. Returns
 * how much was done; 0: nothing to do now. */
int shmqd_store_turn(struct shmqd_store *s, int64_t timeout_ns);

/* When turn() wants to be called though nothing completes, on the store's
 * monotonic clock (idle control batches, a full disk looked at again);
 * INT64_MAX: never. */
int64_t shmqd_store_next_ns(const struct shmqd_store *s);

/* What a batch in one shared staging buffer can hold. */
uint64_t shmqd_store_batch_bytes(const struct shmqd_store *s);

/* Free bytes and size of the file system that the store is on. */
int shmqd_store_space(
    struct shmqd_store *s, uint64_t *ret_free, uint64_t *ret_total);

/* -- topics of a store ---------------------------------------------------- */

#define SHMQD_META_MAX 65536u

/* `text` is the caller's own description of the topic (attributes); it is kept
 * with a checksum and given back unchanged. Replaces an older one atomically.
 * Waits. */
int shmqd_meta_write(struct shmqd_store *s, const uint8_t uuid[16],
    const char *topic, const char *text, size_t len);
/* Calls `each` for every topic with an intact meta; damaged ones are named in
 * `damaged` (may be NULL), and those that hold segments `without` any meta.
 * Waits. */
int shmqd_meta_list(struct shmqd_store *s,
    void (*each)(void *ctx, const uint8_t uuid[16], const char *topic,
        const char *text, size_t len),
    void (*damaged)(void *ctx, const char *dir_name, bool without), void *ctx);
/* Deletes a topic with all its history. Waits. */
int shmqd_meta_remove(struct shmqd_store *s, const uint8_t uuid[16]);
/* True: the topic has no directory (any more). Anything else that keeps it from
 * being opened is false. Waits. */
bool shmqd_meta_is_gone(struct shmqd_store *s, const uint8_t uuid[16]);
/* Path of the topic's directory for log readers, into `path`. The zero uuid
 * means the journal of groups. */
int shmqd_meta_path(const struct shmqd_store *s, const uint8_t uuid[16],
    char *path, size_t room);

/* -- one log -------------------------------------------------------------- */

enum shmqd_log_level {
    SHMQD_LEVEL_OS = 1, /* acknowledged when in the page cache */
    SHMQD_LEVEL_DISK = 2 /* acknowledged when durable */
};

struct shmqd_log_options {
    uint8_t uuid[16];
    uint32_t kind; /* enum shmqi_log_kind; GROUPS: the zero uuid, its directory
                      is groups/, its segments are 4 MiB at most */
    enum shmqd_log_level level;
    uint64_t frame_bytes_max; /* largest encoded frame, with its header */
};

/* What recovery found; also as JSON. Positions as in log_format.h. */
struct shmqd_recovery {
    uint64_t low_pos; /* first readable; = end_pos when there is nothing */
    uint64_t end_pos; /* everything acknowledged ends here or before */
    bool clean; /* closed cleanly: the end is exact */
    bool fresh; /* there was no segment */
    uint32_t epoch;
    int64_t max_ts_ns;
    uint64_t segment_cnt, segments_scanned;
    uint64_t bytes_scanned, log_bytes;
    uint64_t dropped_bytes; /* torn or never acknowledged, at the end */
    uint64_t dropped_end_pos; /* highest position among those; else end_pos */
    uint64_t gap_cnt; /* corrupt ranges found (scanned segments only) */
    uint64_t gap_from, gap_to; /* the first of them */
    bool degraded; /* damage was found in acknowledged data */
    int64_t took_ns;
};

/* Recovers the log of a topic and readies it for begin(). Waits (seconds at
 * most: one segment is scanned). Safe to be killed in and to be run again.
 * LAYOUT: a later format (the text names the feature); SYS; NOMEM. */
int shmqd_log_open(struct shmqd_store *s, const struct shmqd_log_options *o,
    struct shmqd_log **ret_log, struct shmqd_recovery *ret_recovery);

/* One JSON object without newline into `text`; also written to the file
 * recovery.json of the topic's directory by open (best effort). Returns the
 * length as snprintf. */
int shmqd_recovery_json(const struct shmqd_recovery *r, const uint8_t uuid[16],
    char *text, size_t room);

/* Starts a new segment whose first position is `start_pos`, at or above
 * end_pos: above means that [end_pos, start_pos) is lost for ever and never
 * used again (STORAGE: roundup). To be called once, before the ring is served;
 * status.ready says when it is on disk. With start_pos == end_pos nothing is
 * written until the first add. INVAL. */
int shmqd_log_begin(struct shmqd_log *log, uint64_t start_pos);

/* Where the next frames go: at least `min_bytes` (<= frame_bytes_max) of
 * private memory, until the next turn. What was not added is given again. AGAIN
 * is SHMQ_ERR_FULL: staging is full (disk too slow, or full): turn and try
 * later. READ_ONLY. */
int shmqd_log_room(struct shmqd_log *log, uint64_t min_bytes, uint8_t **ret_at,
    uint64_t *ret_room);

/* Frames that now lie there, back to back, encoded as log_format.h says;
 * base_pos <= the first frame's position. base_pos is the end_pos of what was
 * added before, or above it (the positions between are lost). */
struct shmqd_log_chunk {
    uint64_t bytes;
    uint64_t base_pos, end_pos;
    uint32_t frame_cnt, record_cnt;
    int64_t first_ts_ns, max_ts_ns;
};
int shmqd_log_add(struct shmqd_log *log, const struct shmqd_log_chunk *c);

/* The positions from what was added before to `to_pos` are lost, and nothing
 * follows them yet: an empty batch says so, and the watermarks come to `to_pos`
 * when it is on disk. FULL: later. INVAL, READ_ONLY. */
int shmqd_log_pass(struct shmqd_log *log, uint64_t to_pos);

enum shmqd_log_state {
    SHMQD_LOG_OK,
    SHMQD_LOG_LOW_SPACE, /* works, but no spare segment could be made */
    SHMQD_LOG_NO_SPACE, /* takes nothing until space returns; by itself */
    SHMQD_LOG_READ_ONLY /* failed twice; until opened again */
};

struct shmqd_log_status {
    bool ready; /* begin() is on disk */
    enum shmqd_log_state state;
    uint64_t low_pos; /* first readable */
    uint64_t added_pos; /* end of what was added */
    uint64_t written_pos; /* end of what the kernel has */
    uint64_t durable_pos; /* end of what survives a power cut */
    uint64_t unflushed_bytes; /* added, not durable */
    uint64_t log_bytes; /* of all segment files, spare included */
    uint32_t segment_cnt;
    uint64_t flush_cnt, io_error_cnt;
    uint64_t padding_bytes; /* written beyond headers and payload */
    uint64_t payload_bytes; /* written */
    uint64_t last_flush_ns; /* how long flush number flush_cnt took */
    int error; /* errno of the last failure; 0 */
    bool unsure; /* os: a sync has failed; durable_pos stays until the log is
                    opened again, which looks at what is on the disk */
};
/* Cheap: for every turn. */
void shmqd_log_status(
    const struct shmqd_log *log, struct shmqd_log_status *ret);

/* How long the last 1024 flushes took, from the start of the write until it was
 * durable (os: written), in nanoseconds. */
void shmqd_log_latency(const struct shmqd_log *log, uint64_t *ret_p50_ns,
    uint64_t *ret_p99_ns, uint64_t *ret_max_ns);

/* Deletes at most one sealed segment if the policy says so; call it again when
 * it returns 1 (in a later turn). 0: nothing to delete. A segment goes when any
 * rule that is set holds for it; the oldest always goes first, the segment
 * being written never. While nothing is being written (begin() waits for room)
 * the newest one stays. */
struct shmqd_retention {
    uint64_t bytes; /* keep at least the newest so many; 0: no rule */
    uint64_t age_ns; /* closed longer ago, by this host's clock; 0: no rule */
    bool consumed; /* its end is at or below consumed_pos */
    uint64_t consumed_pos; /* lowest floor of the groups that count */
    uint64_t max_lag_bytes; /* its end is above consumed_pos, and so much lies
                               behind it; 0: no rule */
};
int shmqd_log_retain(struct shmqd_log *log, const struct shmqd_retention *p);

/* Clean: everything added must be durable (else BUSY: turn first, or the log
 * is read-only: closed uncleanly); syncs and writes the clean marker. Waits.
 * Unclean: just frees. The handle is gone either way, except after BUSY. */
int shmqd_log_close(struct shmqd_log *log, bool clean);

#endif
