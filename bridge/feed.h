/* feed.h - the live feed: topics as plain SUB sockets see them, and records
 * that plain PUSH sockets send. */
#ifndef SHMQZ_FEED_H
#define SHMQZ_FEED_H

#include "server.h"

/* Begins to serve the feed (when that socket is open). 0, or -1 with errno. */
int shmqz_feed_open(struct shmqz_server *server);
/* Closes its readers; its memory is freed by free(3) when ZeroMQ has let go of
 * what was sent. */
void shmqz_feed_close(struct shmqz_server *server);

/* A subscription came, or ended. */
void shmqz_feed_message(
    struct shmqz_server *server, struct shmqz_message *message);

/* All connections of the feed have been ended: there are no subscriptions. */
void shmqz_feed_forget(struct shmqz_server *server);

/* Once a second: heartbeats, and how much is kept for slow subscribers. */
void shmqz_feed_second(struct shmqz_server *server);

/* How many messages to keep for each of `subscriptions` subscribers, when
 * `queued` of `buffer` bytes are unsent and messages have up to `largest`
 * bytes: at most `most`, at least 2. */
uint32_t shmqz_feed_hwm(uint64_t buffer, uint64_t queued,
    uint32_t subscriptions, uint64_t largest, uint32_t most);

/* A record that nobody acknowledges. */
void shmqz_pull_message(
    struct shmqz_server *server, struct shmqz_message *message);

#endif
