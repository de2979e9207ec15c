/* pub.h - the parts of `shmq pub`.
 *
 *   cmd_pub.c      options and help
 *   pub_open.c     the topic (made when missing) and the producer
 *   pub_run.c      input -> frames, at the asked pace
 *   pub_frame.c    the frame being filled
 *   pub_publish.c  frames -> ring
 *   pub_ack.c      the level they must reach, and what was acknowledged
 *   pub_remote.c   frames -> bridge, likewise
 */
#ifndef SHMQ_CLI_PUB_H
#define SHMQ_CLI_PUB_H

#include "cli.h"
#include "cli_out.h"
#include "cli_source.h"

/* A frame's records, copied: the input buffer moves on. Offsets into `heap`
 * become pointers when the frame is complete. */
struct pub_frame {
    char *heap;
    size_t heap_len;
    size_t heap_cap;
    struct shmq_record *records;
    size_t record_cap;
    struct shmq_attr *attrs;
    size_t attr_cap;
    uint64_t *lines; /* place in the input of each record */
    size_t line_cap;
    uint32_t attr_cnt;
    uint32_t record_cnt;
    uint64_t bytes; /* what it takes in the ring */
    uint64_t blocked_ns; /* when its input first would have blocked, or 0 */
};

/* In the order of the words of --wait. */
enum pub_level { PUB_PUBLISHED, PUB_WRITTEN, PUB_DURABLE };

struct pub_options {
    const char *ns;
    const char *topic;
    const char **files;
    uint32_t file_cnt;
    uint32_t batch;
    uint32_t window;
    uint32_t format; /* enum cli_format */
    uint32_t level; /* enum pub_level */
    bool level_given;
    bool no_create;
    const char *schema; /* NULL: any */
    bool positions;
    double rate; /* 0: as fast as it goes */
    uint64_t timeout_ns; /* SHMQ_FOREVER: none */
    struct cli_record attrs; /* --key and --header, for every record */
};

struct pub {
    const struct pub_options *options;
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_topic_attrs attrs;
    struct cli_source source;
    struct pub_frame frame;
    struct cli_out out; /* positions */
    uint64_t read_cnt;
    uint64_t acked_cnt;
    uint64_t dropped_cnt;
    uint64_t last_position;
    struct shmq_remote_producer *remote; /* NULL: producer is used */
    uint64_t underway; /* records that a bridge has not answered */
    uint64_t due_ns; /* when the next record may go, with --rate */
    uint64_t positions[SHMQ_BATCH_MAX];
    /* published, not at the level yet: a ring buffer */
    uint64_t *waiting;
    uint32_t waiting_cap, waiting_first, waiting_cnt;
    uint32_t level; /* enum shmq_level */
    uint64_t progress_ns; /* when a record got there last, or waiting began */
    bool away_told;
};

/* Each returns an exit status and has told a failure. */
int pub_open(struct pub *pub);
void pub_close(struct pub *pub);
int pub_run(struct pub *pub);

/* Publishes the frame, and empties it when that succeeds. */
int pub_flush(struct pub *pub);
int pub_flush_positions(struct pub *pub);

/* Through a bridge: what publishes the frame, and what waits until all is
 * answered. */
int pub_remote_open(struct pub *pub);
void pub_remote_close(struct pub *pub);
int pub_remote_flush(struct pub *pub);
int pub_remote_settle(struct pub *pub);

/* Of the first record of a publish from afar, beside its own bytes: attribute
 * 9, origin (docs/wire.md). */
#define PUB_ORIGIN_BYTES 28

/* Tells that a record of the frame is too long. */
int pub_refuse_record(struct pub *pub, uint32_t idx);

/* `cnt` records were published, their positions are in pub->positions. Waits
 * while more than the window are on their way. */
int pub_published(struct pub *pub, uint32_t cnt);
/* Waits until all have reached the level. */
int pub_settle(struct pub *pub);
/* Said once while nothing moves and shmqd is not there. */
void pub_tell_away(struct pub *pub, uint64_t since_ns);

void pub_frame_add(
    struct pub_frame *frame, const struct cli_record *record, uint64_t line);
void pub_frame_link(struct pub_frame *frame);
void pub_frame_clear(struct pub_frame *frame);
void pub_frame_free(struct pub_frame *frame);

/* A failure, with what was acknowledged until then. `thing` NULL: the topic.
 * The others tell the library's last error, and a file that cannot be
 * opened. */
int pub_fail(
    const struct pub *pub, int status, const char *thing, const char *reason);
int pub_fail_rc(const struct pub *pub, int rc);
int pub_fail_file(const struct pub *pub, const char *path, int err);

/* The status of a signal that came, told. */
int pub_fail_signal(const struct pub *pub);

#endif
