/* shmq/consumer.h - receiving.
 *
 * Pull:  receive -> use -> release (acknowledges) or nack (gives back).
 * Poll:  a handler is called for each record; its result acknowledges.
 *
 * Delivery to a named group is at least once: a record counts as done when it
 * was released or acknowledged, and goes to another reader when its reader is
 * proven dead, lets its lease end, gives it back or is evicted; such records
 * carry SHMQ_MESSAGE_REDELIVERED. An exclusive group sees each producer's
 * records in order. A shared group is handed them in order; its members finish
 * in any order.
 *
 * Records arrive as pointers into the ring (zero-copy) in groups that gate and
 * have no lease, else as private copies that were validated after copying.
 *
 * A consumer killed anywhere holds up nobody: its claims return as soon as the
 * kernel proves its death. A stopped one keeps its claims until its lease
 * ends, when the group has one.
 *
 * Threads: a consumer is used by one thread at a time, its messages included;
 * consumers are independent of each other. Blocking: functions whose names end
 * in _wait wait, until their deadline (shmq/base.h); the others do not block,
 * unless they say so. Killed inside any of them: what the consumer held goes to
 * another reader; a record whose acknowledgement was under way may be done, or
 * come again. */
#ifndef SHMQ_CONSUMER_H
#define SHMQ_CONSUMER_H

#include <shmq/group.h>
#include <shmq/message.h>

struct shmq_consumer; /* one thread, one endpoint */

enum shmq_consumer_flags {
    SHMQ_CONSUMER_NO_CREATE = 1u << 0, /* NOENT when the group is missing */
    SHMQ_CONSUMER_COPY = 1u << 1, /* always deliver private copies */
    SHMQ_CONSUMER_MANUAL_ACK = 1u << 2, /* release only ends the view; records
                                          count as done by shmq_consumer_ack,
                                          before or after their release, while
                                          their frame is among the last
                                          prefetch_frames taken */
    /* Durable topics: which records are handed out. Default: named groups of
     * disk topics get durable ones, all others what is published. */
    SHMQ_CONSUMER_READ_PUBLISHED = 1u << 3,
    SHMQ_CONSUMER_READ_DURABLE = 1u << 4 /* the topic's level: os topics get
                                            what is written */
};

/* Options of a consumer; zero means default. Set struct_bytes. */
struct shmq_consumer_options {
    uint32_t struct_bytes;
    uint32_t flags; /* enum shmq_consumer_flags */
    const char *group; /* NULL: ephemeral reader */
    struct shmq_group_attrs attrs; /* of the group, when it is made or asked
                                      for; attrs.struct_bytes may be 0 */
    struct shmq_start start; /* applies when the group is made; ephemeral:
                                always */
    uint32_t prefetch_frames; /* frames held at most; default 1 for a shared
                                 group, else 64; at most 1024 */
    uint32_t reserved;
    uint64_t spin_ns; /* how long a _wait call spins before it sleeps; default
                         20,000; SHMQ_FOREVER never sleeps */
};

enum shmq_gap_reason {
    SHMQ_GAP_DROPPED = 1, /* overwritten before this reader got there */
    SHMQ_GAP_RETENTION = 2, /* removed from the log */
    SHMQ_GAP_CORRUPT = 3, /* damaged */
    SHMQ_GAP_TRUNCATED = 4, /* this group had been there; it was lost with the
                               host's memory before it was durable */
    SHMQ_GAP_LOST = 5 /* may have been published, lost with the host's memory
                         before it was durable */
};

/* What a reader missed: positions [from, to). */
struct shmq_gap {
    uint64_t from;
    uint64_t to;
    uint64_t frames; /* mpmc: exact; spsc: 0 */
    uint64_t messages; /* exact, or UINT64_MAX when not known */
    uint32_t reason; /* enum shmq_gap_reason */
    uint32_t reserved;
};

/* Results of a poll handler. Negative values stop polling, are returned by
 * the poll call, and give the record back. */
enum shmq_handled {
    SHMQ_HANDLED_ACK = 0, /* done */
    SHMQ_HANDLED_STOP = 1, /* done, and stop polling */
    SHMQ_HANDLED_NACK = 2 /* give it back: another try later */
};

SHMQ_BEGIN_DECLS

/* Opens a consumer on `topic` into *ret. `options` NULL: an ephemeral reader
 * from latest. The group is made when it is missing (its floor is then
 * options->start).
 * Errors: BUSY (exclusive group with a living reader, named with its pid),
 * EXISTS (the group has other attributes than asked for, the text names one),
 * NOENT (with NO_CREATE), LIMIT (max_members, max_groups), INVAL (also: shared
 * group on spsc), NOSPACE, PERM, CLOSED, CORRUPT, FORKED, NOMEM, SYS.
 * Reaps endpoints of dead processes on the way; waits for nobody, see
 * shmq_producer_open(). */
SHMQ_API int shmq_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret);

/* Gives back what is held, leaves the group, frees the handle. What had been
 * handed out comes again marked as redelivered, but this counts as no failed
 * attempt (except from a SHMQ_CONSUMER_COPY member of a group that hands out
 * views). NULL is legal. Does not block, except that a consumer with dead
 * letters of a durable topic on their way to the disk waits for them, up to
 * 0.2 s. */
SHMQ_API void shmq_consumer_close(struct shmq_consumer *consumer);

/* Hands out the next record into *ret; it stays held until released,
 * acknowledged negatively, or the handle is closed.
 * Returns 0; EMPTY; GAP (see shmq_consumer_gap(); the next call goes on behind
 * it); LIMIT (prefetch_frames are held: release first); STALE (evicted, or
 * lease lost and the role moved); CLOSED (topic or group removed); CORRUPT;
 * FORKED. Where records of a durable topic come from its log, also NODAEMON
 * (where it lies is not known), NOENT, PERM, LAYOUT, NOMEM, SYS: it cannot be
 * read; nothing is passed over, the next call tries again. Does not block and
 * makes no system call, except that a group member that finds nothing now and
 * then looks whether a peer has died, that the log is read, and that one with a
 * record for a dead-letter topic that is missing makes it: of a durable topic
 * it asks shmqd, waiting at most 0.25 s, at most once a second. */
SHMQ_API int shmq_consumer_receive(
    struct shmq_consumer *consumer, struct shmq_message *ret);

/* As receive, but waits until `deadline_ns`: spins for spin_ns, then sleeps.
 * TIMEOUT; INTR when a signal handler ran. Every sleep is at most 40 ms, so a
 * wake-up that got lost with its sender delays a record by no more. */
SHMQ_API int shmq_consumer_receive_wait(struct shmq_consumer *consumer,
    uint64_t deadline_ns, struct shmq_message *ret);

/* Ends the use of a received record and acknowledges it (unless MANUAL_ACK).
 * Records may be released in any order. STALE: it had already moved to another
 * member (it may be delivered twice); the view is over all the same. */
SHMQ_API int shmq_consumer_release(
    struct shmq_consumer *consumer, struct shmq_message *msg);

/* Hands out what follows `msg`, the record received last, in its frame: up to
 * `max` records, as far as `room_bytes` bytes at `memory` (8-aligned) take
 * them. They are copied there as they lie in a frame (docs/shm-layout.md),
 * padding zeroed, and checked in the copy; *ret_bytes is their length. Each is
 * held as if it had been received; `memory` stays the caller's.
 * Returns their number. 0 tells nothing: there may be none, the next one may
 * not fit, or may have to be received by itself (redelivered records, topics
 * with a ttl); receive goes on in any case. INVAL (not the record received
 * last), FORKED. Does not block. */
SHMQ_API int shmq_consumer_receive_rest(struct shmq_consumer *consumer,
    const struct shmq_message *msg, void *memory, uint64_t room_bytes,
    uint32_t max, uint64_t *ret_bytes);

/* What stands for the `nth` record behind `msg` (0: itself), as handed out by
 * shmq_consumer_receive_rest(): to release it, acknowledge it or give it back.
 * Its data and attributes are not told. */
SHMQ_API void shmq_consumer_nth(
    const struct shmq_message *msg, uint32_t nth, struct shmq_message *ret);

/* Releases `msg` and the `cnt` - 1 records behind it in its frame, each as
 * shmq_consumer_release() does, at the cost of one. Returns how many of them
 * were released in time; the others had been released before, or had moved to
 * another member. Errors: INVAL (not received by this consumer), STALE (the
 * reader was evicted), FORKED. */
SHMQ_API int shmq_consumer_release_many(struct shmq_consumer *consumer,
    const struct shmq_message *msg, uint32_t cnt);

/* Acknowledges a record; its memory stays valid until it is released. While a
 * zero-copy view of the record's frame is held the group may be told only when
 * the view ends, so a reader killed in between leaves it to be delivered again.
 * STALE as above, or when it is no longer among those held. INVAL when this
 * consumer never received it. */
SHMQ_API int shmq_consumer_ack(
    struct shmq_consumer *consumer, const struct shmq_message *msg);

/* Gives a record back for another try by any member (shared groups), together
 * with the later records of its frame that this consumer holds, whose views
 * end and whose releases then return STALE; it goes when the earlier records of
 * the frame, if any are held, have been released. In an exclusive group the
 * reader itself gets it, and all after it, again. Ephemeral readers: INVAL. */
SHMQ_API int shmq_consumer_nack(
    struct shmq_consumer *consumer, struct shmq_message *msg);

/* As nack, but nobody gets the record before `delay_ns` (at most 24 h) have
 * passed; it goes back at this consumer's first receive or poll after that, a
 * sleeping _wait included. Until then it stays claimed by this consumer, beside
 * the prefetch_frames it may hold: closing it, its death, the end of its lease
 * or eviction give the record back at once. Shared groups only (INVAL). */
SHMQ_API int shmq_consumer_nack_later(struct shmq_consumer *consumer,
    struct shmq_message *msg, uint64_t delay_ns);

/* Receives and handles up to `max` records (0: all that are there). Returns
 * the number handled (0 when there was nothing); a negative result of the
 * handler; or a negative result of receiving, GAP included, if nothing was
 * handled before it. */
SHMQ_API int shmq_consumer_poll(struct shmq_consumer *consumer,
    int (*handler)(void *ctx, const struct shmq_message *msg), void *ctx,
    uint32_t max);

/* As poll, but waits for the first record until `deadline_ns`: TIMEOUT. */
SHMQ_API int shmq_consumer_poll_wait(struct shmq_consumer *consumer,
    int (*handler)(void *ctx, const struct shmq_message *msg), void *ctx,
    uint32_t max, uint64_t deadline_ns);

/* The last gap that receive or poll reported. NOENT when there was none. */
SHMQ_API int shmq_consumer_gap(
    const struct shmq_consumer *consumer, struct shmq_gap *ret);

/* Moves the reader: ephemeral and exclusive ones (for shared groups see
 * shmq_group_reset(); INVAL). Held records become void. A start no longer in
 * the ring becomes the oldest intact record. */
SHMQ_API int shmq_consumer_seek(
    struct shmq_consumer *consumer, const struct shmq_start *start);

/* Renews the lease without doing anything else. Legal without a lease. Errors:
 * CORRUPT, FORKED, INVAL. */
SHMQ_API int shmq_consumer_extend(struct shmq_consumer *consumer);

/* Position of the next record this reader will be handed (exclusive and
 * ephemeral), or the group's floor (shared). Errors: CORRUPT, FORKED, INVAL. */
SHMQ_API int shmq_consumer_position(
    struct shmq_consumer *consumer, uint64_t *ret_position);

/* Kind of the group this consumer is in, and its floor's start: whether the
 * group was made by this open call (1) or existed (0). */
SHMQ_API int shmq_consumer_created_group(const struct shmq_consumer *consumer);

/* This consumer's endpoint id as `stat` shows it. */
SHMQ_API uint32_t shmq_consumer_endpoint(const struct shmq_consumer *consumer);

/* True (1) when everything published before the call has been acknowledged by
 * this consumer's group (ephemeral: received); what other members hold counts
 * as not acknowledged. 0 when not; negative on error. */
SHMQ_API int shmq_consumer_drained(struct shmq_consumer *consumer);

/* A file descriptor for poll, epoll, libuv or asyncio, readable when there may
 * be something to receive (or at the latest every 40 ms). The consumer owns
 * it: do not read or close it. Rule: call receive until EMPTY, then wait for
 * the descriptor, then again. A publish costs one system call while somebody
 * waits on it, none otherwise. Errors: SYS, LIMIT, FORKED. */
SHMQ_API int shmq_consumer_fd(struct shmq_consumer *consumer, int *ret_fd);

SHMQ_END_DECLS

#endif
