/* check_log.c - the runs in the order of their positions; see check.h. */
#include "history/lib/check.h"

#include <stdlib.h>

static void log_grow(struct hist_check *c)
{
    uint32_t cap = c->log_cap == 0 ? 1024 : 2 * c->log_cap;
    struct hc_run **grown = hc_alloc(c, cap * sizeof(struct hc_run *));
    for (uint32_t i = 0; i < c->log_cnt; i++)
        grown[i] = hc_log_at(c, i);
    free(c->log);
    c->bytes -= c->log_cap * sizeof(struct hc_run *);
    c->log = grown;
    c->log_cap = cap;
    c->log_head = 0;
}

uint32_t hc_log_find(const struct hist_check *c, uint64_t pos)
{
    uint32_t low = 0;
    uint32_t high = c->log_cnt;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (hc_log_at(c, mid)->last < pos)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Positions of `run` are known now. The log is the order in which publishes
 * took effect, so: what began after something was known to be published lies
 * behind it; and no exclusive reader has gone past this place. */
void hc_log_insert(
    struct hist_check *c, struct hc_run *run, const struct hist_op *op)
{
    uint32_t at = hc_log_find(c, run->pos);
    if (run->pos < run->snap)
        hc_fault(c, HIST_F_REALTIME, op,
            "lies before a record that was known when its publish began");
    if (at < c->log_cnt && hc_log_at(c, at)->pos <= run->last)
        hc_fault(c, HIST_F_POSITION, op, "two records at one position");
    for (uint32_t g = 0; g < c->config.group_cnt; g++) {
        const struct hist_group *group = &c->config.groups[g];
        if (!group->shared && !group->lossy && run->pos < c->groups[g].max_pos)
            hc_fault(c, HIST_F_SKIPPED, op,
                "lies behind an exclusive reader that never got it");
    }
    if (c->log_cnt == c->log_cap)
        log_grow(c);
    uint32_t mask = c->log_cap - 1;
    for (uint32_t i = c->log_cnt; i > at; i--)
        c->log[(c->log_head + i) & mask] = c->log[(c->log_head + i - 1) & mask];
    c->log[(c->log_head + at) & mask] = run;
    c->log_cnt++;
    run->logged = true;
    c->verdict.published += run->cnt;
    if (c->log_cnt > c->config.limit_runs)
        hc_fault(c, HIST_F_WINDOW, op, "too many publishes not done");
}

bool hc_log_done(
    const struct hist_check *c, uint32_t g, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        const struct hc_run *run = hc_log_at(c, i);
        if (run->done[g] != hc_all(run))
            return false;
    }
    return true;
}

static bool may_leave(const struct hist_check *c, const struct hc_run *run)
{
    if (run->result == HC_OPEN)
        return false;
    for (uint32_t g = 0; g < c->config.group_cnt; g++)
        if (!c->config.groups[g].lossy && hc_left(c, run, g) != 0)
            return false;
    return true;
}

void hc_log_prune(struct hist_check *c)
{
    while (c->log_cnt > c->config.keep_runs && may_leave(c, hc_log_at(c, 0))) {
        struct hc_run *run = hc_log_at(c, 0);
        uint64_t inv_ns = run->inv_ns;
        c->log_head = (c->log_head + 1) & (c->log_cap - 1);
        c->log_cnt--;
        run->gone = true;
        hc_producer_pop(c, run->producer);
        hc_limbo_pass(c, inv_ns);
    }
}
