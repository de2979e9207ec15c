/* producer.c - the public producer calls: checks, policies, waiting. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "mpmc_easy.h"
#include "process.h"
#include "producer_impl.h"
#include "reap.h"
#include "spsc_easy.h"
#include "topic_impl.h"

#define SPIN_DEFAULT_NS 20000u
#define SPIN_PAUSES 32

/* -- open, close
 * --------------------------------------------------------------*/

static int open_ring(struct shmq_producer *p)
{
    int rc =
        shmqi_attach(p->segment, SHMQ_ROLE_PRODUCER, &p->idx, &p->identity);
    if (rc == SHMQ_ERR_LIMIT && p->ring->ring == SHMQ_RING_SPSC)
        return shmqi_spsc_busy(p->segment);
    if (rc)
        return rc;
    rc = p->ring->ring == SHMQ_RING_MPMC ? shmqi_mpmc_open(p)
                                         : shmqi_spsc_open(p);
    if (rc == SHMQ_ERR_CLOSED)
        (void)shmqi_fail(rc, "%s: the topic was removed", p->segment->topic);
    if (rc)
        shmqi_endpoint_free(p->segment, p->idx, p->identity);
    return rc;
}

int shmq_producer_open(struct shmq_topic *topic,
    const struct shmq_producer_options *options, struct shmq_producer **ret)
{
    struct shmqi_segment *s = NULL;
    if (!ret ||
        (options &&
            (options->struct_bytes != sizeof *options || options->flags)))
        return shmqi_fail(SHMQ_ERR_INVAL, "producer: options are not legal");
    int rc = shmqi_topic_use(topic, &s);
    if (rc)
        return rc;
    if (!s->data_writable)
        return shmqi_fail(SHMQ_ERR_PERM,
            "%s: its data file is not writable "
            "for you; ask its owner for --data-mode",
            s->topic);
    if (s->ring.flags & SHMQ_TOPIC_ASYMMETRIC)
        rc = shmqi_asymmetric_register();
    if (rc == SHMQ_OK)
        rc = shmqi_segment_settle(s);
    if (rc)
        return rc;
    struct shmq_producer *p = calloc(1, sizeof *p);
    if (!p)
        return shmqi_fail(SHMQ_ERR_NOMEM, "%s: no memory", s->topic);
    p->segment = s;
    p->ring = &s->ring;
    p->spsc = s->ring.ring == SHMQ_RING_SPSC;
    p->max_message = s->ring.max_message;
    p->generation = shmqi_generation();
    p->spin_ns =
        options && options->spin_ns ? options->spin_ns : SPIN_DEFAULT_NS;
    rc = open_ring(p);
    if (rc) {
        free(p);
        return rc;
    }
    shmqi_segment_ref(s);
    if (shmqi_segment_broken(s)) {
        shmq_producer_close(p);
        return shmqi_segment_fail_broken(s);
    }
    *ret = p;
    return SHMQ_OK;
}

void shmq_producer_close(struct shmq_producer *p)
{
    if (!p)
        return;
    if (shmqi_same_process(p->generation)) {
        struct shmqi_segment *s = p->segment;
        if (p->ring->ring == SHMQ_RING_MPMC)
            shmqi_mpmc_close(p);
        else
            shmqi_spsc_close(p);
        shmqi_endpoint_free(s, p->idx, p->identity);
        shmqi_segment_unref(s);
    } else {
        free(p->arena.pieces);
        free(p->arena.held);
    }
    free(p);
}

uint64_t shmq_producer_identity(const struct shmq_producer *p)
{
    return p->identity;
}

uint64_t shmq_producer_sequence(const struct shmq_producer *p)
{
    return p->sequence;
}

/* -- results
 * -------------------------------------------------------------------*/

int shmqi_too_large(const struct shmq_producer *p, uint64_t bytes)
{
    return shmqi_fail(SHMQ_ERR_TOO_LARGE,
        "%s: a record of %llu bytes; at most "
        "%llu, or create the topic with more --max-message",
        p->segment->topic, (unsigned long long)bytes,
        (unsigned long long)p->ring->max_message);
}

static int forked(void)
{
    return shmqi_fail(SHMQ_ERR_FORKED,
        "producer: it belongs to the parent "
        "process; open one in the child");
}

static int damaged(const struct shmq_producer *p)
{
    return shmqi_fail(SHMQ_ERR_CORRUPT,
        "%s: the ring is damaged; remove the topic with --force",
        p->segment->topic);
}

/* What a try's result means to the caller; drop-new counts. */
static int outcome(struct shmq_producer *p, int rc, uint32_t cnt)
{
    if (rc != SHMQ_OK && shmqi_segment_broken(p->segment))
        return shmqi_segment_fail_broken(p->segment);
    switch (rc) {
    case SHMQ_ERR_FULL:
        if (p->ring->on_full == SHMQ_ON_FULL_DROP_NEW)
            (void)shm_add(N3, &p->ring->data->dropped_new, cnt);
        break;
    case SHMQ_ERR_CLOSED:
        return shmqi_fail(rc, "%s: the topic was removed", p->segment->topic);
    case SHMQ_ERR_READ_ONLY:
        if (p->segment->constants.durability == SHMQ_DURABILITY_NONE)
            return damaged(p); /* somebody scribbled: shmqd never saw it */
        return shmqi_fail(rc,
            "%s: shmqd takes no records for it now; look at shmq stat",
            p->segment->topic);
    case SHMQ_ERR_LIMIT:
        if (p->loans >= SHMQI_LOANS_MAX)
            break;
        return shmqi_fail(rc,
            "%s: all positions are used up; make a new "
            "topic",
            p->segment->topic);
    case SHMQ_ERR_CORRUPT:
        return damaged(p);
    default:
        break;
    }
    return rc;
}

/* -- trying and waiting
 * ----------------------------------------------------------*/

enum job_kind { JOB_ONE, JOB_BATCH, JOB_LOAN, JOB_COMMIT };

/* What is to be tried, once or until there is room. */
struct job {
    enum job_kind kind;
    const void *data;
    uint64_t size;
    struct shmqi_publish pub;
    const struct shmq_attr *attrs;
    uint32_t attr_cnt;
    struct shmq_loan *loan;
    uint64_t *ret_position;
};

static int try_ring(struct shmq_producer *p, const struct job *j)
{
    bool mpmc = p->ring->ring == SHMQ_RING_MPMC;
    switch (j->kind) {
    case JOB_ONE:
        return mpmc ? shmqi_mpmc_put_one(p, j->data, j->size, j->ret_position)
                    : shmqi_spsc_put_one(p, j->data, j->size, j->ret_position);
    case JOB_BATCH:
        return mpmc ? shmqi_mpmc_put(p, &j->pub) : shmqi_spsc_put(p, &j->pub);
    case JOB_LOAN:
        return mpmc
            ? shmqi_mpmc_loan(p, j->size, j->attrs, j->attr_cnt, j->loan)
            : shmqi_spsc_loan(p, j->size, j->attrs, j->attr_cnt, j->loan);
    default:
        return mpmc
            ? shmqi_mpmc_commit(p, j->loan, j->size, j->ret_position)
            : shmqi_spsc_take_loan(p, j->loan, j->size, j->ret_position);
    }
}

/* What was done on the memory that stands in for a broken file is undone. */
static int try_job(struct shmq_producer *p, const struct job *j)
{
    int rc = try_ring(p, j);
    return shmqi_segment_broken(p->segment) ? SHMQ_ERR_CORRUPT : rc;
}

static int timed_out(struct shmq_producer *p)
{
    char who[320];
    shmqi_blame(p->segment, who, sizeof who);
    return shmqi_fail(SHMQ_ERR_TIMEOUT, "%s: no room before the deadline; %s",
        p->segment->topic, who);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* How long to sleep: the first 100 ms often, since a peer that holds the ring
 * up may be dying; later at the pace of idle sleepers. */
static uint64_t nap(uint64_t waited_ns)
{
    return waited_ns < SHMQI_PEER_WATCH_NS ? SHMQI_NAP_PEER_NS : SHMQI_NAP_NS;
}

/* Callers that never wait, and those whose records are dropped, help as well:
 * what they are held up by may be dead. */
static void relieve_sometimes(struct shmq_producer *p)
{
    uint64_t now = shmqi_now_monotonic();
    shmqi_walk_floors(p->segment, p->idx);
    if (now - p->relieved_ns < SHMQI_NAP_PEER_NS)
        return;
    p->relieved_ns = now;
    shmqi_relieve(p->segment, p->idx);
}

static int sleep_until(struct shmq_producer *p, const struct job *j,
    uint64_t start, uint64_t deadline)
{
    for (;;) {
        struct shmqi_sleep sl;
        shmqi_relieve(p->segment, p->idx);
        shmqi_sleep_begin(&sl, p->segment, p->idx, SHMQI_WAITS_ROOM);
        int rc = try_job(p, j);
        uint64_t now = shmqi_now_monotonic();
        if (rc != SHMQ_ERR_FULL)
            return rc;
        if (now >= deadline)
            return timed_out(p);
        rc = shmqi_sleep_commit(&sl, nap(now - start), deadline);
        if (rc)
            return shmqi_fail(
                rc, "%s: interrupted by a signal", p->segment->topic);
    }
}

static int try_until(
    struct shmq_producer *p, const struct job *j, uint64_t deadline)
{
    int rc = try_job(p, j);
    if (rc == SHMQ_ERR_FULL && p->ring->on_full != SHMQ_ON_FULL_BLOCK) {
        relieve_sometimes(p);
        return try_job(p, j);
    }
    if (rc != SHMQ_ERR_FULL)
        return rc;
    uint64_t start = shmqi_now_monotonic(), now = start;
    while (p->spin_ns == SHMQ_FOREVER || now - start < p->spin_ns) {
        for (int i = 0; i < SPIN_PAUSES; i++)
            pause_cpu();
        rc = try_job(p, j);
        now = shmqi_now_monotonic();
        if (rc != SHMQ_ERR_FULL)
            return rc;
        if (now >= deadline)
            return timed_out(p);
    }
    rc = sleep_until(p, j, start, deadline);
    shmqi_sleep_end(p->segment, p->idx);
    return rc;
}

static int run(struct shmq_producer *p, const struct job *j, uint32_t cnt,
    bool wait, uint64_t deadline)
{
    int rc;
    if (!wait) {
        rc = try_job(p, j);
        if (__builtin_expect(rc == SHMQ_OK, 1))
            return rc;
        if (rc == SHMQ_ERR_FULL) {
            relieve_sometimes(p);
            rc = try_job(p, j);
        }
    } else {
        rc = try_until(p, j, deadline);
    }
    return outcome(p, rc, cnt);
}

/* -- public calls -------------------------------------------------------------
 */

static __attribute__((noinline)) int publish_slow(struct shmq_producer *p,
    const void *data, uint64_t size, bool wait, uint64_t deadline,
    uint64_t *ret_position)
{
    struct job j = {JOB_ONE, data, size, {0}, NULL, 0, NULL, ret_position};
    return run(p, &j, 1, wait, deadline);
}

/* The handle and the record make no sense, or the easy way did not do. */
static __attribute__((noinline)) int publish_hard(struct shmq_producer *p,
    const void *data, uint64_t size, bool wait, uint64_t deadline,
    uint64_t *ret_position)
{
    if (!p || (size && !data))
        return shmqi_fail(SHMQ_ERR_INVAL, "publish: no producer or no data");
    if (!shmqi_same_process(p->generation))
        return forked();
    if (size > p->max_message)
        return shmqi_too_large(p, size);
    int rc = p->ring->ring == SHMQ_RING_SPSC
        ? shmqi_spsc_put_one(p, data, size, ret_position)
        : shmqi_mpmc_put_one(p, data, size, ret_position);
    if (shmqi_segment_broken(p->segment))
        rc = SHMQ_ERR_CORRUPT;
    if (rc == SHMQ_ERR_FULL)
        return publish_slow(p, data, size, wait, deadline, ret_position);
    return rc ? outcome(p, rc, 1) : SHMQ_OK;
}

static inline bool publishable(
    const struct shmq_producer *p, const void *data, uint64_t size)
{
    return __builtin_expect(p && (data || !size), 1) &&
        __builtin_expect(shmqi_same_process(p->generation), 1);
}

int shmq_producer_publish(struct shmq_producer *p, const void *data,
    uint64_t size, uint64_t *ret_position)
{
    if (publishable(p, data, size) &&
        (p->spsc ? shmqi_spsc_easy(p, data, size, ret_position)
                 : shmqi_mpmc_easy(p, data, size, ret_position)))
        return shmqi_segment_result(p->segment, SHMQ_OK);
    return publish_hard(p, data, size, false, 0, ret_position);
}

int shmq_producer_publish_wait(struct shmq_producer *p, const void *data,
    uint64_t size, uint64_t deadline_ns, uint64_t *ret_position)
{
    if (publishable(p, data, size) &&
        (p->spsc ? shmqi_spsc_easy(p, data, size, ret_position)
                 : shmqi_mpmc_easy(p, data, size, ret_position)))
        return shmqi_segment_result(p->segment, SHMQ_OK);
    return publish_hard(p, data, size, true, deadline_ns, ret_position);
}

static int publish_many(struct shmq_producer *p,
    const struct shmq_record *records, uint32_t cnt, bool wait,
    uint64_t deadline, uint64_t *ret_positions)
{
    if (!p || !records || cnt < 1 || cnt > SHMQ_BATCH_MAX)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "publish: a batch has 1 to %d "
            "records",
            SHMQ_BATCH_MAX);
    if (!shmqi_same_process(p->generation))
        return forked();
    struct job j = {
        JOB_BATCH, NULL, 0, {records, cnt, ret_positions}, NULL, 0, NULL, NULL};
    return run(p, &j, cnt, wait, deadline);
}

int shmq_producer_publish_batch(struct shmq_producer *p,
    const struct shmq_record *records, uint32_t record_cnt,
    uint64_t *ret_positions)
{
    return publish_many(p, records, record_cnt, false, 0, ret_positions);
}

int shmq_producer_publish_batch_wait(struct shmq_producer *p,
    const struct shmq_record *records, uint32_t record_cnt,
    uint64_t deadline_ns, uint64_t *ret_positions)
{
    return publish_many(
        p, records, record_cnt, true, deadline_ns, ret_positions);
}

static int lend(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, bool wait,
    uint64_t deadline, struct shmq_loan *ret)
{
    if (!p || !ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "loan: no producer or no place");
    if (!shmqi_same_process(p->generation))
        return forked();
    struct job j = {JOB_LOAN, NULL, size, {0}, attrs, attr_cnt, ret, NULL};
    return run(p, &j, 1, wait, deadline);
}

int shmq_producer_loan(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, struct shmq_loan *ret)
{
    return lend(p, size, attrs, attr_cnt, false, 0, ret);
}

int shmq_producer_loan_wait(struct shmq_producer *p, uint64_t size,
    const struct shmq_attr *attrs, uint32_t attr_cnt, uint64_t deadline_ns,
    struct shmq_loan *ret)
{
    return lend(p, size, attrs, attr_cnt, true, deadline_ns, ret);
}

static int commit(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, bool wait, uint64_t deadline, uint64_t *ret_position)
{
    if (!p || !loan)
        return shmqi_fail(SHMQ_ERR_INVAL, "commit: no producer or no loan");
    if (!shmqi_same_process(p->generation))
        return forked();
    struct job j = {JOB_COMMIT, NULL, used, {0}, NULL, 0, loan, ret_position};
    return run(p, &j, 1, wait, deadline);
}

int shmq_producer_commit(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, uint64_t *ret_position)
{
    return commit(p, loan, used, false, 0, ret_position);
}

int shmq_producer_commit_wait(struct shmq_producer *p, struct shmq_loan *loan,
    uint64_t used, uint64_t deadline_ns, uint64_t *ret_position)
{
    return commit(p, loan, used, true, deadline_ns, ret_position);
}

int shmq_producer_abort(struct shmq_producer *p, struct shmq_loan *loan)
{
    if (!p || !loan)
        return shmqi_fail(SHMQ_ERR_INVAL, "abort: no producer or no loan");
    if (!shmqi_same_process(p->generation))
        return forked();
    int rc = p->ring->ring == SHMQ_RING_MPMC ? shmqi_mpmc_abort(p, loan)
                                             : shmqi_spsc_abort(p, loan);
    return shmqi_segment_result(p->segment, rc);
}
