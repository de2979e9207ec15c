/* lib_remote.h - the functions of lib.h through a bridge. */
#ifndef SHMQ_CLI_LIB_REMOTE_H
#define SHMQ_CLI_LIB_REMOTE_H

#include "lib.h"

#ifdef SHMQ_HAVE_REMOTE
#include <shmq/remote.h>

/* How long the bridge may need for an answer, unless told otherwise. */
#define FAR_ANSWER_NS UINT64_C(5000000000)

/* The connection, and the topic behind a handle. */
struct shmq_remote *far_connection(void);
const char *far_topic_name(const struct shmq_topic *topic);

int far_begin(const char *endpoint, const char *key, const char *server_key,
    uint64_t wait_ns);
/* Until when an answer to what is asked now is waited for. */
uint64_t far_answer_by(void);
void far_end(void);

int far_topic_list(int (*visit)(void *ctx, const char *topic), void *ctx);
int far_topic_create(const char *topic, const struct shmq_topic_attrs *attrs);
int far_topic_open(
    const char *topic, const char *schema, struct shmq_topic **ret);
void far_topic_close(struct shmq_topic *topic);
int far_topic_attrs(struct shmq_topic *topic, struct shmq_topic_attrs *ret);
int far_topic_stat(struct shmq_topic *topic, struct shmq_topic_stat *ret);
int far_topic_marks(
    struct shmq_topic *topic, uint64_t *ret_written, uint64_t *ret_durable);
int far_topic_groups(struct shmq_topic *topic, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt);
int far_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt);
int far_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret);
void far_consumer_close(struct shmq_consumer *consumer);
int far_consumer_release(
    struct shmq_consumer *consumer, struct shmq_message *msg);
int far_consumer_settle(struct shmq_consumer *consumer);
int far_consumer_gap(
    const struct shmq_consumer *consumer, struct shmq_gap *ret);
int far_consumer_drained(struct shmq_consumer *consumer);
int far_consumer_created_group(const struct shmq_consumer *consumer);

int far_waitset_open(struct shmq_waitset **ret);
void far_waitset_close(struct shmq_waitset *set);
int far_waitset_add(struct shmq_waitset *set, struct shmq_consumer *consumer);
int far_waitset_remove(
    struct shmq_waitset *set, struct shmq_consumer *consumer);
int far_waitset_receive(struct shmq_waitset *set, struct shmq_message *ret,
    struct shmq_consumer **ret_from);
int far_waitset_receive_wait(struct shmq_waitset *set, uint64_t deadline_ns,
    struct shmq_message *ret, struct shmq_consumer **ret_from);
int far_watch_open(const char *pattern, struct shmq_watch **ret);
void far_watch_close(struct shmq_watch *watch);
void far_watch_forget(struct shmq_watch *watch, const char *topic);
/* The last failure was libshmq's own. */
bool far_is_near(void);
int far_watch_next(struct shmq_watch *watch, struct shmq_watch_event *ret);
#endif

#endif
