/* top_json.c - `shmq top --json`: one object a look. */
#include "top.h"

#include <time.h>

#include "cli_names.h"

static void put_rate(struct cli_json *json, const char *key, double value)
{
    cli_json_key(json, key);
    cli_json_u64(json, value > 0 ? (uint64_t)(value + 0.5) : 0);
}

static void put_number(struct cli_json *json, const char *key, uint64_t value)
{
    cli_json_key(json, key);
    cli_json_u64(json, value);
}

static void put_group(struct cli_json *json, const struct watch_topic *topic,
    const struct shmq_group_stat *g)
{
    struct top_group_rates r;
    top_group_rates(topic, g, &r);
    cli_json_begin(json, '{');
    cli_json_key(json, "group");
    cli_json_name(json, g->name);
    cli_json_key(json, "kind");
    cli_json_name(json, cli_kind_name(g->kind));
    put_rate(json, "messages_per_second", r.out_messages);
    put_rate(json, "redelivered_per_second", r.redelivered);
    put_number(json, "lag_messages", g->lag_messages);
    put_number(json, "claimed", g->claimed);
    cli_json_key(json, "latency_seconds");
    cli_json_seconds(
        json, g->oldest_unread_ns > 0 ? (uint64_t)g->oldest_unread_ns : 0);
    put_number(json, "dead_lettered", g->dead_lettered);
    put_number(json, "members", g->member_cnt);
    cli_json_end(json, '}');
}

static void put_holders(struct cli_json *json, const struct topic_view *view)
{
    cli_json_key(json, "held_up_by");
    cli_json_begin(json, '[');
    for (uint32_t i = 0; i < view->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &view->endpoints[i];
        if (e->block_cnt == 0)
            continue;
        cli_json_begin(json, '{');
        put_number(json, "endpoint", e->id);
        put_number(json, "pid", e->pid > 0 ? (uint64_t)e->pid : 0);
        cli_json_key(json, "state");
        cli_json_name(json, cli_state_name(e->state));
        cli_json_key(json, "group");
        cli_json_name(json, e->group);
        put_number(json, "producers", e->block_cnt);
        cli_json_end(json, '}');
    }
    cli_json_end(json, ']');
}

static void put_topic(struct cli_json *json, const struct watch_topic *topic)
{
    const struct topic_view *view = &topic->now;
    struct top_rates r;
    cli_json_begin(json, '{');
    cli_json_key(json, "topic");
    cli_json_name(json, topic->name);
    if (!topic->is_open) {
        cli_json_key(json, "error");
        cli_json_name(json, shmq_err_name(topic->open_rc));
        cli_json_end(json, '}');
        return;
    }
    top_rates(topic, &r);
    put_rate(json, "messages_per_second", r.in_messages);
    put_rate(json, "bytes_per_second", r.in_bytes);
    put_rate(json, "dropped_per_second", r.dropped);
    put_number(json, "depth_messages", view->stat.depth_messages);
    cli_json_key(json, "full");
    cli_json_bool(json, view->stat.ring_full != 0);
    put_number(json, "producers", view->stat.producer_cnt);
    put_number(json, "members", view->stat.member_cnt);
    cli_json_key(json, "groups");
    cli_json_begin(json, '[');
    for (uint32_t i = 0; i < view->group_cnt; i++)
        put_group(json, topic, &view->groups[i]);
    cli_json_end(json, ']');
    put_holders(json, view);
    cli_json_end(json, '}');
}

void top_json(const struct watch_list *list, struct cli_out *out)
{
    struct cli_json json = {out, false};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    cli_json_begin(&json, '{');
    cli_json_key(&json, "time");
    cli_json_time(&json, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    cli_json_key(&json, "topics");
    cli_json_begin(&json, '[');
    for (size_t i = 0; i < list->cnt; i++)
        put_topic(&json, list->topics[i]);
    cli_json_end(&json, ']');
    cli_json_end(&json, '}');
    cli_out_char(out, '\n');
}
