/* top_rates.c - rates from two looks. */
#include "top.h"

#include <string.h>

static double per_second(uint64_t before, uint64_t now, uint64_t ns)
{
    return now > before && ns > 0 ? (double)(now - before) * 1e9 / (double)ns
                                  : 0;
}

/* The first look has none before it. */
static uint64_t elapsed(const struct watch_topic *topic)
{
    return topic->before_ns != 0 ? topic->now_ns - topic->before_ns : 0;
}

static uint64_t dropped(const struct shmq_topic_stat *stat)
{
    return stat->dropped_new + stat->dropped_old + stat->dropped_corrupt +
        stat->gap_retention + stat->gap_truncated + stat->gap_lost;
}

void top_rates(const struct watch_topic *topic, struct top_rates *ret)
{
    const struct shmq_topic_stat *a = &topic->before.stat,
                                 *b = &topic->now.stat;
    uint64_t ns = elapsed(topic);
    ret->in_messages = per_second(a->total_messages, b->total_messages, ns);
    ret->in_bytes = per_second(a->total_bytes, b->total_bytes, ns);
    ret->dropped = per_second(dropped(a), dropped(b), ns);
}

static const struct shmq_group_stat *find(
    const struct topic_view *view, const char *name)
{
    for (uint32_t i = 0; i < view->group_cnt; i++) {
        if (strcmp(view->groups[i].name, name) == 0)
            return &view->groups[i];
    }
    return NULL;
}

/* What a group has finished: published until now, less what it has not. */
static uint64_t done(
    const struct topic_view *view, const struct shmq_group_stat *group)
{
    uint64_t total = view->stat.total_messages;
    return total > group->lag_messages ? total - group->lag_messages : 0;
}

void top_group_rates(const struct watch_topic *topic,
    const struct shmq_group_stat *group, struct top_group_rates *ret)
{
    const struct shmq_group_stat *was = find(&topic->before, group->name);
    uint64_t ns = elapsed(topic);
    memset(ret, 0, sizeof(*ret));
    if (was == NULL)
        return;
    ret->out_messages =
        per_second(done(&topic->before, was), done(&topic->now, group), ns);
    ret->redelivered = per_second(was->redelivered, group->redelivered, ns);
}
