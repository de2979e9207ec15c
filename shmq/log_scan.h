/* log_scan.h - walking the batches of one segment, whoever reads the file.
 *
 * The source of the bytes is a function, so readers (pread), recovery (through
 * its back end), tools and fuzzers walk by the same rules:
 *   - a batch is believed when its header CRC (salted), its place, its chain
 *     (prev_end_pos, prev_crc of the batch before) and its payload's CRC are
 *     right;
 *   - after a bad spot a walker may probe every block for the next header that
 *     is right in itself.
 * What a step returned is valid until the next step. One scan, one thread. */
#ifndef SHMQI_LOG_SCAN_H
#define SHMQI_LOG_SCAN_H

#include "log_format.h"

/* A deliberate mistake that the proofs must find: what batches and segments say
 * of their predecessors is ignored. */
#ifdef SHMQD_BUGS
extern bool shmqi_log_bug_no_chain;
#else
#define shmqi_log_bug_no_chain false
#endif

/* Reads up to `len` bytes at `off`, short only at the end of the file; negative
 * errno. Offsets, lengths and `buf` are multiples of a block. */
typedef int64_t shmqi_log_read(void *ctx, void *buf, size_t len, uint64_t off);

/* Bytes [off, off + len) of a file, in private memory. */
struct shmqi_log_window {
    shmqi_log_read *read;
    void *ctx;
    uint8_t *buf;
    size_t room, len;
    uint64_t off;
    uint64_t bytes_read; /* statistics */
};

enum shmqi_log_step {
    SHMQI_STEP_BATCH = 0,
    SHMQI_STEP_END = 1, /* nothing but zeros here, or the end of the file */
    SHMQI_STEP_BAD = 2, /* no header here, or a damaged one */
    SHMQI_STEP_ROT = 3, /* the header is right, its payload is not */
    SHMQI_STEP_BROKEN = 4, /* right in itself, but not the next of the chain */
    SHMQI_STEP_FOREIGN = 5, /* of a later format */
    SHMQI_STEP_FAILED = 6 /* reading failed; scan->error is the errno */
};

struct shmqi_log_scan {
    struct shmqi_log_window window;
    uint64_t salt;
    uint64_t off; /* where the next batch begins */
    uint64_t pos; /* end of the log so far: what prev_end_pos must be */
    uint32_t crc; /* what prev_crc must be */
    int error;
};

/* -EIO style: 0, or the negative errno of the source; NOMEM is -ENOMEM. The
 * header block is read and judged; `ret_h` as shmqi_log_segment_decode(). */
int shmqi_log_scan_open(struct shmqi_log_scan *s, shmqi_log_read *read,
    void *ctx, struct shmqi_log_segment *ret_h,
    enum shmqi_log_verdict *ret_verdict);
void shmqi_log_scan_close(struct shmqi_log_scan *s);

/* Looks at the header that should be next. BATCH, END, BAD, BROKEN, FOREIGN or
 * FAILED; does not move. */
enum shmqi_log_step shmqi_log_scan_peek(
    struct shmqi_log_scan *s, struct shmqi_log_batch *ret_b);

/* The payload of the batch that peek (or probe) just returned, and moves behind
 * the batch. BATCH, ROT (moved as well: its length is known) or FAILED (not
 * moved). */
enum shmqi_log_step shmqi_log_scan_take(struct shmqi_log_scan *s,
    const struct shmqi_log_batch *b, const uint8_t **ret_payload);

/* Moves behind a batch without looking at its payload. */
void shmqi_log_scan_skip(
    struct shmqi_log_scan *s, const struct shmqi_log_batch *b);

/* From block `from` on, below `to`, the first header that is right in itself;
 * the scan then stands there and its chain is that header's. BATCH, END or
 * FAILED. Where it does not find one the scan stays where it was. */
enum shmqi_log_step shmqi_log_scan_probe(struct shmqi_log_scan *s,
    uint64_t from_off, uint64_t to_off, struct shmqi_log_batch *ret_b);

/* Forgets what was read ahead, so that the file is looked at anew. */
void shmqi_log_scan_refresh(struct shmqi_log_scan *s);

#endif
