/* check.h - insides of the history checker.
 *
 * A run is one publish. The log holds the runs whose positions are known, in
 * their order; runs leave it when every group is done with them. A hold is one
 * delivery of records of a run to one reader, and how it ended. */
#ifndef SHMQ_TEST_HISTORY_CHECK_H
#define SHMQ_TEST_HISTORY_CHECK_H

#include "history/lib/history.h"

#define HC_NEVER UINT64_MAX

struct hc_member {
    uint64_t lost_ns; /* from when on it may lose its claims */
    uint64_t fresh_pos; /* last first delivery, plus one */
    bool killed; /* acks that it kept to itself are gone, too */
};

enum hc_end { HC_HELD = 0, HC_ACKED, HC_NACKED };

struct hc_hold {
    struct hc_hold *next;
    uint64_t bits; /* records of the run */
    uint64_t inv_ns, ret_ns; /* of the delivery */
    uint64_t end_inv_ns, end_ret_ns; /* of the ack or nack */
    uint32_t member;
    uint8_t end, end_result; /* enum hc_end, enum hist_result */
    bool again;
};

struct hc_run {
    struct hc_producer *producer;
    uint64_t seq, inv_ns;
    uint64_t snap; /* positions known below this when it began */
    uint64_t pos, last;
    uint32_t cnt;
    uint8_t result; /* enum hist_result; HC_OPEN while under way */
    bool logged, gone;
    uint64_t done[HIST_GROUP_MAX], given[HIST_GROUP_MAX], twice[HIST_GROUP_MAX];
    struct hc_hold *holds[HIST_GROUP_MAX];
};
#define HC_OPEN 255

struct hc_producer {
    struct hc_producer *chain;
    uint64_t identity;
    uint64_t next_seq; /* records begun to be published */
    struct hc_run **runs; /* circular, by seq */
    uint32_t cap, head, cnt;
    bool ended, limbo;
    uint64_t death_ns;
    struct hc_producer *limbo_next;
};

struct hc_reader { /* of an exclusive group */
    uint32_t member;
    bool used; /* there was one */
    bool valid; /* last_pos is of this reader, since its last nack */
    uint64_t last_pos, last_seq;
};

struct hc_group {
    struct hc_reader reader;
    uint64_t cause_ns; /* first loss or nack of any member */
    uint64_t max_pos; /* delivered, plus one */
    uint64_t fresh_pos; /* first deliveries returned, plus one */
};

#define HC_BUCKETS 4096u
#define HC_PAST 256u

struct hist_check {
    struct hist_config config;
    struct hist_verdict verdict;
    uint64_t known; /* positions known to be published, plus one */
    struct {
        uint64_t at_ns, known;
    } past[HC_PAST]; /* the last changes of it; circular */
    uint32_t past_at;
    struct hc_group groups[HIST_GROUP_MAX];
    struct hc_producer *buckets[HC_BUCKETS];
    struct hc_run **log; /* circular, by position */
    uint32_t log_cap, log_head, log_cnt;
    struct hc_member *members;
    uint32_t member_cap;
    struct hc_hold *free_holds;
    struct hc_run *free_runs;
    struct hc_producer *limbo, *limbo_tail; /* dead ones, by time */
    uint64_t runs, bytes;
    uint64_t gone_cnt; /* producers of which nothing is left */
};

static inline uint64_t hc_bits(uint32_t from, uint32_t cnt)
{
    return (cnt >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << cnt) - 1) << from;
}

static inline uint64_t hc_all(const struct hc_run *run)
{
    return hc_bits(0, run->cnt);
}

static inline struct hc_run *hc_log_at(const struct hist_check *c, uint32_t i)
{
    return c->log[(c->log_head + i) & (c->log_cap - 1)];
}

static inline struct hc_run *hc_producer_at(
    const struct hc_producer *p, uint32_t i)
{
    return p->runs[(p->head + i) & (p->cap - 1)];
}

/* check.c */
void hc_fault(struct hist_check *c, enum hist_fault fault,
    const struct hist_op *op, const char *text);
/* Position `last` is known to be published since `now_ns`. */
void hc_know(struct hist_check *c, uint64_t last, uint64_t now_ns);
struct hc_member *hc_member(struct hist_check *c, uint32_t id);

/* check_memory.c */
void *hc_alloc(struct hist_check *c, uint64_t bytes);
void *hc_grow(struct hist_check *c, void *at, uint64_t was, uint64_t bytes);
struct hc_hold *hc_hold_new(struct hist_check *c);
struct hc_run *hc_run_new(struct hist_check *c);
void hc_run_free(struct hist_check *c, struct hc_run *run);
struct hc_producer *hc_producer_find(
    struct hist_check *c, uint64_t identity, bool make);
void hc_producer_push(
    struct hist_check *c, struct hc_producer *p, struct hc_run *run);
/* The run that holds record `seq`, NULL when there is none. */
struct hc_run *hc_run_find(const struct hc_producer *p, uint64_t seq);
void hc_producer_pop(struct hist_check *c, struct hc_producer *p);
void hc_producer_end(
    struct hist_check *c, struct hc_producer *p, uint64_t now_ns);
void hc_limbo_pass(struct hist_check *c, uint64_t inv_ns);
/* The records were published, and are no longer kept, as all were done. */
bool hc_long_done(struct hist_check *c, const struct hist_op *op);
void hc_free_all(struct hist_check *c);

/* check_log.c */
void hc_log_insert(
    struct hist_check *c, struct hc_run *run, const struct hist_op *op);
/* Index of the first run that ends behind `pos`. */
uint32_t hc_log_find(const struct hist_check *c, uint64_t pos);
void hc_log_prune(struct hist_check *c);
/* Every record of runs [from, to) is done in group `g`. */
bool hc_log_done(
    const struct hist_check *c, uint32_t g, uint32_t from, uint32_t to);

/* check_deliver.c */
void hc_deliver(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open);

/* check_claim.c: the claims on single records. */
/* An order of its holds obeys the rules (and ends with it done). */
bool hc_claims_possible(const struct hist_check *c, const struct hc_run *run,
    uint32_t g, uint32_t bit, bool done);
uint64_t hc_left(
    const struct hist_check *c, const struct hc_run *run, uint32_t g);
void hc_ack_begin(
    struct hist_check *c, const struct hist_op *op, struct hist_open *open);
void hc_ack_end(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open);

#endif
