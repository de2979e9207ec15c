/* sub.h - the parts of `shmq sub`.
 *
 *   cmd_sub.c   options and help
 *   sub_open.c  waits for the topic
 *   sub_source.c  topics that are read, those of a pattern as they come
 *   sub_run.c   receives, and decides when to end
 *   sub_sink.c  formats, writes, acknowledges what has been written
 */
#ifndef SHMQ_CLI_SUB_H
#define SHMQ_CLI_SUB_H

#include "cli.h"
#include "cli_json.h"
#include "cli_out.h"
#include "cli_source.h"

/* In the order of the words of --ack. */
enum sub_ack { SUB_ACK_AFTER, SUB_ACK_BEFORE, SUB_ACK_NONE };

struct sub_options {
    const char *ns;
    const char *topic;
    const char *group; /* NULL: ephemeral */
    const char *schema; /* NULL: any */
    bool exclusive;
    bool from_given;
    bool exit_when_empty;
    struct shmq_start from;
    struct shmq_group_attrs attrs;
    uint32_t flags; /* enum shmq_consumer_flags: what is read */
    uint64_t until; /* end before this position; 0: no end */
    uint32_t ack; /* enum sub_ack */
    uint32_t format; /* enum cli_format */
    uint32_t prefetch; /* 0: the library's default */
    uint64_t count; /* 0: no limit */
    uint64_t timeout_ns;
    uint64_t for_ns; /* SHMQ_FOREVER: none, both */
};

/* A topic that is read. */
struct sub_source {
    char *name;
    struct shmq_topic *topic;
    struct shmq_consumer *consumer;
    uint64_t handed_cnt; /* records written, acknowledged or not */
    uint64_t last_position; /* of them */
    bool is_new; /* made while we watched */
};

/* What is in the output buffer: a record that is still held, or a gap's
 * line. */
struct sub_held {
    struct sub_source *source;
    struct shmq_message msg;
    size_t end; /* offset behind its bytes in the buffer */
    bool is_record;
};

struct sub {
    const struct sub_options *options;
    struct shmq_waitset *set;
    struct shmq_watch *watch; /* NULL: the topic is no pattern */
    struct sub_source **sources;
    size_t source_cnt;
    size_t source_cap;
    uint64_t watched_ns; /* when topics were last looked for */
    bool watching; /* what comes from here on is new */
    struct cli_out out;
    struct cli_json json;
    struct sub_held *held;
    size_t held_cap;
    size_t held_cnt;
    size_t held_record_cnt;
    uint64_t done_cnt; /* those that count for --count */
    uint64_t end_ns; /* when --for is over */
    uint64_t quiet_ns; /* since when there was no record */
    bool stale_told;
    bool limit_told;
    bool ended; /* end now, with the status at hand */
};

/* Each returns an exit status and has told a failure. */
int sub_open(struct sub *sub);
void sub_close(struct sub *sub);
int sub_run(struct sub *sub);

/* Opens a topic, of the schema asked for if any; a result of the library. */
int sub_topic_open(
    const struct sub_options *o, const char *name, struct shmq_topic **ret);
/* Adds a topic that is open already, closes it when that fails. */
int sub_source_add(struct sub *sub, const char *name, struct shmq_topic *topic);
/* Adds the topics of the pattern that have come since the last call. */
int sub_source_look(struct sub *sub);
void sub_source_drop(struct sub *sub, struct sub_source *source);
void sub_source_drop_all(struct sub *sub);
struct sub_source *sub_source_of(
    const struct sub *sub, const struct shmq_consumer *consumer);

int sub_put(
    struct sub *sub, struct sub_source *source, const struct shmq_message *msg);
int sub_put_gap(struct sub *sub, struct sub_source *source);

/* Writes what is buffered, and acknowledges the records of which all bytes
 * were taken. When the command is to end, it stops behind the record at hand;
 * the rest goes back when the consumer closes. */
int sub_flush(struct sub *sub);

/* A signal came, or --for is over. */
bool sub_must_end(const struct sub *sub);

#endif
