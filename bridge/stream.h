/* stream.h - a remote reader: a consumer of the library, what it has handed
 * out, and how much more its client is ready to take.
 *
 *     stream.c   begins, ends, its commands
 *     deliver.c  hands out */
#ifndef SHMQZ_STREAM_H
#define SHMQZ_STREAM_H

#include "held.h"
#include "server.h"
#include "session.h"
#include "topics.h"

struct shmqz_stream {
    struct shmqz_session *session;
    struct shmqz_topic *topic;
    struct shmq_consumer *consumer;
    struct shmqz_task task;
    struct shmqz_source source;
    uint32_t id;
    uint32_t kind; /* enum shmq_group_kind; 0: a reader without a group */
    uint64_t generation;
    uint64_t lease_ns; /* of its group; 0: none */
    uint64_t granted_bytes, granted_records; /* since ATTACH */
    uint64_t sent_bytes, sent_records;
    uint64_t delivery; /* number of the next DELIVER, GAP or END */
    uint64_t prev_pos; /* handed out last; NONE */
    uint64_t until; /* records from there on are not wanted; NONE */
    bool until_known; /* the topic had got there when the stream began */
    bool until_reached; /* and what the stream reads has got there */
    uint8_t read_level;
    uint64_t max_batch;
    struct shmqz_held held;
    struct shmq_message ahead; /* received, but not sent yet */
    bool has_ahead;
    struct shmqz_stream *next;
};

/* A piece of handing out; the stream's task. */
bool shmqz_deliver(void *ctx);

/* What may still be sent. */
bool shmqz_stream_has_credit(const struct shmqz_stream *stream);

void shmqz_attach(struct shmqz_session *session, const struct shmqz_peer *peer,
    const struct shmqw_message *request);

/* CREDIT, ACK, NACK, COMMIT, SEEK, DETACH, CHECK. */
void shmqz_stream_command(struct shmqz_session *session,
    const struct shmqz_peer *peer, const struct shmqw_message *request);

/* What was acknowledged on the stream has to reach a level on disk: answers
 * then, or when the time is up. Anything but OK: say so at once. */
enum shmqw_status shmqz_commit_wait(struct shmqz_stream *stream,
    const struct shmqw_message *request, const struct shmqw_commit *body);
void shmqz_commits_open(struct shmqz_server *server);
void shmqz_commits_close(struct shmqz_server *server);

/* Ends it. Failed: what it had handed out counts as one more failed attempt. */
void shmqz_stream_end(struct shmqz_stream *stream, enum shmqz_end how);

/* Ends it and tells the client why. */
void shmqz_stream_revoke(
    struct shmqz_stream *stream, enum shmqw_status status, const char *text);

/* Keeps what is held although the group has a lease: the client was heard of.
 */
void shmqz_stream_extend(struct shmqz_stream *stream);

#endif
