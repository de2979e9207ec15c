/* topic_impl.h - the inside of a topic handle. */
#ifndef SHMQI_TOPIC_IMPL_H
#define SHMQI_TOPIC_IMPL_H

#include <pthread.h>

#include <shmq/topic.h>

#include "files.h"
#include "segment.h"

#define SHMQI_TOPIC_OWNER_FLAGS \
    ((uint32_t)(SHMQ_TOPIC_OWNER | SHMQ_TOPIC_GROUP_OWNER))
#define SHMQI_TOPIC_KNOWN_FLAGS \
    ((uint32_t)(SHMQ_TOPIC_ASYMMETRIC | SHMQ_TOPIC_TTL_DEAD_LETTER) | \
        SHMQI_TOPIC_RESERVED | SHMQI_TOPIC_OWNER_FLAGS)

struct shmq_topic {
    struct shmqi_segment *segment;
    uint32_t generation;
};

/* The segment of a handle that may be used: INVAL, FORKED, CLOSED. */
int shmqi_topic_use(struct shmq_topic *topic, struct shmqi_segment **ret);
/* As above, without CLOSED: for looking. */
int shmqi_topic_look(struct shmq_topic *topic, struct shmqi_segment **ret);

/* NULL, or why it is no legal NAME:VERSION. */
const char *shmqi_schema_why_not(const char *schema);

/* Frames of half of it are the largest that shmqd writes. */
#define SHMQI_DURABLE_ARENA_MAX (256ull << 20)

/* Fills constants from attributes; INVAL names what is wrong. */
int shmqi_topic_constants(const char *topic,
    const struct shmq_topic_attrs *attrs, struct shmqi_constants_shm *ret);

/* What of the attributes is no constant. */
struct shmqi_create shmqi_topic_create_more(
    const struct shmq_topic_attrs *attrs);

/* shmq_topic_list() over the files of a kind: 'd' (data), or 'c' (control),
 * which killed creates and removals may leave alone. */
int shmqi_topic_names(const char *ns, char kind,
    int (*visit)(void *ctx, const char *topic), void *ctx);

/* Creates without the checks for users' names: for "@..." topics, and with a
 * start sequence for tests. */
int shmqi_topic_create_system(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs, uint64_t start_seq);

/* A topic on disk, of any name: asks shmqd if it is there, and waits for its
 * answer at most so long (it may be made all the same). As
 * shmq_topic_create_durable(), and TIMEOUT. */
int shmqi_topic_make_durable(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs, uint64_t answer_ns);

#endif
