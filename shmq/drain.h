/* drain.h - a durable topic as shmqd sees it: its ring is made, drained, and
 * told about here. The inside of libshmq is not visible through this header.
 *
 * One process serves a topic at a time: the lock of the watermark file says
 * who (an open file description's lock; the kernel frees it with its holder).
 * A handle is used by one thread. Nothing here waits for a peer; only
 * shmqi_durable_create() may take up to 5 s for the namespace lock.
 *
 * Results are enum shmq_err; shmq_error_text() says more. Outputs are untouched
 * on failure. Killed anywhere: the ring stays usable, marks are too low at
 * worst, and the next shmqd goes on at the end of the log. */
#ifndef SHMQI_DRAIN_H
#define SHMQI_DRAIN_H

#include <stdbool.h>

#include <shmq/consumer.h>
#include <shmq/durable.h>

struct shmqi_drain;

/* -- making the ring --------------------------------------------------------
 */

struct shmqi_durable_make {
    const char *ns, *topic;
    const struct shmq_topic_attrs *attrs; /* durability os or disk */
    uint64_t topic_uuid[2]; /* of the log */
    uint64_t start; /* first position; see shmqi_durable_start() */
    uint64_t earliest; /* first position that the log holds */
    const char *dir; /* where its segment files are; absolute */
};

/* The first position of a ring that is made anew when the log ends at `end`:
 * far enough ahead that no position which a reader of the lost ring may have
 * seen comes again. 0 for an empty log. */
uint64_t shmqi_durable_start(
    const struct shmq_topic_attrs *attrs, uint64_t log_end);

/* Makes the three files; all marks stand at `start`. EXISTS when a topic of
 * this name is there, INVAL, NOSPACE, BUSY, PERM, SYS. */
int shmqi_durable_create(const struct shmqi_durable_make *make);

/* Whether the name is taken in /dev/shm, and by what. NOENT. */
struct shmqi_durable_info {
    uint32_t durability; /* none: a memory topic has the name */
    bool marks; /* the watermark file is there and belongs to it */
    bool served; /* some process holds the lock */
    uint64_t topic_uuid[2];
};
int shmqi_durable_look(
    const char *ns, const char *topic, struct shmqi_durable_info *ret);

/* -- serving it ---------------------------------------------------------------
 */

/* Takes the lock and an endpoint. BUSY (another daemon), NOENT, LAYOUT, PERM,
 * NOMEM, SYS. */
int shmqi_drain_open(
    const char *ns, const char *topic, struct shmqi_drain **ret);
void shmqi_drain_close(struct shmqi_drain *d);

/* What it is; lives as long as the handle. */
const struct shmq_topic_attrs *shmqi_drain_attrs(const struct shmqi_drain *d);
const uint64_t *shmqi_drain_topic_uuid(const struct shmqi_drain *d);
uint64_t shmqi_drain_start(const struct shmqi_drain *d);
/* Marks as they stand (after a restart: as the last daemon left them). */
void shmqi_drain_marks(
    const struct shmqi_drain *d, struct shmq_watermarks *ret);
/* End of what the ring holds, looked for from what was drained on. */
uint64_t shmqi_drain_published(const struct shmqi_drain *d);
/* OK, or CLOSED when the topic was removed, CORRUPT when a file was cut. */
int shmqi_drain_check(struct shmqi_drain *d);

/* Where the log of the topic is; told to whoever reads history. */
int shmqi_drain_set_dir(struct shmqi_drain *d, const char *dir);

/* -- taking records ---------------------------------------------------------
 */

/* From where to take: the end of the log (positions below the ring's start mean
 * its start). */
void shmqi_drain_seek(struct shmqi_drain *d, uint64_t position);

/* Everything below was taken or passed over, pads included: what was taken last
 * may end before. */
uint64_t shmqi_drain_reached(const struct shmqi_drain *d);

/* Frames as the log holds them, each 8-aligned:
 *     u64 position of the first record | the frame as in the ring, len_bytes
 * (docs/shm-layout.md, 6). Records of an spsc ring are put into frames with
 * bit 0 of the flags set; one frame has one author, one time, and records that
 * stand one behind the other in the ring without a pad. What pads stood before
 * its first record says `reserved`, in units of 8 bytes; they are no gap. */
#define SHMQI_FRAME_SPSC 1u
struct shmqi_portion {
    uint64_t base_pos; /* where the last portion ended, or after a gap */
    uint64_t end_pos; /* exclusive */
    uint64_t bytes;
    uint32_t frame_cnt, record_cnt;
    int64_t first_ts_ns, max_ts_ns; /* over its frames */
};

/* Copies what stands next into `buf`, `cap` bytes and 8-aligned, as many whole
 * frames as fit, each checked after copying. EMPTY; GAP: what stands there is
 * damaged, [*ret_gap) is passed over; TOO_LARGE: the next frame needs more than
 * cap (shmqi_drain_frame_max()); CORRUPT (a file was cut). A whole call looks
 * at `cap` bytes at most. */
int shmqi_drain_take(struct shmqi_drain *d, void *buf, uint64_t cap,
    struct shmqi_portion *ret, struct shmq_gap *ret_gap);
/* Room that any one frame of this topic needs. */
uint64_t shmqi_drain_frame_max(const struct shmqi_drain *d);

/* Readable when a record was published or a commit asked for after the last
 * shmqi_drain_arm(). Costs the publisher system calls while armed: arm when
 * idle, not between records. At the latest after 40 ms. */
int shmqi_drain_fd(struct shmqi_drain *d, int *ret_fd);
/* True: nothing is there, wait on the descriptor. False: take again. */
bool shmqi_drain_arm(struct shmqi_drain *d);
void shmqi_drain_disarm(struct shmqi_drain *d);

/* -- telling ------------------------------------------------------------------
 */

/* Raises marks (never lowers one), lets memory be reused, wakes whoever waits.
 * Call it after the log tells of the positions to readers. */
void shmqi_drain_raise(
    struct shmqi_drain *d, uint64_t written, uint64_t durable);
/* Retention went on: nothing below can be read any more. */
void shmqi_drain_set_earliest(struct shmqi_drain *d, uint64_t earliest);
/* READ_ONLY and FAILED: publishers are refused at once, those who wait for a
 * level above what is reached get DURABILITY_FAILED. OK lets them in again. */
void shmqi_drain_set_state(struct shmqi_drain *d, uint32_t state);
/* Whether no state was set since the ring was made: its groups are not there
 * yet, and nobody can have opened it. */
bool shmqi_drain_making(const struct shmqi_drain *d);
/* One turn of the daemon: it lives. */
void shmqi_drain_beat(struct shmqi_drain *d);

struct shmqi_drain_figures {
    uint64_t disk_bytes, segments, io_errors, free_bytes, records;
    struct shmq_retention retain; /* numbers only */
};
void shmqi_drain_set_figures(
    struct shmqi_drain *d, const struct shmqi_drain_figures *f);
/* A flush that took so long. */
void shmqi_drain_count_flush(
    struct shmqi_drain *d, uint64_t latency_ns, uint64_t bytes);

/* -- groups -------------------------------------------------------------------
 */

/* A group as the journal keeps it. */
struct shmqi_group_place {
    char name[SHMQ_GROUP_MAX + 1];
    uint32_t kind, absent, max_attempts, reserved;
    uint64_t lease_ns;
    char dead_letter[SHMQ_TOPIC_MAX + 9];
    uint64_t floor; /* at most what is durable (os topics: written) */
    uint64_t next; /* handed out up to here; may be more */
    uint64_t internal; /* for shmqi_drain_journaled() */
};

/* Places of all groups that exist, checked: any member can scribble on them. At
 * most `cap`; returns how many. *ret_all is false when one that exists may not
 * be among them (it was reset again and again meanwhile, or `cap` was reached):
 * then who is missing is not known to be gone. */
uint32_t shmqi_drain_groups(struct shmqi_drain *d,
    struct shmqi_group_place *buf, uint32_t cap, bool *ret_all);
uint32_t shmqi_drain_groups_max(const struct shmqi_drain *d);
/* How far the group can be handed what is published now: with members, living
 * or not cleared away yet, to the end, else to its `next`. */
uint64_t shmqi_drain_group_reach(
    const struct shmqi_drain *d, const struct shmqi_group_place *place);

/* Makes a group anew at its place, after the ring was lost. Records in [floor,
 * next) will be flagged as redelivered. EXISTS: left as it is. */
int shmqi_drain_restore(
    struct shmqi_drain *d, const struct shmqi_group_place *place);

/* These places (from shmqi_drain_groups()) are safe on disk; wakes whoever
 * waits for that. */
void shmqi_drain_journaled(struct shmqi_drain *d,
    const struct shmqi_group_place *places, uint32_t cnt);
/* Grows whenever somebody asks that places be journaled soon. Load it before
 * shmqi_drain_groups(). */
uint64_t shmqi_drain_commits(struct shmqi_drain *d);

/* -- the dead -----------------------------------------------------------------
 */

/* Clears away what dead processes left; how many. */
uint32_t shmqi_drain_reap(struct shmqi_drain *d);
/* Pids (of this pid namespace) with endpoints here; at most `cap`. To watch
 * them by pidfd and reap at once. */
uint32_t shmqi_drain_pids(struct shmqi_drain *d, int32_t *buf, uint32_t cap);

#endif
