/* log_format.h - every byte of a durable topic's log, and its codec.
 *
 * This is the only file that knows the offsets; docs/log-format.md restates
 * them and is normative. A log is a directory of segment files NNN.seg, where
 * NNN is the segment's number in 20 decimal digits. A segment is one header
 * block and batches behind it; a batch begins at a multiple of
 * SHMQI_LOG_BLOCK, its padding is zero, and it is one unit of writing. A block
 * that holds durable bytes is never written again.
 *
 *   segment  | header block | batch | batch | ... | zeros or end of file
 *   batch    | header 128 | frame | frame | ... | zeros up to the block's end
 *   frame    | position 8 | frame header 40 | record | record | ...
 *
 * Behind its position a frame is what the ring holds, unchanged. Its length is
 * a multiple of 8.
 *
 * Positions, exclusive at their upper end:
 *   mpmc  a frame is 4096 positions wide; its record i has position begin + i
 *   spsc  (flag SHMQI_LOG_FRAME_SPSC) record i takes 24 positions more than
 *         the bytes of its encoding; all of them are the frame's width
 * A frame that begins above the end of the one before it (first: the batch's
 * base_pos) leaves a hole: what the ring held there was not a frame. A batch
 * whose base_pos is above its prev_end_pos says that the positions between were
 * given up (an unclean stop lost the ring).
 *
 * Thread-safe: pure functions over the caller's bytes. Nothing read is trusted:
 * the decoders check every length against the bytes given. */
#ifndef SHMQI_LOG_FORMAT_H
#define SHMQI_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define SHMQI_LOG_BLOCK 4096u
#define SHMQI_LOG_MAGIC 0x31474553514d4853ull /* "SHMQSEG1" */
#define SHMQI_LOG_MAJOR 1u
#define SHMQI_LOG_MINOR 0u
#define SHMQI_LOG_HEAD_BYTES 512u /* of one copy of the segment header */
#define SHMQI_LOG_HEAD_COPY 2048u /* where the second copy lies */
#define SHMQI_LOG_BATCH_MAGIC 0x31425153u /* "SQB1" */
#define SHMQI_LOG_BATCH_HEAD 128u
#define SHMQI_LOG_BATCH_BYTES_MAX (1u << 30)
#define SHMQI_LOG_WRITER_ROOM 32u
#define SHMQI_LOG_NAME_ROOM 32u /* of a segment's file name, with its NUL */
#define SHMQI_LOG_FRAME_HEAD 48u /* position and frame header */
#define SHMQI_LOG_FRAME_SPSC 1u /* flag of a frame */

/* What a segment's positions mean; the values of enum shmq_ring, and one
 * more. */
enum shmqi_log_kind {
    SHMQI_LOG_MPMC = 1,
    SHMQI_LOG_SPSC = 2,
    SHMQI_LOG_GROUPS = 3 /* the journal of groups; positions as mpmc */
};

/* Feature bits of a segment. */
enum shmqi_log_compat {
    SHMQI_LOG_UNSURE_BEFORE = 1 << 0 /* os: a sync has failed; what lies before
                                        may be written and not durable */
};

/* Flags of a batch. */
enum shmqi_log_flags {
    SHMQI_LOG_CONTROL = 1 << 0, /* no frames; carries durable_pos */
    SHMQI_LOG_SNAPSHOT = 1 << 1, /* groups: part of a complete state */
    SHMQI_LOG_SNAPSHOT_END = 1 << 2, /* groups: its last part */
    SHMQI_LOG_FLAGS_KNOWN = 7
};

/* A segment's header, decoded. */
struct shmqi_log_segment {
    uint16_t major, minor;
    uint64_t incompat, ro_compat, compat; /* feature bits */
    uint8_t store_uuid[16], topic_uuid[16];
    uint64_t segment_no;
    uint64_t base_pos; /* first position that the segment may hold */
    uint64_t prev_end_pos; /* where the log ended before it: the effective end
                              of the segment before */
    uint64_t salt; /* random per use of the file */
    uint32_t epoch; /* one more after every recovery */
    uint32_t prev_crc; /* hdr_crc of the log's last batch before this segment;
                          0: there is none */
    int64_t created_ns; /* CLOCK_REALTIME */
    int64_t max_ts_ns; /* largest time of all segments before */
    uint64_t capacity; /* bytes of the file when made */
    uint32_t kind; /* enum shmqi_log_kind */
    char writer[SHMQI_LOG_WRITER_ROOM]; /* program and version, NUL-padded */
    uint32_t crc; /* the header's own; set by encode and decode */
};

/* A batch's header, decoded. */
struct shmqi_log_batch {
    uint32_t hdr_crc; /* set by encode and decode */
    uint32_t total_bytes; /* with header and padding; multiple of a block */
    uint32_t payload_bytes; /* behind the header */
    uint64_t base_pos, end_pos;
    uint64_t prev_end_pos; /* end_pos of the batch before */
    uint64_t durable_pos; /* durable watermark when this was built */
    int64_t first_ts_ns; /* time of the first frame */
    int64_t max_ts_ns; /* largest time of the log up to this batch's end */
    uint32_t epoch;
    uint32_t data_crc; /* of the payload */
    uint32_t prev_crc; /* as in the segment header; first batch: its segment's
                          header CRC */
    uint32_t record_cnt, frame_cnt;
    uint16_t flags; /* enum shmqi_log_flags */
    uint32_t block; /* where it lies in the file, in blocks */
};

/* -- segments ------------------------------------------------------------ */

/* Writes the header, both copies, into `block` (SHMQI_LOG_BLOCK bytes) and
 * sets h->crc. */
void shmqi_log_segment_encode(struct shmqi_log_segment *h, uint8_t *block);

enum shmqi_log_verdict {
    SHMQI_LOG_GOOD = 0,
    SHMQI_LOG_COPY_BAD = 1, /* readable, but one of the two copies is damaged */
    SHMQI_LOG_BLANK = 2, /* nothing but zeros */
    SHMQI_LOG_BAD = 3, /* damaged */
    SHMQI_LOG_FOREIGN = 4 /* intact, of a format that this code cannot read */
};

/* Reads the header block; `ret_h` is set for GOOD, COPY_BAD and FOREIGN (then
 * only the versions and feature bits mean something). */
enum shmqi_log_verdict shmqi_log_segment_decode(
    const uint8_t *block, struct shmqi_log_segment *ret_h);

/* "00000000000000000042.seg" into `name`. */
void shmqi_log_segment_name(
    uint64_t segment_no, const char *suffix, char name[SHMQI_LOG_NAME_ROOM]);

/* The number in a name of that form; false for other names. `suffix` is ".seg"
 * or another one. */
bool shmqi_log_segment_number(
    const char *name, const char *suffix, uint64_t *ret_no);

/* -- batches ------------------------------------------------------------- */

/* Writes the header into `at` (SHMQI_LOG_BATCH_HEAD bytes), salted with the
 * segment's salt, and sets b->hdr_crc. b->data_crc must be right. */
void shmqi_log_batch_encode(
    struct shmqi_log_batch *b, uint64_t salt, uint8_t *at);

/* Reads a header that lies at block `block` of its file: magic, CRC with
 * `salt`, place, and lengths that make sense. Does not look at the payload.
 * BLANK when the magic is 0. */
enum shmqi_log_verdict shmqi_log_batch_decode(const uint8_t *at, uint64_t salt,
    uint32_t block, struct shmqi_log_batch *ret_b);

/* Whole blocks that a batch with so much payload takes, in bytes. */
uint64_t shmqi_log_batch_total(uint64_t payload_bytes);

/* CRC of a payload, as data_crc wants it; and of one that comes in parts,
 * beginning with crc 0. */
uint32_t shmqi_log_data_crc(const uint8_t *payload, size_t len);
uint32_t shmqi_log_data_crc_more(uint32_t crc, const uint8_t *more, size_t len);

/* -- frames -------------------------------------------------------------- */

/* One frame inside a batch's payload. */
struct shmqi_log_frame {
    uint64_t pos, end_pos;
    uint64_t hole_pos; /* < pos: [hole_pos, pos) was not a frame */
    struct shmqi_frame_shm head;
    const uint8_t *bytes; /* the frame header's place; head.len_bytes of them */
};

/* The frame at *ret_off of a payload; moves *ret_off behind it. `prev_end` is
 * the end of the frame before (first: base_pos). SHMQ_ERR_EMPTY at the end of
 * the payload, SHMQ_ERR_CORRUPT for nonsense (the payload's CRC makes that a
 * bug of the writer, not of the disk). */
int shmqi_log_frame_next(const uint8_t *payload, uint32_t len,
    uint32_t *ret_off, uint64_t prev_end, struct shmqi_log_frame *ret_f);

/* Writes position and frame header to `at` (SHMQI_LOG_FRAME_HEAD bytes); the
 * encoded records follow. head->len_bytes counts header and records. */
void shmqi_log_frame_encode(
    uint64_t pos, const struct shmqi_frame_shm *head, uint8_t *at);

/* Position of record `idx` of a frame. INVAL when it has no such record. */
int shmqi_log_record_pos(
    const struct shmqi_log_frame *f, uint32_t idx, uint64_t *ret_pos);

/* One readable word for a verdict: "good", "damaged", ... Static. */
const char *shmqi_log_verdict_name(enum shmqi_log_verdict v);

#endif
