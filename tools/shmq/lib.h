/* lib.h - what pub, sub, ls, stat and groups do to topics.
 *
 * Each function is the one of libshmq whose name it bears, with the same
 * arguments and results. With --remote the same is done through a bridge
 * (lib_remote.c), so that those commands are the same from afar; handles are
 * then those of the connection and are used with lib_ functions only. */
#ifndef SHMQ_CLI_LIB_H
#define SHMQ_CLI_LIB_H

#include "cli.h"

/* Takes --remote, --key-file and --server-key, or SHMQ_REMOTE; an exit status,
 * told. Without them everything is done here. */
int lib_begin(const struct cli_args *args);
void lib_end(void);
bool lib_is_remote(void);

/* Of the last failure. */
const char *lib_error_text(void);
int lib_error_errno(void);

int lib_topic_list(
    const char *ns, int (*visit)(void *ctx, const char *topic), void *ctx);
int lib_topic_create(
    const char *ns, const char *topic, const struct shmq_topic_attrs *attrs);
int lib_topic_open(const char *ns, const char *topic, struct shmq_topic **ret);
int lib_topic_open_schema(const char *ns, const char *topic, const char *schema,
    struct shmq_topic **ret);
void lib_topic_close(struct shmq_topic *topic);
const char *lib_topic_name(const struct shmq_topic *topic);
const char *lib_topic_namespace(const struct shmq_topic *topic);
int lib_topic_attrs(struct shmq_topic *topic, struct shmq_topic_attrs *ret);
int lib_topic_stat(struct shmq_topic *topic, struct shmq_topic_stat *ret);
/* From afar only: ends of what is written and durable. */
int lib_topic_marks(
    struct shmq_topic *topic, uint64_t *ret_written, uint64_t *ret_durable);
int lib_topic_groups(struct shmq_topic *topic, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt);
int lib_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt);

int lib_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret);
void lib_consumer_close(struct shmq_consumer *consumer);
int lib_consumer_release(
    struct shmq_consumer *consumer, struct shmq_message *msg);
/* Waits until all releases were carried out; STALE when one came too late. */
int lib_consumer_settle(struct shmq_consumer *consumer);
int lib_consumer_gap(
    const struct shmq_consumer *consumer, struct shmq_gap *ret);
int lib_consumer_drained(struct shmq_consumer *consumer);
int lib_consumer_created_group(const struct shmq_consumer *consumer);

int lib_waitset_open(
    const struct shmq_waitset_options *options, struct shmq_waitset **ret);
void lib_waitset_close(struct shmq_waitset *set);
int lib_waitset_add(struct shmq_waitset *set, struct shmq_consumer *consumer);
int lib_waitset_remove(
    struct shmq_waitset *set, struct shmq_consumer *consumer);
int lib_waitset_receive(struct shmq_waitset *set, struct shmq_message *ret,
    struct shmq_consumer **ret_from);
int lib_waitset_receive_wait(struct shmq_waitset *set, uint64_t deadline_ns,
    struct shmq_message *ret, struct shmq_consumer **ret_from);

int lib_watch_open(
    const char *ns, const char *pattern, struct shmq_watch **ret);
void lib_watch_close(struct shmq_watch *watch);
/* From afar: a topic of that name is new when it is there again. */
void lib_watch_forget(struct shmq_watch *watch, const char *topic);
int lib_watch_next(struct shmq_watch *watch, struct shmq_watch_event *ret);

#endif
