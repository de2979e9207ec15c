/* shmq/producer.h - publishing.
 *
 * A producer writes records into memory that it alone owns and then makes them
 * visible by one atomic operation on one 64-bit word (mpmc: a compare-and-swap
 * of a ring slot; spsc: a store of the record's commit word). Killed before
 * it, the records never existed; after it, they are published. A producer
 * stopped anywhere, for ever, delays nobody.
 *
 * A producer that is killed leaves its arena (mpmc) or its role (spsc) behind;
 * the next producer that opens the topic takes it over on the kernel's proof
 * of death.
 *
 * Threads: a producer is used by one thread at a time, its loans included;
 * producers are independent of each other. Blocking: functions whose names end
 * in _wait wait for room, until their deadline (shmq/base.h); the others do not
 * block. */
#ifndef SHMQ_PRODUCER_H
#define SHMQ_PRODUCER_H

#include <shmq/message.h>
#include <shmq/topic.h>

struct shmq_producer; /* one thread, one endpoint, one arena */

/* Options of a producer; zero means default. Set struct_bytes. */
struct shmq_producer_options {
    uint32_t struct_bytes;
    uint32_t flags; /* 0 */
    uint64_t spin_ns; /* how long a _wait call spins before it sleeps; default
                         20,000; SHMQ_FOREVER never sleeps */
};

/* A loan: memory of the ring itself to write a payload into. */
struct shmq_loan {
    void *data; /* `size` writable bytes, 8-aligned */
    uint64_t size; /* as asked for */
    uint64_t internal[2];
};

SHMQ_BEGIN_DECLS

/* Opens a producer on `topic` into *ret. `options` may be NULL. The topic
 * handle may be closed before the producer.
 * Errors: LIMIT (max_producers living ones already), BUSY (spsc: the living
 * producer's pid is named), NOSPACE (/dev/shm cannot hold the arena), PERM
 * (data file not writable), CLOSED, CORRUPT, FORKED, NOMEM, SYS.
 * Reaps endpoints of dead processes on the way. Waits for nobody; when all
 * places are taken by processes that died while opening it pauses, for 0.2 s at
 * most, until their death is proven. */
SHMQ_API int shmq_producer_open(struct shmq_topic *topic,
    const struct shmq_producer_options *options, struct shmq_producer **ret);

/* Closes; loans not committed are void. NULL is legal. Does not block. What
 * was published stays. */
SHMQ_API void shmq_producer_close(struct shmq_producer *producer);

/* Copies one record of `size` bytes into the ring and publishes it.
 * *ret_position (may be NULL) gets its position.
 * Returns 0, or FULL: under `block` the ring or arena has no room until a
 * gating group moves on (retry, or use the _wait form); under `drop-new` the
 * record was dropped and counted. Other errors: TOO_LARGE (over
 * max_message_bytes), CLOSED, CORRUPT, FORKED, LIMIT (2^52 slots, or 2^55 bytes
 * of an spsc ring, are used up), INVAL, NOMEM. Wait-free on spsc, lock-free on
 * mpmc; never blocks, makes no system call unless a consumer sleeps; when it
 * returns FULL it may have looked (fcntl(2), /proc) whether those that hold the
 * ring up are alive, at most every 0.25 ms. */
SHMQ_API int shmq_producer_publish(struct shmq_producer *producer,
    const void *data, uint64_t size, uint64_t *ret_position);

/* As shmq_producer_publish(), but waits for room until `deadline_ns`. TIMEOUT
 * then; shmq_error_text() names the group, pid and state that hold the ring
 * up. INTR when a signal handler ran. Under drop-new and drop-old it does not
 * wait. */
SHMQ_API int shmq_producer_publish_wait(struct shmq_producer *producer,
    const void *data, uint64_t size, uint64_t deadline_ns,
    uint64_t *ret_position);

/* Publishes 1 to SHMQ_BATCH_MAX records together: one publish, all visible at
 * one instant, or none. ret_positions (may be NULL) gets the position of each.
 * TOO_LARGE when the batch does not fit half the arena as one frame. Errors and
 * blocking as shmq_producer_publish(). */
SHMQ_API int shmq_producer_publish_batch(struct shmq_producer *producer,
    const struct shmq_record *records, uint32_t record_cnt,
    uint64_t *ret_positions);
SHMQ_API int shmq_producer_publish_batch_wait(struct shmq_producer *producer,
    const struct shmq_record *records, uint32_t record_cnt,
    uint64_t deadline_ns, uint64_t *ret_positions);

/* Lends `size` bytes of the ring to write a payload into, with the given
 * attributes (copied now). Until committed it is private memory: killing the
 * process makes it vanish. mpmc: up to 64 loans at a time, committed in any
 * order; spsc: one at a time, and nothing else may be published meanwhile
 * (BUSY). FULL, TOO_LARGE and the others as shmq_producer_publish(); LIMIT for
 * too many loans. */
SHMQ_API int shmq_producer_loan(struct shmq_producer *producer, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, struct shmq_loan *ret);
SHMQ_API int shmq_producer_loan_wait(struct shmq_producer *producer,
    uint64_t size, const struct shmq_attr *attrs, uint32_t attr_cnt,
    uint64_t deadline_ns, struct shmq_loan *ret);

/* Publishes a loan with its first `used` bytes (used <= loan->size) as the
 * payload, without copying it. On FULL (no free slot) the loan stays valid:
 * commit again, or abort. On success and on abort the loan is void. Errors as
 * shmq_producer_publish(), TIMEOUT and INTR as shmq_producer_publish_wait();
 * INVAL for a loan that is void or too small. Killed before the publish: the
 * record never existed. */
SHMQ_API int shmq_producer_commit(struct shmq_producer *producer,
    struct shmq_loan *loan, uint64_t used, uint64_t *ret_position);
SHMQ_API int shmq_producer_commit_wait(struct shmq_producer *producer,
    struct shmq_loan *loan, uint64_t used, uint64_t deadline_ns,
    uint64_t *ret_position);
SHMQ_API int shmq_producer_abort(
    struct shmq_producer *producer, struct shmq_loan *loan);

/* This producer's identity (62-bit random number, never used again) and the
 * sequence number that its next record will carry. */
SHMQ_API uint64_t shmq_producer_identity(const struct shmq_producer *producer);
SHMQ_API uint64_t shmq_producer_sequence(const struct shmq_producer *producer);

SHMQ_END_DECLS

#endif
