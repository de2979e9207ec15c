/* chaos_producer.c - publishes in every way there is, until told to leave. */
#include "chaos.h"

#include <string.h>
#include <unistd.h>

#include "support/support.h"

struct author {
    struct chaos_run *run;
    struct chaos_life *books;
    struct shmq_producer *producer;
    uint32_t life;
    uint64_t seq;
    uint64_t random;
    uint64_t positions[CHAOS_BATCH_MAX];
    struct shmq_record records[CHAOS_BATCH_MAX];
    struct shmq_attr keys[CHAOS_BATCH_MAX];
    uint64_t hashes[CHAOS_BATCH_MAX];
    char bytes[CHAOS_BATCH_MAX * 4104];
};

static uint64_t soon(void)
{
    return shmq_deadline(100 * T_MS);
}

static bool try_again(int rc)
{
    return rc == SHMQ_ERR_FULL || rc == SHMQ_ERR_TIMEOUT || rc == SHMQ_ERR_INTR;
}

/* The history: a publish of the next `cnt` records begins, and ends. */
static struct hist_op *begin(struct author *a, uint32_t cnt)
{
    struct hist_op *op = hist_log_begin(a->run->log, HIST_PUBLISH);
    op->producer = shmq_producer_identity(a->producer);
    op->seq = a->seq;
    op->cnt = cnt;
    hist_log_open(a->run->log);
    return op;
}

static void end(struct author *a, struct hist_op *op, int rc)
{
    op->result = rc == 0 ? HIST_OK : HIST_REFUSED;
    op->pos = a->positions[0];
    op->last = a->positions[op->cnt - 1];
    hist_log_end(a->run->log);
}

/* Published for certain: `cnt` records. */
static void note(struct author *a, uint32_t cnt)
{
    struct chaos_run *run = a->run;
    if (run->positions != NULL)
        for (uint32_t i = 0; i < cnt; i++)
            run->positions[chaos_index(a->life, a->seq + i)] = a->positions[i];
    a->seq += cnt;
    atomic_store(&a->books->acked, a->seq);
}

/* Up to `max` of the next records, without large ones after the first. */
static uint32_t prepare(struct author *a, uint32_t max)
{
    char *at = a->bytes;
    uint32_t cnt = 0;
    for (; cnt < max && a->seq + cnt < CHAOS_LIFE_RECORDS; cnt++) {
        uint64_t *hash = &a->hashes[cnt];
        *hash = chaos_hash(a->run, a->life, a->seq + cnt);
        uint64_t size = chaos_size(*hash);
        if (size == CHAOS_LARGE)
            break;
        chaos_fill(at, size, *hash);
        a->keys[cnt] = (struct shmq_attr){
            .type = SHMQ_ATTR_KEY, .value_bytes = sizeof(*hash), .value = hash};
        a->records[cnt] = (struct shmq_record){.data = at,
            .size = size,
            .attrs = &a->keys[cnt],
            .attr_cnt = chaos_has_key(*hash) ? 1 : 0};
        at += (size + 7) & ~UINT64_C(7);
    }
    return cnt;
}

static int publish_batch(struct author *a, uint32_t cnt)
{
    int rc = 0;
    bool wait = t_below(&a->random, 4) != 0;
    atomic_store(&a->books->intent, cnt);
    struct hist_op *op = begin(a, cnt);
    do {
        rc = wait ? shmq_producer_publish_batch_wait(
                        a->producer, a->records, cnt, soon(), a->positions)
                  : shmq_producer_publish_batch(
                        a->producer, a->records, cnt, a->positions);
        wait = true;
    } while (try_again(rc) && atomic_load(&a->run->books->quit) == 0);
    end(a, op, rc);
    if (rc == 0)
        note(a, cnt);
    return try_again(rc) ? 0 : rc;
}

static int publish_one(struct author *a)
{
    const struct shmq_record *record = &a->records[0];
    int rc = 0;
    if (record->attr_cnt != 0)
        return publish_batch(a, 1);
    atomic_store(&a->books->intent, 1);
    struct hist_op *op = begin(a, 1);
    do
        rc = shmq_producer_publish_wait(
            a->producer, record->data, record->size, soon(), a->positions);
    while (try_again(rc) && atomic_load(&a->run->books->quit) == 0);
    end(a, op, rc);
    if (rc == 0)
        note(a, 1);
    return try_again(rc) ? 0 : rc;
}

/* A loan of the next record; committed, or aborted with rubbish in it. */
static int publish_loan(struct author *a, bool abort)
{
    uint64_t hash = chaos_hash(a->run, a->life, a->seq);
    uint64_t size = chaos_size(hash);
    uint64_t more = size < CHAOS_LARGE ? t_below(&a->random, 64) : 0;
    bool key = chaos_has_key(hash) && !abort;
    struct shmq_attr attr = {
        .type = SHMQ_ATTR_KEY, .value_bytes = sizeof(hash), .value = &hash};
    struct shmq_loan loan;
    int rc = shmq_producer_loan_wait(
        a->producer, size + more, &attr, key ? 1 : 0, soon(), &loan);
    if (rc != 0)
        return try_again(rc) ? 0 : rc;
    chaos_fill(loan.data, size, abort ? ~hash : hash);
    if (abort)
        return shmq_producer_abort(a->producer, &loan);
    atomic_store(&a->books->intent, 1);
    struct hist_op *op = begin(a, 1);
    do
        rc = shmq_producer_commit_wait(
            a->producer, &loan, size, soon(), a->positions);
    while (try_again(rc) && atomic_load(&a->run->books->quit) == 0);
    end(a, op, rc);
    if (rc == 0)
        note(a, 1);
    else if (try_again(rc))
        rc = shmq_producer_abort(a->producer, &loan);
    return rc;
}

static int publish_some(struct author *a)
{
    uint64_t dice = t_below(&a->random, 100);
    uint32_t max = dice < 50 ? 1
        : dice < 80 ? 2 + (uint32_t)t_below(&a->random, CHAOS_BATCH_MAX - 1)
                    : 0;
    uint32_t cnt = max == 0 ? 0 : prepare(a, max);
    if (cnt == 0)
        return publish_loan(a, dice >= 95);
    return cnt == 1 ? publish_one(a) : publish_batch(a, cnt);
}

/* A dead predecessor counts until the kernel has proven its death. */
static int open_producer(struct author *a, struct shmq_topic *topic)
{
    uint64_t end_ns = t_now_ns() + T_PATIENCE;
    int rc;
    while ((rc = shmq_producer_open(topic, NULL, &a->producer)) != 0) {
        struct hist_op tick = {.kind = HIST_NOTHING};
        hist_log_note(a->run->log, &tick);
        if ((rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_LIMIT) ||
            t_now_ns() > end_ns)
            return rc;
        if (atomic_load(&a->run->books->quit) != 0)
            return 1;
        t_pause();
    }
    return 0;
}

int chaos_producer(struct chaos_run *run, uint32_t life)
{
    static struct author author;
    struct author *a = &author;
    struct shmq_topic *topic = NULL;
    a->run = run;
    a->life = life;
    a->books = &run->books->lives[life];
    a->random = run->seed ^ (uint64_t)getpid() << 20;
    int rc = shmq_topic_open(t_ns, "chaos", &topic);
    if (rc == 0)
        rc = open_producer(a, topic);
    if (rc == 1)
        return 0;
    if (rc == 0)
        atomic_store(&a->books->identity, shmq_producer_identity(a->producer));
    if (rc == 0)
        atomic_store(&run->log->producer, shmq_producer_identity(a->producer));
    while (rc == 0 && atomic_load(&run->books->quit) == 0 &&
        a->seq < CHAOS_LIFE_RECORDS) {
        rc = publish_some(a);
        if (run->scene->rest_ns != 0 && t_below(&a->random, 8) == 0)
            t_sleep_ns(run->scene->rest_ns);
        if (rc == 0 && shmq_producer_sequence(a->producer) != a->seq) {
            chaos_complain(run, "sequence is %llu, not %llu",
                (unsigned long long)shmq_producer_sequence(a->producer),
                (unsigned long long)a->seq);
            return 1;
        }
    }
    if (rc != 0) {
        chaos_complain(
            run, "producer: %s: %s", shmq_err_name(rc), shmq_error_text());
        return 1;
    }
    shmq_producer_close(a->producer);
    shmq_topic_close(topic);
    return 0;
}
