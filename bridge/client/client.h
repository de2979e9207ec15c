/* client.h - what the files of the client share: the connection, and what the
 * streams on it are.
 *
 *   net.c       sockets (libzmq)
 *   session.c   connecting, HELLO, lease, reconnecting, handing messages out
 *   request.c   one question, one answer
 *   topics.c    create, list, describe
 *   producer.c  publishing, repeating what was not answered
 *   consumer.c  opening, receiving
 *   stream.c    what the bridge says of streams
 *   credit.c    how much it may send
 *   acks.c      release, ack, nack, commit, seek
 *   live.c      the feed, and what it lost
 *   errors.c    results, statuses, sentences
 *
 * One connection is one thread's. shmqr_pump() is the only place that waits
 * and the only one that reads the DEALER. */
#ifndef SHMQR_CLIENT_H
#define SHMQR_CLIENT_H

#include <shmq/remote.h>

#include "../codec/payload.h"
#include "credit.h"
#include "net.h"

enum shmqr_state {
    SHMQR_DOWN = 0, /* no socket; connect at retry_ns */
    SHMQR_CONNECTING = 1, /* a socket, HELLO not answered */
    SHMQR_UP = 2
};

/* The one question that is open. */
struct shmqr_request {
    uint8_t frame[4096];
    size_t len;
    uint32_t corr_id; /* 0: none is open */
    uint32_t stream_id; /* 0: not about one */
    bool sent; /* on this connection */
    bool answered;
    bool once; /* its stream is of this session: not repeated in the next */
    int rc; /* when answered */
    /* Called for each part of the answer; a negative result is the request's.
     * With NULL: what came so far is void, the answer begins anew. */
    int (*part)(void *ctx, const struct shmqw_message *msg);
    void *ctx;
};

struct shmq_remote {
    char *endpoint;
    char *name;
    char server_key[41], public_key[41], secret_key[41];
    struct shmqr_keys keys;
    uint32_t lease_ms; /* wished */
    struct shmqr_net *net;
    struct shmqr_socket *dealer;
    enum shmqr_state state;
    struct shmqw_welcome welcome; /* of the last session */
    char feed[256];
    char ns[SHMQ_NAMESPACE_MAX + 1];
    uint64_t session_cnt;
    uint64_t retry_ns; /* when DOWN */
    uint64_t backoff_ns;
    uint64_t opened_ns; /* the socket */
    uint64_t sent_ns; /* last message of ours */
    uint64_t ping_ns; /* since when one is not answered, 0: none */
    bool hello_sent;
    int refused; /* why the last attempt was refused for good, or 0 */
    uint32_t refused_status;
    uint32_t corr_id; /* last one given out */
    uint64_t random;
    struct shmqr_request request;
    struct shmq_remote_producer *producers;
    struct shmq_remote_consumer *consumers;
    struct shmq_remote_live *lives;
    uint8_t *scratch; /* SHMQW_CONTROL_MAX bytes */
};

/* -- session.c ------------------------------------------------------------ */

uint64_t shmqr_now(void);
uint64_t shmqr_random(struct shmq_remote *r);
/* a + b, or SHMQ_FOREVER. */
uint64_t shmqr_later(uint64_t a, uint64_t b);

/* Does what is due and reads what has come; waits until something has
 * happened, at most until `deadline_ns` (0: not at all), also for `other`. 0 or
 * SHMQ_ERR_INTR. */
int shmqr_pump(
    struct shmq_remote *r, uint64_t deadline_ns, struct shmqr_socket *other);

/* Sends a frame in the scratch buffer (or any other) in this session. False:
 * the connection has just been lost. */
bool shmqr_send_frame(struct shmq_remote *r, const void *frame, size_t len,
    const void *payload, size_t payload_len);

/* The connection is of no use: close it, try again later. */
void shmqr_lose(struct shmq_remote *r);

/* A number for a question; never 0. */
uint32_t shmqr_next_corr(struct shmq_remote *r);

/* -- request.c ------------------------------------------------------------ */

/* Asks what `w` holds (begun with corr_id 0 in a buffer of the caller) and
 * waits. Its reply's parts go to `part` (may be NULL). The result of the
 * bridge, or NODAEMON, INTR, TIMEOUT (a session is there, no answer came). */
int shmqr_ask(struct shmq_remote *r, struct shmqw_writer *w, uint32_t stream_id,
    uint64_t deadline_ns,
    int (*part)(void *ctx, const struct shmqw_message *msg), void *ctx);

/* Called by the session. */
void shmqr_request_flush(struct shmq_remote *r);
void shmqr_request_lost(struct shmq_remote *r);
bool shmqr_request_take(struct shmq_remote *r, const struct shmqw_message *msg);
/* The stream is over: a question about it will not be answered. */
void shmqr_request_stream_over(
    struct shmq_remote *r, uint32_t stream_id, int rc);

/* -- producer.c, consumer.c, live.c: called by the session ----------------- */

void shmqr_producers_flush(struct shmq_remote *r);
void shmqr_producers_lost(struct shmq_remote *r);
bool shmqr_producers_take(
    struct shmq_remote *r, const struct shmqw_message *msg);
/* When a producer must be looked at again, because the bridge said "later". */
uint64_t shmqr_producers_due(const struct shmq_remote *r);

void shmqr_consumers_flush(struct shmq_remote *r);
void shmqr_consumers_lost(struct shmq_remote *r);
/* When a stream must be looked at again, because the bridge said "later". */
uint64_t shmqr_consumers_due(const struct shmq_remote *r);
/* Takes the payload part's ownership when it keeps it (parts->handle is then
 * NULL). */
bool shmqr_consumers_take(struct shmq_remote *r,
    const struct shmqw_message *msg, struct shmqr_parts *parts);

/* -- consumer.c ----------------------------------------------------------- */

enum shmqr_item_kind { SHMQR_BATCH, SHMQR_GAP, SHMQR_END };

/* A payload with records that may still be in use, a gap, or the end. */
struct shmqr_item {
    struct shmqr_item *next;
    enum shmqr_item_kind kind;
    uint32_t uses; /* records handed out and not released, + 1 while queued */
    struct shmqr_parts parts;
    struct shmqw_cursor cursor;
    uint32_t record_cnt;
    size_t payload_bytes;
    struct shmq_gap gap;
};

enum { SHMQR_ACK_RANGES = 256 };

enum shmqr_stream {
    SHMQR_DETACHED = 0, /* ATTACH has to be sent */
    SHMQR_ATTACHING = 1,
    SHMQR_ATTACHED = 2,
    SHMQR_ENDED = 3 /* over; `ended` is why */
};

struct shmq_remote_consumer {
    struct shmq_remote_consumer *next;
    struct shmq_remote *remote;
    char topic[SHMQW_TOPIC_MAX + 1];
    char group[SHMQW_GROUP_MAX + 1]; /* "": none */
    char dead_letter[SHMQW_TOPIC_MAX + 1];
    struct shmqw_attach attach; /* as it is asked for */
    bool manual_ack;
    enum shmqr_stream stream;
    int ended;
    uint32_t ended_status;
    char ended_text[256];
    uint32_t corr_id; /* of the ATTACH under way */
    uint32_t stream_id;
    uint64_t generation;
    uint64_t delivery; /* expected next */
    uint32_t attach_no; /* counts streams and generations: what was received
                           under an older one is stale */
    struct shmqw_attached attached;
    bool created; /* the group, by the first ATTACH */
    uint64_t next_pos; /* without a group: where to go on */
    uint32_t epoch; /* of the topic, as far as known */
    bool has_epoch;
    bool anew; /* the topic is another one; what `until` was for is gone */
    uint64_t again_ns; /* nothing is sent before: the bridge said "later" */
    struct shmqr_item *head, **tail;
    struct shmqr_item *in_use; /* items off the queue, with uses */
    struct shmqr_credit bytes, records;
    struct shmqw_range acks[SHMQR_ACK_RANGES];
    uint32_t ack_cnt;
    uint32_t acks_open; /* ACKs not answered */
    uint32_t ack_corrs_from, ack_corrs_to;
    uint64_t stale_cnt; /* since the last flush */
    struct shmq_gap gap;
    bool has_gap;
};

/* Opens without waiting for the bridge's answer. */
int shmqr_consumer_begin(struct shmq_remote *r, const char *topic,
    const struct shmq_remote_consumer_options *options,
    struct shmq_remote_consumer **ret);
void shmqr_consumer_free(struct shmq_remote_consumer *c);
/* As shmq_remote_consumer_close(), without waiting. */
void shmqr_consumer_leave(struct shmq_remote_consumer *c);
void shmqr_consumer_detach(
    struct shmq_remote *r, uint32_t stream_id, uint64_t generation);
void shmqr_consumer_put(
    struct shmq_remote_consumer *c, struct shmqr_item *item);
void shmqr_consumer_renewed(
    struct shmq_remote_consumer *c, uint64_t generation);
void shmqr_consumer_purge(struct shmq_remote_consumer *c);
void shmqr_acks_send(struct shmq_remote_consumer *c);
int shmqr_consumer_next(
    struct shmq_remote_consumer *c, struct shmq_message *ret);
void shmqr_live_free(struct shmq_remote_live *l);
void shmqr_producer_free(struct shmq_remote_producer *p);

/* A range of record positions without gaps would be [from, to): puts one into
 * *ret_start as the wire says it. INVAL. */
int shmqr_start_of(const struct shmq_start *start, struct shmqw_attach *attach);

/* -- topics.c ---------------------------------------------------------------
 */

/* A topic's end, and which one it is of those that have had its name. */
int shmqr_topic_end(struct shmq_remote *r, const char *topic,
    uint64_t deadline_ns, uint64_t *ret_published, uint32_t *ret_epoch);

/* -- errors.c ------------------------------------------------------------- */

/* Sets the thread's sentence and returns rc. */
int shmqr_fail(int rc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The result that a status of the bridge stands for; the sentence is the
 * message's TEXT, or made from `thing`. */
int shmqr_fail_status(
    uint32_t status, const char *thing, const struct shmqw_message *msg);
int shmqr_rc_of(uint32_t status);
void shmqr_fail_text(uint32_t status, const char *text);

#endif
