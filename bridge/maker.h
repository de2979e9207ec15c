/* maker.h - durable topics are made by a thread of their own: shmqd is asked,
 * and whoever waits for it must not be the bridge's one thread. */
#ifndef SHMQZ_MAKER_H
#define SHMQZ_MAKER_H

#include "server.h"
#include "session.h"

/* Begins to make a durable topic and answers the request when it is done, or
 * refuses it. `attrs` is copied, with its schema. Anything but OK: say so at
 * once. */
enum shmqw_status shmqz_make(struct shmqz_session *session,
    const struct shmqw_message *request, const char *name,
    const struct shmq_topic_attrs *attrs);

/* What is being made then is made, but nobody is told. */
void shmqz_maker_close(struct shmqz_server *server);

#endif
