/* shmq/request.h - calls: a request goes to a topic, its reply comes back.
 *
 * Requests are ordinary records of an ordinary topic, read by a shared group of
 * servers, so everything that holds for records holds for them: a server that
 * is killed leaves its requests to another one. A request carries in its
 * attributes where the reply shall go (reply-to), which call it belongs to
 * (correlation id) and until when somebody wants it (expiry, if the call has a
 * deadline).
 *
 * Replies go to the caller's inbox, a small topic "@inbox.<id>" of its own.
 * It disappears with its owner: closing the caller removes it; the inbox of a
 * caller that was killed is removed by the server that next has a reply for
 * it, by any server that has nothing to do, or by whoever opens a caller. A
 * full inbox never holds a server up: the reply is dropped and counted.
 *
 * Delivery: a request is handled at least once. A server killed between reply
 * and acknowledgement leaves a request that is handled again; the second reply
 * is recognised by the correlation id and dropped by the caller.
 *
 * Threads, fork, crash: as for producers and consumers; a caller or a server is
 * used by one thread at a time. Blocking: functions whose names end in _wait
 * wait, until their deadline; the others do not block, unless they say so. */
#ifndef SHMQ_REQUEST_H
#define SHMQ_REQUEST_H

#include <shmq/consumer.h>
#include <shmq/message.h>
#include <shmq/producer.h>

struct shmq_caller; /* sends requests to one topic */
struct shmq_server; /* answers the requests of one topic */

/* Options of a caller; zero means default. Set struct_bytes. */
struct shmq_caller_options {
    uint32_t struct_bytes;
    uint32_t reserved;
    uint64_t max_reply_bytes; /* largest reply, payload and attributes;
                                 default 16 KiB. The inbox takes about four
                                 times this for each server that replies */
    uint32_t inbox_frames; /* replies that wait unread at most, a power of two;
                              default 64 */
    uint32_t max_servers; /* server processes that reply at the same time;
                             default 64 */
    uint64_t spin_ns; /* as in producers and consumers */
};

/* Options of a server; zero means default. Set struct_bytes. */
struct shmq_server_options {
    uint32_t struct_bytes;
    uint32_t prefetch_frames; /* requests held at most; default 1 */
    const char *group; /* default "servers" */
    struct shmq_group_attrs attrs; /* of the group; struct_bytes may be 0 */
    uint64_t spin_ns;
};

/* What a server has done since it was opened. */
struct shmq_server_stat {
    uint32_t struct_bytes; /* set by the caller */
    uint32_t reserved;
    uint64_t requests; /* handed out */
    uint64_t replies; /* that reached their inbox */
    uint64_t expired; /* requests that nobody waits for any more; not handed
                         out */
    uint64_t gone; /* replies whose caller had gone */
    uint64_t refused; /* replies that found their inbox full */
    uint64_t inboxes_removed; /* of callers that were killed */
};

SHMQ_BEGIN_DECLS

/* -- calling -------------------------------------------------------------- */

/* Opens a caller on `topic`: a producer and an inbox. `options` may be NULL;
 * the topic handle may be closed before the caller.
 * Errors: those of shmq_producer_open() and shmq_topic_create(). May wait for
 * the namespace's lock, see shmq/topic.h. Killed inside: an inbox without owner
 * may be left, which is removed as said above. */
SHMQ_API int shmq_caller_open(struct shmq_topic *topic,
    const struct shmq_caller_options *options, struct shmq_caller **ret);

/* Removes the inbox (which may wait for the namespace's lock), closes, frees.
 * NULL is legal. */
SHMQ_API void shmq_caller_close(struct shmq_caller *caller);

/* Publishes a request and waits for its reply until `deadline_ns`. Replies to
 * earlier calls of this caller that come late are dropped. The reply in *ret is
 * valid until shmq_caller_release(). `request` may have up to 256 attributes of
 * its own.
 * Errors: TIMEOUT (no reply, or the request found no room), INTR, those of
 * publishing and receiving. After an error other than TIMEOUT and INTR the
 * request may or may not have been handled. */
SHMQ_API int shmq_caller_call_wait(struct shmq_caller *caller,
    const struct shmq_record *request, uint64_t deadline_ns,
    struct shmq_message *ret);

/* The same in two steps, for several calls at a time: publishes a request
 * without waiting, and tells its correlation id. A deadline of SHMQ_FOREVER
 * sets no expiry. Errors: those of shmq_producer_publish(), FULL included. */
SHMQ_API int shmq_caller_send(struct shmq_caller *caller,
    const struct shmq_record *request, uint64_t deadline_ns,
    uint64_t *ret_correlation);

/* The next reply, to whichever request, and that request's correlation id.
 * EMPTY, or TIMEOUT; else as shmq_consumer_receive(). */
SHMQ_API int shmq_caller_receive(struct shmq_caller *caller,
    struct shmq_message *ret, uint64_t *ret_correlation);
SHMQ_API int shmq_caller_receive_wait(struct shmq_caller *caller,
    uint64_t deadline_ns, struct shmq_message *ret, uint64_t *ret_correlation);

/* Ends the use of a reply. Errors: INVAL, STALE, FORKED. */
SHMQ_API int shmq_caller_release(
    struct shmq_caller *caller, struct shmq_message *reply);

/* Readable when a reply may be there; the caller handle owns it. Rule and
 * errors as shmq_consumer_fd(). */
SHMQ_API int shmq_caller_fd(struct shmq_caller *caller, int *ret_fd);

/* Name of the inbox; lives as long as the caller. */
SHMQ_API const char *shmq_caller_inbox(const struct shmq_caller *caller);

/* -- answering ------------------------------------------------------------- */

/* Opens a server on `topic`, a member of the group of servers. `options` may be
 * NULL; the topic handle may be closed before the server. Errors: those of
 * shmq_consumer_open(). */
SHMQ_API int shmq_server_open(struct shmq_topic *topic,
    const struct shmq_server_options *options, struct shmq_server **ret);

/* Gives back what is held, closes, frees. NULL is legal. */
SHMQ_API void shmq_server_close(struct shmq_server *server);

/* Hands out the next request that somebody still waits for; those that have
 * expired are acknowledged and counted. Results as shmq_consumer_receive() and
 * shmq_consumer_receive_wait(). Every request handed out must be replied to,
 * or given back. */
SHMQ_API int shmq_server_receive(
    struct shmq_server *server, struct shmq_message *ret);
SHMQ_API int shmq_server_receive_wait(
    struct shmq_server *server, uint64_t deadline_ns, struct shmq_message *ret);

/* Sends `reply` (NULL: none is wanted) to the caller of `request`, then
 * acknowledges and releases the request. A request without reply-to is only
 * acknowledged. Does not block.
 * Returns 0, also when the caller has gone or does not read: then the request
 * is done, and shmq_server_stat() counts it. TOO_LARGE (larger than the caller
 * takes), INVAL (attributes), PERM (inbox of a user who is not trusted):
 * nothing was done, reply something else. STALE: sent, but the request had
 * moved to another server. */
SHMQ_API int shmq_server_reply(struct shmq_server *server,
    struct shmq_message *request, const struct shmq_record *reply);

/* Gives a request back for another try by any server. Errors as
 * shmq_consumer_nack(). */
SHMQ_API int shmq_server_nack(
    struct shmq_server *server, struct shmq_message *request);

/* The loop: calls `handler` for every request until `deadline_ns` (then 0), or
 * until it ends the loop. The handler fills *reply, whose memory must live
 * until its next call, and returns one of enum shmq_handled, or a negative
 * value, which gives the request back and is returned. Other negative results
 * are those of receiving and replying; INTR when a signal handler ran. */
SHMQ_API int shmq_server_serve_wait(struct shmq_server *server,
    int (*handler)(void *ctx, const struct shmq_message *request,
        struct shmq_record *reply),
    void *ctx, uint64_t deadline_ns);

/* Readable when a request may be there; the server owns it. Rule and errors as
 * shmq_consumer_fd(). */
SHMQ_API int shmq_server_fd(struct shmq_server *server, int *ret_fd);

/* Fills *ret, whose struct_bytes the caller has set. Errors: INVAL, FORKED. */
SHMQ_API int shmq_server_stat(
    const struct shmq_server *server, struct shmq_server_stat *ret);

/* -- clearing away -----------------------------------------------------------
 */

/* Removes inboxes whose owner is dead, from up to `max` that it looks at (0:
 * all), and tells how many in *ret_removed (may be NULL). Callers and servers
 * do this on their way. Looking at an inbox costs about 0.1 ms. May wait for
 * the namespace's lock. Thread-safe. Errors: INVAL, SYS, NOMEM. */
SHMQ_API int shmq_inbox_sweep(
    const char *ns, uint32_t max, uint32_t *ret_removed);

SHMQ_END_DECLS

#endif
