/* log_reader.h - reading a durable topic's history from its segment files.
 *
 * Used by consumers behind their ring, by shmqd, the bridge and the tools. It
 * needs nobody's help and no shared memory: only the topic's directory, which
 * shmqd may be writing at the same time. Files are read with pread(2) into
 * private memory, so a file that shrinks or rots can never raise SIGBUS, and
 * nothing is used before its checksum is right.
 *
 * Never a silent skip: whatever cannot be delivered is one gap item, then
 * reading goes on behind it.
 *
 * Threads: one reader, one thread. Blocking: waits for the disk, for nothing
 * else. Crash: a reader owns no shared state. A reader keeps the file it reads
 * open, so retention cannot take it away in the middle. */
#ifndef SHMQI_LOG_READER_H
#define SHMQI_LOG_READER_H

#include "log_format.h"

struct shmqi_log_reader;

/* Why positions are missing; the same words everywhere (gap records, JSON). */
enum shmqi_log_gap {
    SHMQI_LOG_GAP_RETENTION = 1, /* deleted by retention */
    SHMQI_LOG_GAP_CORRUPT = 2, /* damaged on disk, or never was a frame */
    SHMQI_LOG_GAP_LOST = 3, /* an unclean stop lost them before the disk */
    SHMQI_LOG_GAP_TRUNCATED = 4 /* were read once, and lost since */
};
const char *shmqi_log_gap_name(enum shmqi_log_gap reason); /* "retention" */

enum shmqi_log_item_kind { SHMQI_LOG_ITEM_FRAME = 1, SHMQI_LOG_ITEM_GAP = 2 };

struct shmqi_log_item {
    enum shmqi_log_item_kind what;
    struct shmqi_log_frame frame; /* FRAME; bytes are valid until the next call
                                     with this reader. shmqi_record_view(bytes,
                                     head.len_bytes, sizeof head, ...) walks
                                     the records */
    uint64_t from, to; /* GAP: [from, to) */
    enum shmqi_log_gap reason;
};

/* Opens the log in directory `dir` (the one that holds *.seg). `topic_uuid`:
 * 16 bytes that every segment must carry, or NULL for any. The reader stands at
 * the first position that can be read. An empty or missing log is no error:
 * there is nothing to read yet.
 * NOENT no such directory, PERM, LAYOUT (a format of a later version), NOMEM,
 * SYS. */
int shmqi_log_reader_open(const char *dir, const uint8_t *topic_uuid,
    struct shmqi_log_reader **ret_reader);
void shmqi_log_reader_close(struct shmqi_log_reader *r); /* NULL is legal */

/* First position that can be read now. EMPTY when there is no segment. */
int shmqi_log_reader_low(struct shmqi_log_reader *r, uint64_t *ret_pos);

/* Goes to `pos`: the next item is the frame that holds `pos`, or the first
 * frame behind it. When retention has deleted `pos` already the next item is
 * the gap [pos, low). A position at or beyond the end is legal: it waits
 * there. SYS, NOMEM. */
int shmqi_log_reader_seek(struct shmqi_log_reader *r, uint64_t pos);

/* Goes to the first frame whose time is not before `time_ns` (CLOCK_REALTIME of
 * the publisher, not monotone: the first one in log order), among frames below
 * `limit_pos`. `ret_pos` is its position, or that of the end when there is none
 * below the limit; the reader stands there. */
int shmqi_log_reader_seek_time(struct shmqi_log_reader *r, int64_t time_ns,
    uint64_t limit_pos, uint64_t *ret_pos);

/* The next frame or gap that begins below `limit_pos` (a watermark: durable or
 * written; UINT64_MAX: all that the files hold, which after an unclean stop
 * may be more than was ever acknowledged). EMPTY: not written yet, or the
 * limit; ask again later. When it is known that everything below the limit was
 * acknowledged (limit_pos is a watermark), bytes below it that cannot be read
 * are a CORRUPT gap; with UINT64_MAX bad bytes at the end of the last segment
 * are taken as not written. SYS (the disk failed; may be asked again), NOMEM,
 * LAYOUT. */
int shmqi_log_reader_next(struct shmqi_log_reader *r, uint64_t limit_pos,
    struct shmqi_log_item *ret_item);

/* Where the reader stands: everything below has been delivered (or skipped by
 * seek). */
uint64_t shmqi_log_reader_pos(const struct shmqi_log_reader *r);

#endif
