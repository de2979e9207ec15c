/* topics.h - the topics that the bridge has open, each once. */
#ifndef SHMQZ_TOPICS_H
#define SHMQZ_TOPICS_H

#include "server.h"

struct shmqz_publisher;

struct shmqz_topic {
    struct shmqz_server *server;
    char name[SHMQ_TOPIC_MAX + 13];
    struct shmq_topic *handle;
    struct shmq_topic_attrs attrs; /* as created */
    uint32_t epoch; /* of its history, on the wire */
    uint32_t uses; /* streams, publisher, feed */
    uint64_t checked_ns; /* when it was looked whether it is still there */
    bool closed; /* was removed: no longer found by its name */
    struct shmqz_publisher *publisher; /* publish.h; NULL: none yet */
    struct shmqz_topic *next, *previous;
};

/* The open topic `name`, one use more. Results as of shmq_topic_open(). */
int shmqz_topic_use(
    struct shmqz_server *server, const char *name, struct shmqz_topic **ret);

/* One use less; nobody's is closed. */
void shmqz_topic_unuse(struct shmqz_topic *topic);

/* The topic was found removed: it loses its name here, too, and its publisher
 * answers whom it still has to answer. */
void shmqz_topic_closed(struct shmqz_topic *topic);

/* Looks which topics were removed; now and then. */
void shmqz_topics_check(struct shmqz_server *server);

/* Ends as known now: NONE for levels that the topic does not have. */
void shmqz_topic_ends(struct shmqz_topic *topic, uint64_t *ret_published,
    uint64_t *ret_written, uint64_t *ret_durable);

/* The first position that can be read, in ring or history. */
uint64_t shmqz_topic_earliest(struct shmqz_topic *topic);

/* Closes everything, at the end. */
void shmqz_topics_close(struct shmqz_server *server);

#endif
