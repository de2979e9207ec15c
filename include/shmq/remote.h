/* shmq/remote.h - topics of another host, through its shmq-bridge.
 *
 * The library libshmq-remote needs libzmq and no shared memory; programs that
 * use it need not link libshmq. It has the verbs of the local library: publish
 * with a level, receive in a group or without one, release, ack, nack, seek.
 * What travels is said in docs/wire.md.
 *
 *   Connection  struct shmq_remote: one session with one bridge. Its producers,
 *               consumers and live readers belong to it and are closed before
 *               it. It connects, and after any loss connects again, by itself,
 *               during any call that is given a handle of it: waiting 50 ms,
 *               doubled each time, at most 2 s, each +-25 %.
 *   Threads     a connection, with all its handles, is used by one thread at a
 *               time; connections are independent.
 *   Blocking    only functions whose names end in _wait block, until their
 *               deadline (shmq/base.h; shmq_remote_deadline() makes one).
 *   Result      0 (or a count), or a negative enum shmq_err or
 *               shmq_remote_err; ret_* parameters are untouched unless the call
 *               succeeded. NODAEMON: the bridge was not reached before the
 *               deadline. shmq_remote_error_text() has the sentence,
 *               shmq_remote_error_status() the bridge's status.
 *   Lease       the bridge gives back what this session holds when it hears
 *               nothing from it for the lease (options; shmq-bridge's default
 *               is 10 s). Every call renews it; a program that works longer
 *               between two calls uses shmq_remote_extend().
 *   Crash       the process may be killed or stopped anywhere: its claims go
 *               back when the lease ends; what it published and was not
 *               answered is in the topic once or not at all.
 *   Fork        handles are not for fork children. */
#ifndef SHMQ_REMOTE_H
#define SHMQ_REMOTE_H

#include <shmq/base.h>
#include <shmq/consumer.h>
#include <shmq/errors.h>
#include <shmq/group.h>
#include <shmq/message.h>
#include <shmq/stat.h>
#include <shmq/topic.h>

struct shmq_remote; /* a connection: one thread */
struct shmq_remote_producer;
struct shmq_remote_consumer;
struct shmq_remote_live;

/* Results besides those of enum shmq_err. */
enum shmq_remote_err {
    /* It cannot be known any more whether the records are in the topic: they
     * would lie before its first readable record. Not sent again. */
    SHMQ_REMOTE_ERR_UNDECIDED = -64,
    /* Bridge and library do not understand each other. */
    SHMQ_REMOTE_ERR_PROTOCOL = -65
};

/* Waiting levels of a publish. */
enum shmq_remote_level {
    SHMQ_REMOTE_LEVEL_DEFAULT = 0, /* the topic's own */
    SHMQ_REMOTE_LEVEL_PUBLISHED = 1, /* in the ring */
    SHMQ_REMOTE_LEVEL_WRITTEN = 2, /* handed to the page cache */
    SHMQ_REMOTE_LEVEL_DURABLE = 3 /* after fdatasync */
};

/* Options of a connection; zero means default. Set struct_bytes. The texts are
 * copied. */
struct shmq_remote_options {
    uint32_t struct_bytes;
    uint32_t lease_ms; /* wished; 0: the bridge's default */
    const char *name; /* what the client calls itself, for the bridge's log */
    const char *server_key; /* the bridge's public key, 40 characters of Z85;
                               NULL: no encryption (loopback and ipc only) */
    const char *public_key; /* own key pair, likewise; without public_key it is
                               made from secret_key; without both: a new one */
    const char *secret_key;
};

/* Options of a producer; zero means default. Set struct_bytes. */
struct shmq_remote_producer_options {
    uint32_t struct_bytes;
    uint32_t level; /* enum shmq_remote_level */
    uint64_t producer_id; /* 0: a random one. Giving one, and a higher epoch
                             each time, shuts out an earlier self */
    uint32_t epoch; /* 0: 1 */
    uint32_t window; /* publishes that may be unanswered; default and at most
                        what the bridge allows */
    uint32_t level_timeout_ms; /* after which the bridge answers TIMEOUT though
                                  the level is not reached; 0: its longest */
    uint32_t reserved;
};

/* What became of one publish. */
struct shmq_remote_result {
    uint64_t ticket;
    uint64_t position; /* of its first record; when rc is 0, TIMEOUT or
                          DURABILITY_FAILED. UINT64_MAX: not known any more */
    const uint64_t *positions; /* of each record; valid until the next call */
    uint32_t record_cnt;
    int32_t rc; /* 0; TIMEOUT: published, the level not reached in time;
                   DURABILITY_FAILED: published; FULL: dropped under drop-new;
                   TOO_LARGE, PERM, NOENT, STALE (a higher epoch has published),
                   SHMQ_REMOTE_ERR_UNDECIDED, and others: not published */
    uint32_t level; /* reached, enum shmq_remote_level */
    uint32_t again; /* 1: it had been published before an answer got lost */
};

/* Options of a consumer; zero means default. Set struct_bytes. */
struct shmq_remote_consumer_options {
    uint32_t struct_bytes;
    uint32_t flags; /* SHMQ_CONSUMER_NO_CREATE, SHMQ_CONSUMER_MANUAL_ACK */
    const char *group; /* NULL: a reader of its own, that gates nothing */
    struct shmq_group_attrs attrs; /* as in struct shmq_consumer_options */
    struct shmq_start start;
    uint64_t until; /* without a group: CLOSED before this position; 0: never */
    uint32_t read_level; /* enum shmq_remote_level: what may be read; default:
                            durable for groups of disk topics, else published */
    uint32_t prefetch_frames; /* frames held at most; default 16 for a shared
                                 group, else 64 */
    uint64_t window_bytes; /* payload on its way, or waiting to be received, at
                              most; default 1 MiB; less when other consumers of
                              the connection use up what the bridge allows */
    uint32_t window_records; /* likewise; default 4096 */
    uint32_t reserved;
};

SHMQ_BEGIN_DECLS

/* -- connection ----------------------------------------------------------- */

/* As shmq_deadline(), for programs without libshmq. */
SHMQ_API uint64_t shmq_remote_deadline(uint64_t timeout_ns);

/* Begins to connect to the bridge's ROUTER, "tcp://host:5570" or "ipc://...".
 * `options` may be NULL. Does not wait for the connection.
 * Errors: INVAL (endpoint, keys), NOMEM, SYS. */
SHMQ_API int shmq_remote_open(const char *endpoint,
    const struct shmq_remote_options *options, struct shmq_remote **ret);

/* Says goodbye (what is held goes back at once), closes all, frees. Handles
 * not closed yet are. Waits at most 1 s for what is still to be sent. NULL is
 * legal. */
SHMQ_API void shmq_remote_close(struct shmq_remote *remote);

/* Waits for the session. 0, NODAEMON (not reached), PERM (wrong key, or refused
 * by the bridge), SHMQ_REMOTE_ERR_PROTOCOL. */
SHMQ_API int shmq_remote_connect_wait(
    struct shmq_remote *remote, uint64_t deadline_ns);

/* Does what is due without waiting: connects, sends, receives, renews the
 * lease. 0 with a session, NODAEMON without one just now. */
SHMQ_API int shmq_remote_extend(struct shmq_remote *remote);

/* Granted lease in ms, and how many sessions there have been; 0 before the
 * first one. */
SHMQ_API uint32_t shmq_remote_lease_ms(const struct shmq_remote *remote);
SHMQ_API uint64_t shmq_remote_session_cnt(const struct shmq_remote *remote);

/* Waits until something may have come for any handle of the connection, or
 * `deadline_ns`. 0, or INTR. */
SHMQ_API int shmq_remote_wait(struct shmq_remote *remote, uint64_t deadline_ns);

/* The namespace that the bridge shows; "" before the first session. */
SHMQ_API const char *shmq_remote_namespace(const struct shmq_remote *remote);

/* A descriptor that is readable when something may have come. Rule as for
 * shmq_consumer_fd(): call until EMPTY, then wait for it (at most lease / 4),
 * then again. It changes with every reconnect: ask again each time. NODAEMON
 * while there is no socket: call again after 50 ms. */
SHMQ_API int shmq_remote_fd(struct shmq_remote *remote, int *ret_fd);

/* The calling thread's last error as one sentence; the bridge's status behind
 * it (docs/wire.md, section 6), 0: none. Names of results and of statuses;
 * static storage. */
SHMQ_API const char *shmq_remote_error_text(void);
SHMQ_API uint32_t shmq_remote_error_status(void);
SHMQ_API const char *shmq_remote_err_name(int rc);
SHMQ_API const char *shmq_remote_status_name(uint32_t status);

/* -- topics --------------------------------------------------------------- */

/* Makes a topic; `attrs` NULL: all defaults; owners are the bridge's. Errors:
 * EXISTS, INVAL, PERM, NODAEMON, NOSPACE, ... as shmq_topic_create(). */
SHMQ_API int shmq_remote_topic_create_wait(struct shmq_remote *remote,
    const char *topic, const struct shmq_topic_attrs *attrs,
    uint64_t deadline_ns);

/* Calls `visit` for every topic whose name matches `pattern` (NULL: all that
 * do not begin with @), in byte order, until it returns non-zero, which is then
 * returned. `visit` must not use the connection. */
SHMQ_API int shmq_remote_topic_list_wait(struct shmq_remote *remote,
    const char *pattern, uint64_t deadline_ns,
    int (*visit)(void *ctx, const char *topic), void *ctx);

/* What shmq_topic_attrs() and shmq_topic_stat() tell; each may be NULL.
 * struct_bytes is set by the caller. attrs->schema points into `ret_schema`, of
 * SHMQ_SCHEMA_MAX + 1 bytes; NULL: it is left out. */
SHMQ_API int shmq_remote_topic_stat_wait(struct shmq_remote *remote,
    const char *topic, uint64_t deadline_ns, struct shmq_topic_attrs *ret_attrs,
    char *ret_schema, struct shmq_topic_stat *ret_stat);

/* Watermarks of a topic: ends of what is published, written and durable;
 * UINT64_MAX: it has no such level. */
SHMQ_API int shmq_remote_topic_watermarks_wait(struct shmq_remote *remote,
    const char *topic, uint64_t deadline_ns, uint64_t *ret_published,
    uint64_t *ret_written, uint64_t *ret_durable);

/* As shmq_topic_groups() and shmq_topic_endpoints(): fills up to `cap`, and
 * tells how many there are. Endpoints are shown to administrators only. */
SHMQ_API int shmq_remote_topic_groups_wait(struct shmq_remote *remote,
    const char *topic, uint64_t deadline_ns, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt);
SHMQ_API int shmq_remote_topic_endpoints_wait(struct shmq_remote *remote,
    const char *topic, uint64_t deadline_ns, struct shmq_endpoint_stat *buf,
    uint32_t cap, uint32_t *ret_cnt);

/* -- publishing ----------------------------------------------------------- */

/* Opens a producer on an existing topic. Records get into the topic exactly
 * once, whatever is lost or restarted in between: unanswered publishes are sent
 * again after a reconnect, and the bridge knows them.
 * Errors: NOENT, PERM, NODAEMON, INVAL, NOMEM. */
SHMQ_API int shmq_remote_producer_open_wait(struct shmq_remote *remote,
    const char *topic, const struct shmq_remote_producer_options *options,
    uint64_t deadline_ns, struct shmq_remote_producer **ret);

/* Closes. Publishes not answered yet may or may not take place. NULL is
 * legal. */
SHMQ_API void shmq_remote_producer_close(struct shmq_remote_producer *producer);

/* Begins to publish 1 to SHMQ_BATCH_MAX records together, as one frame. They
 * are copied, and sent now or as soon as there is a session. *ret_ticket (may
 * be NULL) names them in their result. FULL: as many are unanswered as may be;
 * take results first. TOO_LARGE: more than the bridge takes in one message.
 * INVAL, NOMEM. Does not block. */
SHMQ_API int shmq_remote_producer_publish(struct shmq_remote_producer *producer,
    const struct shmq_record *records, uint32_t record_cnt,
    uint64_t *ret_ticket);

/* The result of the oldest publish not yet told about. 0, and *ret is filled
 * (its rc tells how it went); EMPTY: not answered yet, or none is underway.
 * _wait: TIMEOUT, INTR. */
SHMQ_API int shmq_remote_producer_result(
    struct shmq_remote_producer *producer, struct shmq_remote_result *ret);
SHMQ_API int shmq_remote_producer_result_wait(
    struct shmq_remote_producer *producer, uint64_t deadline_ns,
    struct shmq_remote_result *ret);

/* Publishes one record and waits until it has reached the level; returns the
 * result's rc, or TIMEOUT when it came to no result: it is still underway then,
 * and its result comes before that of the next publish. INVAL while results of
 * other publishes are not taken. *ret_position may be NULL. */
SHMQ_API int shmq_remote_producer_publish_wait(
    struct shmq_remote_producer *producer, const void *data, uint64_t size,
    uint64_t deadline_ns, uint64_t *ret_position);

/* Publishes without a result so far, and its identity and epoch. */
SHMQ_API uint32_t shmq_remote_producer_pending(
    const struct shmq_remote_producer *producer);
SHMQ_API uint64_t shmq_remote_producer_id(
    const struct shmq_remote_producer *producer);

/* -- receiving ------------------------------------------------------------ */

/* Opens a consumer: a member of a group beside local and remote ones, or a
 * reader of its own. Errors: NOENT, BUSY, EXISTS, LIMIT, INVAL, PERM,
 * NODAEMON, NOMEM. */
SHMQ_API int shmq_remote_consumer_open_wait(struct shmq_remote *remote,
    const char *topic, const struct shmq_remote_consumer_options *options,
    uint64_t deadline_ns, struct shmq_remote_consumer **ret);

/* Sends acknowledgements, gives the rest back, closes; waits at most 1 s for
 * the bridge to say so. What is held goes back also when that takes longer, or
 * when acknowledgements came too late. NULL is legal. Messages received must
 * not be used any more. */
SHMQ_API void shmq_remote_consumer_close(struct shmq_remote_consumer *consumer);

/* The next record; its bytes are the handle's until it is released. 0; EMPTY;
 * GAP (shmq_remote_consumer_gap(); the next call goes on behind it); CLOSED
 * (topic or group removed, or `until` reached); STALE (evicted, role moved);
 * PERM and others when the bridge refuses to open the stream again after a
 * reconnect. _wait: TIMEOUT, INTR.
 * After a reconnect a group's member is handed what it held before once more,
 * as redelivered; a reader of its own goes on where it was. If the topic was
 * removed and made anew meanwhile, it goes on at the new one's beginning,
 * behind a GAP of reason LOST whose `from` and `to` are that position: how much
 * the former topic still had is not known. With `until`: CLOSED. */
SHMQ_API int shmq_remote_consumer_receive(
    struct shmq_remote_consumer *consumer, struct shmq_message *ret);
SHMQ_API int shmq_remote_consumer_receive_wait(
    struct shmq_remote_consumer *consumer, uint64_t deadline_ns,
    struct shmq_message *ret);

/* Ends the use of a record and acknowledges it (unless MANUAL_ACK). It is sent
 * with others: at the next call that finds nothing to receive, after 256 of
 * them, or by flush. STALE: the session or the stream ended meanwhile, so that
 * it comes, or has come, to somebody else. */
SHMQ_API int shmq_remote_consumer_release(
    struct shmq_remote_consumer *consumer, struct shmq_message *msg);

/* Acknowledges without ending the use (MANUAL_ACK). */
SHMQ_API int shmq_remote_consumer_ack(
    struct shmq_remote_consumer *consumer, const struct shmq_message *msg);

/* Sends acknowledgements and waits until the bridge has carried all of them
 * out. STALE: at least one since the last flush came too late. */
SHMQ_API int shmq_remote_consumer_flush_wait(
    struct shmq_remote_consumer *consumer, uint64_t deadline_ns);

/* Gives a record back for another try, as shmq_consumer_nack(), or not before
 * `delay_ns`, as shmq_consumer_nack_later(). Ends the use of it. */
SHMQ_API int shmq_remote_consumer_nack_wait(
    struct shmq_remote_consumer *consumer, struct shmq_message *msg,
    uint64_t delay_ns, uint64_t deadline_ns);

/* Acknowledges all that was received below `position`, and waits until the
 * group's floor has been recorded at `level`. *ret_floor may be NULL. */
SHMQ_API int shmq_remote_consumer_commit_wait(
    struct shmq_remote_consumer *consumer, uint64_t position, uint32_t level,
    uint64_t deadline_ns, uint64_t *ret_floor);

/* As shmq_consumer_seek(), _gap(), _created_group(), _drained(), _endpoint().
 */
SHMQ_API int shmq_remote_consumer_seek_wait(
    struct shmq_remote_consumer *consumer, const struct shmq_start *start,
    uint64_t deadline_ns);
SHMQ_API int shmq_remote_consumer_gap(
    const struct shmq_remote_consumer *consumer, struct shmq_gap *ret);
SHMQ_API int shmq_remote_consumer_created_group(
    const struct shmq_remote_consumer *consumer);
SHMQ_API int shmq_remote_consumer_drained_wait(
    struct shmq_remote_consumer *consumer, uint64_t deadline_ns);
SHMQ_API uint32_t shmq_remote_consumer_endpoint(
    const struct shmq_remote_consumer *consumer);

/* The `nth` attribute of `type`, as shmq_message_attr(). */
SHMQ_API int shmq_remote_message_attr(const struct shmq_message *msg,
    uint32_t type, uint32_t nth, struct shmq_attr *ret);

/* -- live feed ------------------------------------------------------------ */

/* Follows a topic through the bridge's feed, which costs the bridge the same
 * for one reader and for hundreds. What the feed loses (a slow reader, a lost
 * connection, a restarted bridge) is noticed and read from the topic, so that
 * the records come without holes and in order; what is gone from the topic
 * itself is a GAP, and so is (LOST, from == to) the end of a topic that was
 * made anew. start as for a consumer; default latest. Errors: NOENT, PERM,
 * NODAEMON (also: the bridge has no feed), NOMEM. */
SHMQ_API int shmq_remote_live_open_wait(struct shmq_remote *remote,
    const char *topic, const struct shmq_start *start, uint64_t deadline_ns,
    struct shmq_remote_live **ret);
SHMQ_API void shmq_remote_live_close(struct shmq_remote_live *live);

/* As for consumers. When reading what the feed lost fails (LIMIT, NOENT, ...),
 * the next call tries it again. Records of the feed have no producer, sequence
 * or attempt: 0. Their bytes are valid until the next call on this handle. */
SHMQ_API int shmq_remote_live_receive(
    struct shmq_remote_live *live, struct shmq_message *ret);
SHMQ_API int shmq_remote_live_receive_wait(struct shmq_remote_live *live,
    uint64_t deadline_ns, struct shmq_message *ret);
SHMQ_API int shmq_remote_live_gap(
    const struct shmq_remote_live *live, struct shmq_gap *ret);

/* How many times records were missing in the feed and have been read from the
 * topic, and how many records that were. */
SHMQ_API uint64_t shmq_remote_live_backfills(
    const struct shmq_remote_live *live, uint64_t *ret_records);

SHMQ_END_DECLS

#endif
