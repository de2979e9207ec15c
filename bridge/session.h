/* session.h - one remote client: who it is, how long its lease lasts, what it
 * may still do. */
#ifndef SHMQZ_SESSION_H
#define SHMQZ_SESSION_H

#include "server.h"

#define SHMQZ_ROUTE_MAX 255

struct shmqz_stream;
struct shmqz_account;

struct shmqz_session {
    struct shmqz_server *server;
    uint8_t route[SHMQZ_ROUTE_MAX];
    uint32_t route_bytes;
    bool delimiter;
    char user[SHMQZ_USER_MAX + 1];
    char key[SHMQZ_KEY_TEXT]; /* his, printable; "" for none */
    char name[64]; /* what the client calls itself */
    uint64_t id, token;
    struct shmqz_account *account; /* of its connection */
    uint64_t lease_ns, seen_ns; /* heard of last */
    struct shmqz_stream *streams;
    uint32_t stream_cnt, last_stream_id;
    uint64_t credit_bytes; /* most that it may have granted and not got */
    uint32_t publish_msgs; /* PUBLISHes without an answer */
    uint64_t publish_bytes;
    bool heard; /* since the last tick */
    bool overrun; /* it ends: its answers found no room, or it is gone */
    bool gone; /* its connection has ended */
    uint64_t gone_ns; /* when that was seen */
    struct shmqz_session *next, *previous;
};

enum shmqz_end {
    SHMQZ_END_FAILED = 0, /* lease, overrun, gone and not come again: what it
                             held counts as tried */
    SHMQZ_END_LEFT = 1, /* it said so, or we end it: nothing does */
};

/* The session of a connection, or with an id; NULL: none. */
struct shmqz_session *shmqz_session_of(
    struct shmqz_server *server, const struct shmqz_peer *peer);
struct shmqz_session *shmqz_session_by_id(
    struct shmqz_server *server, uint64_t id);

/* How to answer it. */
struct shmqz_peer shmqz_session_peer(const struct shmqz_session *session);

/* Something could not be sent to it (`session` may be NULL): it ends soon. */
void shmqz_session_lost(struct shmqz_session *session, enum shmqz_sent why);

/* Sends to it. False: the client is gone or does not read; the session is
 * marked and ends soon. */
bool shmqz_session_send(struct shmqz_session *session,
    struct shmqw_writer *writer, struct shmqz_part *payload);

void shmqz_hello(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request);

/* Ends it: streams give back what they hold. */
void shmqz_session_end(struct shmqz_session *session, enum shmqz_end how);

/* Ends those whose lease is over or that are marked; renews leases of groups
 * for those that were heard of. Every 100 ms. */
void shmqz_sessions_tick(struct shmqz_server *server);

/* Ends the sessions, or only the streams, that the access list does not allow
 * any more. */
void shmqz_sessions_check_access(struct shmqz_server *server);

/* Tells everybody that the bridge goes away, and ends all. */
void shmqz_sessions_close(struct shmqz_server *server);

#endif
