/* shmq/waitset.h - one wait for many consumers, and topics that come and go.
 *
 * A wait set holds consumers of any topics, groups and kinds and hands out the
 * next record of whichever has one, in turn. It owns none of them: a consumer
 * is used with its own functions as ever (release, ack, nack), is removed from
 * the set before it is closed, and is in one set at a time.
 *
 * A topic watch tells which topics of a namespace that match a pattern are
 * there, come, and go.
 *
 * One thread at a time uses a set, with all its consumers, or a watch. Only
 * functions whose names end in _wait wait. Sets and watches are private to
 * their process: killed anywhere, nothing is left of them, and their consumers
 * are dead ones as any other. */
#ifndef SHMQ_WAITSET_H
#define SHMQ_WAITSET_H

#include <shmq/consumer.h>

struct shmq_waitset;
struct shmq_watch;

enum shmq_waitset_flags {
    /* Sleep on the consumers' doorbells from the first, as is done anyway with
     * more than 128 consumers, or before Linux 5.16. */
    SHMQ_WAITSET_DESCRIPTORS = 1u << 0
};

/* Options; zero means default. Set struct_bytes. */
struct shmq_waitset_options {
    uint32_t struct_bytes;
    uint32_t flags; /* enum shmq_waitset_flags */
    uint64_t spin_ns; /* how long a _wait call spins before it sleeps; default
                         20,000; SHMQ_FOREVER never sleeps */
};

enum shmq_watch_kind {
    SHMQ_WATCH_THERE = 1, /* exists, or has just been made */
    SHMQ_WATCH_GONE = 2 /* was removed */
};

struct shmq_watch_event {
    uint32_t kind; /* enum shmq_watch_kind */
    char topic[SHMQ_TOPIC_MAX + 12];
};

SHMQ_BEGIN_DECLS

/* -- wait sets ---------------------------------------------------------------
 */

/* Opens an empty set; `options` may be NULL. Errors: INVAL, NOMEM. */
SHMQ_API int shmq_waitset_open(
    const struct shmq_waitset_options *options, struct shmq_waitset **ret);

/* Closes the set, not its consumers, which may have been closed before. NULL
 * is legal. */
SHMQ_API void shmq_waitset_close(struct shmq_waitset *set);

/* Puts a consumer in. EXISTS when it is in this set; INVAL, NOMEM, FORKED. */
SHMQ_API int shmq_waitset_add(
    struct shmq_waitset *set, struct shmq_consumer *consumer);

/* Takes a consumer out. NOENT when it is not in. */
SHMQ_API int shmq_waitset_remove(
    struct shmq_waitset *set, struct shmq_consumer *consumer);

/* How many consumers are in. */
SHMQ_API uint32_t shmq_waitset_count(const struct shmq_waitset *set);

/* Hands out the next record of any consumer into *ret, and tells in *ret_from
 * which consumer it is held by.
 * Returns 0; EMPTY when none has one; LIMIT when none has one and a consumer
 * holds as many frames as it may; any other result of
 * shmq_consumer_receive() as soon as one of them gives it, with *ret_from set:
 * GAP, and CLOSED or STALE of a consumer that should then be taken out. Does
 * not block. */
SHMQ_API int shmq_waitset_receive(struct shmq_waitset *set,
    struct shmq_message *ret, struct shmq_consumer **ret_from);

/* As above, but waits until `deadline_ns`: spins, then sleeps on all of them
 * at once. TIMEOUT, not LIMIT; INTR when a signal handler ran. No sleep is
 * longer than 40 ms.
 * A publish to a topic on which only a wait set sleeps costs its publisher the
 * same as with one sleeping consumer. A set of more than four consumers that
 * has been idle for 100 ms goes over to doorbells (one descriptor for each
 * consumer, none before): then an idle set of many costs little more than one
 * idle consumer, and the publish that ends the idling four short system calls
 * more. Without descriptors left it stays as it was. */
SHMQ_API int shmq_waitset_receive_wait(struct shmq_waitset *set,
    uint64_t deadline_ns, struct shmq_message *ret,
    struct shmq_consumer **ret_from);

/* One descriptor for all consumers, now and later put in: readable when there
 * may be something to receive. The set owns it. Rule: call
 * shmq_waitset_receive() until EMPTY, then wait for the descriptor, then
 * again. Errors: SYS, LIMIT, FORKED. */
SHMQ_API int shmq_waitset_fd(struct shmq_waitset *set, int *ret_fd);

/* -- topics that come and go -------------------------------------------------
 */

/* Watches the topics of a namespace whose names match `pattern`, in which `*`
 * stands for any run of characters; names that begin with @ match only
 * patterns that do. Those that are there are told first, in the order of their
 * names. Errors: INVAL, NOMEM, SYS (no inotify descriptor left). */
SHMQ_API int shmq_watch_open(
    const char *ns, const char *pattern, struct shmq_watch **ret);
SHMQ_API void shmq_watch_close(struct shmq_watch *watch);

/* The next event into *ret, or EMPTY. A topic that was made and removed is told
 * both ways, unless the kernel's queue overflowed meanwhile. Does not block. */
SHMQ_API int shmq_watch_next(
    struct shmq_watch *watch, struct shmq_watch_event *ret);

/* Readable when there may be an event. The watch owns it. Errors: INVAL. */
SHMQ_API int shmq_watch_fd(struct shmq_watch *watch, int *ret_fd);

/* 1 when `name` matches `pattern` as above, else 0. Thread-safe. */
SHMQ_API int shmq_pattern_matches(const char *pattern, const char *name);

SHMQ_END_DECLS

#endif
