/* log_reader_impl.h - inside of the log reader. */
#ifndef SHMQI_LOG_READER_IMPL_H
#define SHMQI_LOG_READER_IMPL_H

#include "log_reader.h"
#include "log_scan.h"

/* How a reader reaches files; the disk, or a simulated one in tests. Results
 * are negative errnos. */
struct shmqi_log_files {
    int (*list)(void *ctx, int dir, int (*each)(void *arg, const char *name),
        void *arg);
    int (*open)(void *ctx, int dir, const char *name);
    int64_t (*read)(void *ctx, int fd, void *buf, size_t len, uint64_t off);
    void (*close)(void *ctx, int fd);
    /* From now on past the page cache, or through it again. */
    void (*direct)(void *ctx, int fd, bool past_the_cache);
};

struct shmqi_log_reader {
    const struct shmqi_log_files *files;
    void *files_ctx;
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

/* -- files: log_files.c -----------------------------------------------------
 */
extern const struct shmqi_log_files shmqi_log_posix;

/* A reader over other files; the directory's handle becomes its own. */
int shmqi_log_reader_open_files(const struct shmqi_log_files *files, void *ctx,
    int dir, const uint8_t *topic_uuid, struct shmqi_log_reader **ret_reader);

/* -- the directory: log_dir.c --------------------------------------------- */

/* Numbers of the segments there are, ascending; free() them. */
int shmqi_log_list(
    const struct shmqi_log_reader *r, uint64_t **ret_numbers, size_t *ret_cnt);

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
