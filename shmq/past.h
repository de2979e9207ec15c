/* past.h - a durable topic's history: what has left the ring and is read from
 * segment files, with the same positions.
 *
 * Invariant PAST: a record whose memory was given up lies below `drained`, and
 * what lies below `drained` is in the log or in a gap that the log tells of
 * (watermarks.h). So whoever finds its next record overwritten finds it here;
 * if not yet (the mark it sees is older than the overwriting), it asks again.
 * Nothing at or above `drained` is read here: a segment's bytes behind it were
 * never acknowledged. */
#ifndef SHMQI_PAST_H
#define SHMQI_PAST_H

#include <shmq/consumer.h>

#include "log_reader.h"
#include "segment.h"
#include "words.h"

/* A consumer's reading position in the log. Private. */
struct shmqi_past {
    uint64_t version; /* of the control file, as last checked */
    uint64_t never; /* the consumer's own `version`: differs from whatever may
                       stand in the file, so that every look comes here */
    uint32_t level; /* enum shmq_level: what is handed out */
    bool in_log; /* readers: go on there before looking at the ring */
    struct shmqi_log_reader *log; /* NULL: not needed yet */
    bool has_frame; /* `frame` is what the reader gave last */
    struct shmqi_log_frame frame;
    /* spsc: the record that comes next in it */
    uint32_t idx, off;
    uint64_t at;
};

/* What stands at a position, or next behind it. */
struct shmqi_past_item {
    bool is_gap;
    struct shmq_gap gap; /* from `pos` on */
    const struct shmqi_log_frame *frame; /* good until the next call */
};

/* The item at `pos`. EMPTY: the log does not reach there (yet); NODAEMON,
 * NOENT, PERM, SYS, LAYOUT, NOMEM: it cannot be read. */
int shmqi_past_item(const struct shmqi_segment *s, struct shmqi_past *p,
    uint64_t pos, struct shmqi_past_item *ret);
void shmqi_past_close(struct shmqi_past *p);

/* Where `start` is, in the log or in the ring. EARLIEST is the first position
 * that can be read; POSITION may lie behind the end. */
int shmqi_past_place(const struct shmqi_segment *s,
    const struct shmq_start *start, uint64_t *ret_pos);

/* Records of the log in [from, to), counted up to COUNT_MAX frames; what is
 * behind counts as a record a frame (mpmc). */
struct shmqi_past_count {
    uint64_t messages, bytes;
    int64_t first_time_ns;
};
void shmqi_past_count(const struct shmqi_segment *s, uint64_t from, uint64_t to,
    struct shmqi_past_count *ret);

/* True when the records from `pos` on never were in this ring: they lie in the
 * history, or in the hole that a lost ring left. */
static inline bool shmqi_before_ring(const struct shmqi_ring *r, uint64_t pos)
{
    return r->ring == SHMQ_RING_MPMC ? shmqi_pos_seq(pos) < r->start_seq
                                     : pos < r->start_seq;
}

/* End of what a reader of this level is handed; UINT64_MAX: all there is. */
uint64_t shmqi_past_limit(
    const struct shmqi_segment *s, const struct shmqi_past *p);

#endif
