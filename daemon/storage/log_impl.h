/* log_impl.h - inside of the storage engine.
 *
 * A batch goes FILLING -> WAITING -> WRITING -> WRITTEN -> (durable: gone).
 * Batches of a log are a queue in log order; only its front may leave, so the
 * watermark is always the end of a contiguous prefix. Headers are built when a
 * batch is started, so that the same payload can go to another segment after a
 * failure.
 *
 * A segment goes ALLOCATE -> ZERO -> SYNC -> SPARE (a file NNN.prep), then, in
 * use: HEADER (its header is being written; batches may follow already) ->
 * NAME (waiting until everything before it is durable; then it is renamed to
 * NNN.seg) -> NAMED (its directory is being synced) -> LIVE. Nothing in it is
 * acknowledged before LIVE (os: NAMED). So a segment that has its name tells
 * the truth about where the log before it ends. */
#ifndef SHMQD_LOG_IMPL_H
#define SHMQD_LOG_IMPL_H

#include "../../shmq/log_format.h"
#include "../../shmq/log_scan.h"
#include "bugs.h"
#include "topic_log.h"

#define SHMQD_BATCHES_MAX 16 /* of one log, at once */
#define SHMQD_LATENCIES 1024

struct shmqd_buffer {
    uint8_t *at;
    size_t bytes;
    int idx; /* registered under this number, or -1: the log's own */
    struct shmqd_buffer *next;
};

enum shmqd_segment_step {
    SEGMENT_NONE,
    SEGMENT_ALLOCATE,
    SEGMENT_ZERO,
    SEGMENT_SYNC,
    SEGMENT_SPARE,
    SEGMENT_HEADER,
    SEGMENT_NAME,
    SEGMENT_NAMED,
    SEGMENT_LIVE
};

struct shmqd_segment {
    struct shmqd_log *log;
    enum shmqd_segment_step step;
    int file;
    bool failed;
    struct shmqi_log_segment head;
    uint64_t capacity;
    uint64_t used; /* where the next batch goes */
    uint64_t zeroed;
    unsigned tries;
    int ops; /* operations under way on the file */
    struct shmqd_io_op op; /* of the steps above */
    uint8_t *block; /* of the header */
};

enum shmqd_batch_state {
    BATCH_FREE,
    BATCH_FILLING,
    BATCH_WAITING,
    BATCH_WRITING,
    BATCH_WRITTEN
};

struct shmqd_batch {
    struct shmqd_log *log;
    enum shmqd_batch_state state;
    struct shmqd_io_op op;
    struct shmqd_buffer *buf;
    struct shmqd_segment *segment;
    struct shmqi_log_batch head;
    uint64_t at; /* its place in the segment */
    uint64_t done; /* bytes of it that are written */
    bool dsync; /* durable when it is written */
    bool covered; /* by the sync under way */
    bool synced; /* durable in itself */
    unsigned tries;
    int64_t begun_ns;
    struct shmqd_batch *next;
};

/* A segment that is complete. */
struct shmqd_sealed {
    uint64_t number, base_pos, end_pos, bytes;
    int64_t max_ts_ns; /* by the clocks of producers */
    int64_t closed_ns; /* by ours: all that it holds came before; 0: unknown */
    bool unsure; /* recovery: may be written and not durable */
};

struct shmqd_log {
    struct shmqd_store *store;
    struct shmqd_log *next;
    struct shmqd_log_options options;
    int dir;
    bool begun;
    /* -- what is to be written -------------------------------------------- */
    struct shmqd_batch batches[SHMQD_BATCHES_MAX];
    struct shmqd_batch *first, *last; /* the queue */
    uint64_t lent; /* room() gave so much behind the filling batch's payload */
    struct shmqd_buffer *own; /* buffers of this log alone, free */
    uint64_t buffer_bytes;
    int buffer_cnt, own_cnt; /* held now: shared ones, own ones */
    /* -- segments --------------------------------------------------------- */
    struct shmqd_segment slots[3]; /* active, spare, the one before */
    struct shmqd_segment *active, *spare, *old;
    uint64_t next_number, next_capacity;
    uint64_t segment_bytes; /* largest capacity */
    bool zero_fill;
    struct shmqd_sealed *sealed; /* oldest first, without the active one */
    size_t sealed_cnt, sealed_room, sealed_from; /* from: not deleted yet */
    uint64_t sealed_bytes;
    /* -- the chain and the watermarks -------------------------------------- */
    uint32_t epoch;
    uint64_t chain_pos; /* end of the last batch that was started */
    uint32_t chain_crc; /* what the next batch names as its predecessor */
    uint32_t last_crc; /* of the last batch that was started, */
    uint32_t safe_crc; /* and of the last one that is acknowledged */
    uint64_t added_pos, written_pos, durable_pos;
    uint64_t stamped_pos; /* durable_pos of the last header written */
    uint64_t low_pos;
    uint64_t found_end, start_pos; /* what recovery found; what begin() asked */
    bool started; /* the segment of begin() is LIVE */
    uint64_t trim_number, trim_bytes; /* a tail that is superseded; 0: none */
    int64_t max_ts_ns;
    bool os_frozen; /* os: a sync has failed, durable_pos stays */
    /* -- syncs --------------------------------------------------------------
     */
    struct shmqd_io_op sync_op;
    bool syncing;
    uint64_t sync_pos; /* os: what the sync under way will make durable */
    struct shmqd_segment *sync_segment;
    int64_t last_sync_ns;
    struct shmqd_io_op dir_op;
    bool dir_syncing;
    /* -- trouble ------------------------------------------------------------
     */
    bool failing; /* waiting for operations to end, then a new segment */
    int failures; /* since the watermark moved last */
    bool read_only, no_space;
    int64_t space_check_ns;
    int error;
    /* -- figures ------------------------------------------------------------
     */
    int64_t idle_since_ns;
    uint64_t flush_cnt, io_error_cnt, padding_bytes, payload_bytes;
    uint64_t last_flush_ns;
    uint64_t latencies[SHMQD_LATENCIES];
};

struct shmqd_store {
    struct shmqd_io *io;
    const struct shmqd_io_ops *ops;
    struct shmqd_store_options options;
    char namespace_name[64];
    char *path;
    int root, topics, lock, file;
    uint8_t uuid[16];
    uint64_t openings; /* fencing: how often the store was opened */
    struct shmqd_log *logs;
    uint8_t *staging, *zeros;
    struct shmqd_buffer *buffers, *buffer_free;
    int free_cnt;
    char text[512];
};

/* -- store.c --------------------------------------------------------------- */
/* Keeps one line of text, returns rc. */
int shmqd_fail(struct shmqd_store *s, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a negative errno of a back end, whose meaning is appended. */
int shmqd_fail_io(struct shmqd_store *s, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int64_t shmqd_now(const struct shmqd_store *s);
int64_t shmqd_realtime(const struct shmqd_store *s);
uint64_t shmqd_random(struct shmqd_store *s);
uint64_t shmqd_min_free(const struct shmqd_store *s);
/* No other daemon has opened the store since. */
bool shmqd_still_ours(struct shmqd_store *s);
/* Opens a directory, making it if asked; waits. Negative errno. */
int shmqd_open_dir(struct shmqd_store *s, int dir, const char *name, bool make);
/* A small file written whole: temporary name, sync, rename, sync of the
 * directory. Negative errno. Waits. */
int shmqd_write_small(struct shmqd_store *s, int dir, const char *name,
    const void *bytes, size_t len);
/* Reads at most `room` bytes; length or negative errno. Waits. */
int64_t shmqd_read_small(
    struct shmqd_store *s, int dir, const char *name, void *bytes, size_t room);
void shmqd_uuid_text(const uint8_t uuid[16], char text[33]);

/* -- batch.c: staging, writing --------------------------------------------- */
void shmqd_batches_step(struct shmqd_log *log);
/* Takes back room that was lent and not used. */
void shmqd_batches_unlend(struct shmqd_log *log);
/* What may be acknowledged is, in order. */
void shmqd_batches_settle(struct shmqd_log *log);
/* After trouble: everything that is not acknowledged is to be started again. */
void shmqd_batches_again(struct shmqd_log *log);
/* The front of the queue has not been started: it lacks a segment. */
bool shmqd_batches_wait(const struct shmqd_log *log);
/* Gives every buffer back. */
void shmqd_batches_free(struct shmqd_log *log);
/* An empty batch that carries the watermark, if that is due. */
void shmqd_batches_idle(struct shmqd_log *log);

/* -- flush.c: syncs and trouble ---------------------------------------------
 */
void shmqd_sync_step(struct shmqd_log *log);
/* An operation on `segment` failed with this errno (positive). */
void shmqd_log_trouble(
    struct shmqd_log *log, struct shmqd_segment *segment, int err);
void shmqd_trouble_step(struct shmqd_log *log);
/* The disk has no room: waits until it has. */
bool shmqd_is_full(int err);
/* That, or no memory, no file descriptor: nothing that the disk did wrong. */
bool shmqd_is_shortage(int err);

/* -- segment.c ---------------------------------------------------------------
 */
void shmqd_segment_step(struct shmqd_log *log);
/* The segment in which a batch of so many bytes can be started now, or NULL:
 * not yet (one is being made). */
struct shmqd_segment *shmqd_segment_for(struct shmqd_log *log, uint64_t bytes);
/* Something waits for room on the disk, or a spare segment is due. */
bool shmqd_space_is_wanted(const struct shmqd_log *log);
/* Starts a sync of the log's directory. */
void shmqd_sync_dir(struct shmqd_log *log);
/* No operation is under way on any segment. */
bool shmqd_segments_quiet(const struct shmqd_log *log);
/* Gives the active segment up after trouble; needs quiet. */
void shmqd_segment_abandon(struct shmqd_log *log);
/* Removes what was never used; closes and frees all. */
void shmqd_segments_free(struct shmqd_log *log);
/* Just closes and frees. */
void shmqd_segments_drop(struct shmqd_log *log);
int shmqd_sealed_add(struct shmqd_log *log, const struct shmqd_sealed *s);
uint64_t shmqd_level_pos(const struct shmqd_log *log);

/* -- recover.c, resync.c, clean.c
 * -------------------------------------------------
 */
int shmqd_recover(struct shmqd_log *log, struct shmqd_recovery *ret);
/* Makes what is unsure durable, or notes that it is damaged. Waits. */
void shmqd_resync(struct shmqd_log *log, struct shmqd_recovery *found);

struct shmqd_clean {
    uint64_t segment_no, off, end_pos;
    uint32_t crc, epoch;
    int64_t max_ts_ns;
    uint64_t salt;
};
int shmqd_clean_write(struct shmqd_log *log, const struct shmqd_clean *c);
/* False: there is none, or it is damaged or foreign. */
bool shmqd_clean_read(struct shmqd_log *log, struct shmqd_clean *ret);

/* Lets the log make every step that it can make now. */
void shmqd_log_step(struct shmqd_log *log);

/* Frees the store as if the process had been killed: nothing is waited for,
 * written or removed. For tests. */
void shmqd_store_abandon(struct shmqd_store *s);

/* -- turn.c ------------------------------------------------------------------
 */
int64_t shmqd_log_next_ns(const struct shmqd_log *log);

#endif
