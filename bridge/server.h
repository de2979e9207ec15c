/* server.h - what the parts of the bridge share: limits, counters, and the
 * server that holds them together. One thread does everything. */
#ifndef SHMQZ_SERVER_H
#define SHMQZ_SERVER_H

#include <shmq.h>
#include <shmq/durable.h>

#include "access.h"
#include "codec/message.h"
#include "codec/payload.h"
#include "loop.h"
#include "net.h"
#include "records.h"

/* Bounds on what peers can make the bridge keep; docs/bridge.md adds them up.
 * "Records" and "messages" are counts. */
struct shmqz_limits {
    uint32_t sessions, user_sessions; /* of all; of one user */
    uint32_t streams; /* of one session */
    uint32_t subscriptions; /* of the feed, all together */
    uint32_t subscribed_topics; /* that the feed reads */
    uint32_t credit_records; /* granted and not used, of one session */
    uint64_t credit_bytes; /* the same, in bytes */
    uint64_t credit_total_bytes; /* of all sessions */
    uint32_t publish_msgs; /* unanswered PUBLISHes of one session */
    uint64_t publish_bytes;
    uint64_t answer_bytes; /* that a client does not read, before it asks on */
    uint64_t max_payload; /* bytes of a payload frame */
    uint64_t batch_bytes; /* payload of one DELIVER, when several records fit */
    uint64_t feed_max_bytes; /* larger payloads are left out of the feed */
    uint64_t feed_buffer_bytes; /* unsent payload beyond which the feed keeps
                                   less for each subscriber */
    uint32_t feed_hwm; /* messages for one subscriber */
    uint32_t lease_ms, lease_max_ms, heartbeat_ms;
    uint32_t publish_timeout_ms;
    uint64_t memory_bytes; /* beyond it input is thrown away */
};

struct shmqz_counters {
    uint64_t messages_in, bad_messages, shed;
    uint64_t sessions_begun, leases_ended, overruns;
    uint64_t delivered_records, delivered_bytes;
    uint64_t published_records, published_dups, publish_refused;
    uint64_t feed_records, feed_omitted, feed_lapped;
    uint64_t pulled, pull_refused;
    uint64_t denied_keys, denied_commands, denied_subscriptions;
};

struct shmqz_session;
struct shmqz_topic;
struct shmqz_feed;
struct shmqz_commit;
struct shmqz_maker;
struct shmqz_accounts;

struct shmqz_server {
    const char *ns;
    struct shmqz_limits limits;
    struct shmqz_counters counters;
    struct shmqz_loop *loop;
    struct shmqz_net *net;
    struct shmqz_access *access; /* NULL: everybody may do everything */
    uint64_t boot_id;
    uint64_t generations; /* given to streams so far */
    uint64_t credit_left; /* of credit_total_bytes, not promised yet */
    struct shmqz_accounts *accounts;
    struct shmqz_session *sessions;
    uint32_t session_cnt;
    void *sessions_by_route, *sessions_by_id; /* tsearch(3) */
    struct shmqz_topic *topics;
    void *topics_by_name;
    struct shmqz_feed *feed;
    struct shmqz_timer publish_timer, commit_timer;
    struct shmqz_commit *commits; /* that wait for the disk */
    uint32_t commit_cnt;
    struct shmqz_maker *maker; /* of durable topics; NULL: none was asked for */
    struct shmqz_records records; /* of the PUBLISH at hand */
    uint8_t *scratch; /* a payload frame in the making */
    size_t scratch_cap;
    uint8_t control[SHMQW_CONTROL_MAX];
    bool shedding; /* too much memory is in use */
    bool leaving; /* told to end: nothing new is begun */
};

/* Who sent a message, and how to answer it. */
struct shmqz_peer {
    const uint8_t *route;
    size_t route_bytes;
    bool delimiter; /* an empty part stands in front, as REQ sockets send */
    const char *user;
    const char *key; /* the user's, printable; "" for none */
    const char *address; /* of a HELLO: where it comes from; else NULL */
};

/* Whether the peer may still be who it was when its connection began. */
bool shmqz_is_known(
    const struct shmqz_server *server, const char *user, const char *key);

/* Whether `user` may do `verb` on `topic`; counts a no. */
bool shmqz_allowed(struct shmqz_server *server, const char *user,
    enum shmqz_verb verb, const char *topic);

/* Sends what stands in a finished writer, with `payload` (may be NULL; taken
 * over) behind it. */
enum shmqz_sent shmqz_answer(struct shmqz_server *server,
    const struct shmqz_peer *peer, struct shmqw_writer *writer,
    struct shmqz_part *payload);

/* ERROR to a request; `text` may be NULL. `low`, `high`: see docs/wire.md. */
void shmqz_refuse(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request, enum shmqw_status status,
    const char *text);

/* The reply to a request whose fixed part is all it says; nothing when no
 * reply is wished. */
void shmqz_reply(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request, enum shmqw_command command,
    uint32_t stream_id, const void *fixed, size_t bytes);

/* What a result of the library is called on the wire. */
enum shmqw_status shmqz_status_of(int rc);

/* Random bits; a failing system call ends the program. */
uint64_t shmqz_random(void);

/* Handles everything that has arrived from reliable clients, in pieces. */
void shmqz_router_message(
    struct shmqz_server *server, struct shmqz_message *message);

/* Commands, by file. */
void shmqz_list(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request);
void shmqz_describe(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request);
void shmqz_create(struct shmqz_session *session, const struct shmqz_peer *peer,
    const struct shmqw_message *request);

#endif
