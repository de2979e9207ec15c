/* publish.h - records of remote producers into a topic, each once.
 *
 * A topic that is published to has one publisher: the bridge's own producer,
 * the table of origins, and what waits: for room in the ring, for the topic to
 * be looked through, for a level to be reached. Nothing here blocks. */
#ifndef SHMQZ_PUBLISH_H
#define SHMQZ_PUBLISH_H

#include "server.h"
#include "topics.h"

struct shmqz_session;

/* A PUBLISH with its payload, which is taken over. */
void shmqz_publish(struct shmqz_session *session,
    const struct shmqw_message *request, struct shmqz_part *payload);

/* One record without an answer: a result of the library; FULL when others
 * wait. */
int shmqz_publish_one(
    struct shmqz_topic *topic, const struct shmqw_record *record);

/* Ends a topic's publisher, if it has one: what was not published is answered
 * with `status`, what waits for a level with TIMEOUT_LEVEL. */
void shmqz_publisher_close(struct shmqz_topic *topic, enum shmqw_status status);

/* Ends all of them: SHUTTING_DOWN. */
void shmqz_publishers_close(struct shmqz_server *server);

/* Ends it when it was not used for long. */
void shmqz_publisher_idle(struct shmqz_topic *topic);

/* A session has ended: what it wanted published and is not yet is dropped. */
void shmqz_publishers_drop(struct shmqz_server *server, uint64_t session_id);

/* Tries again what waits; the timer of all publishers. */
void shmqz_publishers_open(struct shmqz_server *server);

#endif
