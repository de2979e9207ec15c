/* log_reader_impl.h - inside of the log reader. */
#ifndef SHMQI_LOG_READER_IMPL_H
#define SHMQI_LOG_READER_IMPL_H

#include "log_reader.h"
#include "log_scan.h"

struct shmqi_log_reader {
    int dir;
    bool any_topic;
    uint8_t topic_uuid[16];
    int fd; /* of the segment that is read; -1: none */
    struct shmqi_log_segment segment;
    struct shmqi_log_scan scan;
    uint64_t end_pos; /* effective end of the segment; UINT64_MAX: unknown */
    uint64_t pos; /* everything below is delivered */
    bool in_batch;
    struct shmqi_log_batch batch;
    const uint8_t *payload;
    uint32_t off; /* of the next frame */
    uint64_t frame_end; /* end_pos of the frame before it */
};

/* -- the directory: log_dir.c --------------------------------------------- */

/* Numbers of the segments there are, ascending; free() them. */
int shmqi_log_list(int dir, uint64_t **ret_numbers, size_t *ret_cnt);

/* Header of one segment. OK also for a damaged one (*ret_verdict tells).
 * NOENT, SYS, NOMEM; LAYOUT when it belongs to another topic or to a later
 * format. */
int shmqi_log_head(const struct shmqi_log_reader *r, uint64_t number,
    struct shmqi_log_segment *ret_h, enum shmqi_log_verdict *ret_verdict);

/* Closes the current segment and opens that one, at its first batch. OK,
 * NOENT, CORRUPT (its header is damaged: nothing in it can be believed), SYS,
 * NOMEM, LAYOUT. */
int shmqi_log_enter(struct shmqi_log_reader *r, uint64_t number);
void shmqi_log_leave(struct shmqi_log_reader *r);

/* Header of the first intact segment behind number `after`. EMPTY: none.
 * *ret_lowest: no segment at or below `after` is left. */
int shmqi_log_next_segment(const struct shmqi_log_reader *r, uint64_t after,
    struct shmqi_log_segment *ret_h, bool *ret_lowest);

/* Sets r->end_pos from the next segment, if there is one by now. */
int shmqi_log_learn_end(struct shmqi_log_reader *r);

#endif
