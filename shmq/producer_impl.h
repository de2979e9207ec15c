/* producer_impl.h - the inside of a producer handle. */
#ifndef SHMQI_PRODUCER_IMPL_H
#define SHMQI_PRODUCER_IMPL_H

#include <shmq/producer.h>

#include "arena.h"
#include "endpoint.h"
#include "relieve.h"
#include "spsc.h"
#include "wait.h"

#define SHMQI_LOANS_MAX 64u

struct shmq_producer {
    struct shmqi_segment *segment;
    const struct shmqi_ring *ring;
    uint32_t generation;
    uint32_t idx;
    uint64_t identity;
    uint64_t sequence; /* of the next record */
    uint64_t max_message;
    bool spsc;
    uint64_t spin_ns;
    uint64_t relieved_ns;
    uint64_t messages, bytes; /* of the arena words */
    struct shmqi_arena_shm *words;
    uint32_t loans;
    uint64_t loaned_bytes;
    /* mpmc */
    struct shmqi_gate gate;
    struct shmqi_arena arena;
    /* spsc */
    struct shmqi_writer writer;
    uint64_t loan_len;
};

/* The time that a record published now gets. */
static inline uint64_t shmqi_stamp(const struct shmq_producer *p)
{
    if (__builtin_expect((p->ring->flags & SHMQI_STAMPS_MASK) == 0, 1))
        return shmqi_now_coarse();
    return shmqi_stamps(p->ring->flags) == SHMQ_TIMESTAMPS_OFF
        ? 0
        : shmqi_now_realtime();
}

/* One publish in preparation. */
struct shmqi_publish {
    const struct shmq_record *records;
    uint32_t cnt;
    uint64_t *positions; /* may be NULL */
};

/* Both rings offer the same verbs; none of them waits. */
int shmqi_mpmc_open(struct shmq_producer *p);
void shmqi_mpmc_close(struct shmq_producer *p);
int shmqi_mpmc_put(struct shmq_producer *p, const struct shmqi_publish *pub);
int shmqi_mpmc_put_one(struct shmq_producer *p, const void *data, uint64_t size,
    uint64_t *ret_position);
int shmqi_mpmc_loan(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, struct shmq_loan *ret);
int shmqi_mpmc_commit(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, uint64_t *ret_position);
int shmqi_mpmc_abort(struct shmq_producer *p, struct shmq_loan *loan);

int shmqi_spsc_open(struct shmq_producer *p);
void shmqi_spsc_close(struct shmq_producer *p);
/* BUSY, naming the producer that there is. */
int shmqi_spsc_busy(struct shmqi_segment *s);
int shmqi_spsc_put(struct shmq_producer *p, const struct shmqi_publish *pub);
int shmqi_spsc_put_one(struct shmq_producer *p, const void *data, uint64_t size,
    uint64_t *ret_position);
int shmqi_spsc_loan(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, struct shmq_loan *ret);
int shmqi_spsc_take_loan(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, uint64_t *ret_position);
int shmqi_spsc_abort(struct shmq_producer *p, struct shmq_loan *loan);

/* Statistics of what has just been published. */
static inline void shmqi_count(
    struct shmq_producer *p, uint64_t messages, uint64_t bytes)
{
    p->messages += messages;
    p->bytes += bytes;
    shm_st(N2, &p->words->messages, p->messages);
    shm_st(N2, &p->words->bytes, p->bytes);
}

static inline void shmqi_count_loan(struct shmq_producer *p, int64_t bytes)
{
    p->loaned_bytes += (uint64_t)bytes;
    shm_st(N2, &p->words->loaned_bytes, p->loaned_bytes);
}

int shmqi_too_large(const struct shmq_producer *p, uint64_t bytes);

#endif
