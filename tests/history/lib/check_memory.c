/* check_memory.c - runs, holds, producers; see check.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/lib/check.h"

static void *counted(struct hist_check *c, void *at, uint64_t more)
{
    if (at == NULL) {
        perror("history checker");
        abort();
    }
    c->bytes += more;
    if (c->bytes > c->verdict.bytes_peak)
        c->verdict.bytes_peak = c->bytes;
    return at;
}

void *hc_alloc(struct hist_check *c, uint64_t bytes)
{
    return counted(c, calloc(1, bytes), bytes);
}

void *hc_grow(struct hist_check *c, void *at, uint64_t was, uint64_t bytes)
{
    char *grown = counted(c, realloc(at, bytes), bytes - was);
    memset(grown + was, 0, bytes - was);
    return grown;
}

struct hc_hold *hc_hold_new(struct hist_check *c)
{
    struct hc_hold *hold = c->free_holds;
    if (hold == NULL)
        return hc_alloc(c, sizeof(*hold));
    c->free_holds = hold->next;
    memset(hold, 0, sizeof(*hold));
    return hold;
}

/* Free runs are chained by their first holds' place. */
struct hc_run *hc_run_new(struct hist_check *c)
{
    struct hc_run *run = c->free_runs;
    c->runs++;
    if (c->runs > c->verdict.runs_peak)
        c->verdict.runs_peak = c->runs;
    if (run == NULL)
        return hc_alloc(c, sizeof(*run));
    c->free_runs = (struct hc_run *)(void *)run->producer;
    memset(run, 0, sizeof(*run));
    return run;
}

void hc_run_free(struct hist_check *c, struct hc_run *run)
{
    for (uint32_t g = 0; g < c->config.group_cnt; g++) {
        while (run->holds[g] != NULL) {
            struct hc_hold *hold = run->holds[g];
            run->holds[g] = hold->next;
            hold->next = c->free_holds;
            c->free_holds = hold;
        }
    }
    c->runs--;
    run->producer = (struct hc_producer *)(void *)c->free_runs;
    c->free_runs = run;
}

static struct hc_producer **bucket_of(struct hist_check *c, uint64_t identity)
{
    uint64_t hash = identity * UINT64_C(0x9e3779b97f4a7c15);
    return &c->buckets[(hash >> 40) % HC_BUCKETS];
}

struct hc_producer *hc_producer_find(
    struct hist_check *c, uint64_t identity, bool make)
{
    struct hc_producer **bucket = bucket_of(c, identity);
    struct hc_producer *p = *bucket;
    while (p != NULL && p->identity != identity)
        p = p->chain;
    if (p != NULL || !make)
        return p;
    p = hc_alloc(c, sizeof(*p));
    p->identity = identity;
    p->chain = *bucket;
    p->cap = 16;
    p->runs = hc_alloc(c, p->cap * sizeof(struct hc_run *));
    *bucket = p;
    return p;
}

static void producer_free(struct hist_check *c, struct hc_producer *p)
{
    struct hc_producer **at = bucket_of(c, p->identity);
    while (*at != p)
        at = &(*at)->chain;
    *at = p->chain;
    c->gone_cnt++;
    c->bytes -= sizeof(*p) + p->cap * sizeof(struct hc_run *);
    free(p->runs);
    free(p);
}

void hc_producer_push(
    struct hist_check *c, struct hc_producer *p, struct hc_run *run)
{
    if (p->cnt == p->cap) {
        struct hc_run **grown =
            hc_alloc(c, 2 * p->cap * sizeof(struct hc_run *));
        for (uint32_t i = 0; i < p->cnt; i++)
            grown[i] = hc_producer_at(p, i);
        free(p->runs);
        c->bytes -= p->cap * sizeof(struct hc_run *);
        p->runs = grown;
        p->head = 0;
        p->cap *= 2;
    }
    p->runs[(p->head + p->cnt++) & (p->cap - 1)] = run;
}

struct hc_run *hc_run_find(const struct hc_producer *p, uint64_t seq)
{
    uint32_t low = 0;
    uint32_t high = p->cnt;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct hc_run *run = hc_producer_at(p, mid);
        if (seq >= run->seq + run->cnt)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == p->cnt)
        return NULL;
    struct hc_run *run = hc_producer_at(p, low);
    return run->gone || seq < run->seq ? NULL : run;
}

bool hc_long_done(struct hist_check *c, const struct hist_op *op)
{
    const struct hc_producer *p = hc_producer_find(c, op->producer, false);
    if (p == NULL)
        return c->gone_cnt != 0;
    return op->seq + op->cnt <= p->next_seq && hc_run_find(p, op->seq) == NULL;
}

/* Runs leave in order of their sequence; the producer, too, when it is dead
 * and nothing is left of it. */
void hc_producer_pop(struct hist_check *c, struct hc_producer *p)
{
    while (p->cnt > 0 && hc_producer_at(p, 0)->gone) {
        hc_run_free(c, hc_producer_at(p, 0));
        p->head = (p->head + 1) & (p->cap - 1);
        p->cnt--;
    }
    if (p->ended && p->cnt == 0 && !p->limbo)
        producer_free(c, p);
}

/* The process is dead since `now_ns`. What it had under way may still be seen
 * for a while. */
void hc_producer_end(
    struct hist_check *c, struct hc_producer *p, uint64_t now_ns)
{
    if (p->ended)
        return;
    p->ended = true;
    p->limbo = true;
    p->death_ns = now_ns;
    *(c->limbo_tail == NULL ? &c->limbo : &c->limbo_tail->limbo_next) = p;
    c->limbo_tail = p;
}

/* A publish that began at `inv_ns` left the log: so did all that was published
 * before. What died before and was not seen was not published. */
void hc_limbo_pass(struct hist_check *c, uint64_t inv_ns)
{
    while (c->limbo != NULL && c->limbo->death_ns < inv_ns) {
        struct hc_producer *p = c->limbo;
        c->limbo = p->limbo_next;
        if (c->limbo == NULL)
            c->limbo_tail = NULL;
        p->limbo = false;
        if (p->cnt > 0 && !hc_producer_at(p, p->cnt - 1)->logged)
            hc_run_free(c, hc_producer_at(p, --p->cnt));
        hc_producer_pop(c, p);
    }
}

void hc_free_all(struct hist_check *c)
{
    for (uint32_t i = 0; i < HC_BUCKETS; i++) {
        while (c->buckets[i] != NULL) {
            struct hc_producer *p = c->buckets[i];
            for (uint32_t j = 0; j < p->cnt; j++)
                hc_run_free(c, hc_producer_at(p, j));
            producer_free(c, p);
        }
    }
    while (c->free_holds != NULL) {
        struct hc_hold *hold = c->free_holds;
        c->free_holds = hold->next;
        free(hold);
    }
    while (c->free_runs != NULL) {
        struct hc_run *run = c->free_runs;
        c->free_runs = (struct hc_run *)(void *)run->producer;
        free(run);
    }
    free(c->members);
    free(c->log);
    free(c);
}
