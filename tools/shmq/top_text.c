/* top_text.c - the table of `shmq top`: a line a topic, and under it a line a
 * group and a line for everybody who holds producers up. */
#include "top.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli_names.h"
#include "cli_rfc3339.h"

static void put_head(const struct watch_list *list, struct cli_out *out)
{
    char text[CLI_RFC3339_BYTES];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    cli_rfc3339_format((int64_t)now.tv_sec * 1000000000, text);
    /* prefix: "shmq.NS.d." */
    cli_out_format(out, "%.19sZ  namespace %.*s, %zu topics\n", text,
        (int)strlen(list->prefix) - 8, list->prefix + 5, list->cnt);
    cli_out_format(out, "%-28s %-8s %10s %12s %9s %6s %9s %5s %5s\n", "TOPIC",
        "RING", "IN/S", "BYTES/S", "DEPTH", "FULL", "DROPS/S", "PROD", "MEMB");
    cli_out_format(out, "%-28s %-8s %10s %12s %9s %6s %9s %5s %5s\n", "  GROUP",
        "KIND", "OUT/S", "AGAIN/S", "LAG", "CLAIMS", "LATENCY_S", "DEAD",
        "MEMB");
}

static void put_group(const struct watch_topic *topic,
    const struct shmq_group_stat *g, struct cli_out *out)
{
    char name[SHMQ_GROUP_MAX + 1];
    struct top_group_rates r;
    int64_t oldest = g->oldest_unread_ns > 0 ? g->oldest_unread_ns : 0;
    top_group_rates(topic, g, &r);
    cli_out_format(out,
        "  %-26s %-8s %10.0f %12.0f %9" PRIu64 " %6" PRIu32 " %9.3f %5" PRIu64
        " %5" PRIu32 "\n",
        topic_view_printable(g->name, name, sizeof(name)),
        g->kind == SHMQ_GROUP_SHARED ? "shared" : "excl.", r.out_messages,
        r.redelivered, g->lag_messages, g->claimed, (double)oldest / 1e9,
        g->dead_lettered, g->member_cnt);
}

static void put_topic(const struct watch_topic *topic, struct cli_out *out)
{
    const struct topic_view *view = &topic->now;
    struct top_rates r;
    if (!topic->is_open) {
        cli_out_format(out, "%-28s cannot be read: %s\n", topic->name,
            shmq_err_name(topic->open_rc));
        return;
    }
    top_rates(topic, &r);
    cli_out_format(out,
        "%-28s %-8s %10.0f %12.0f %9" PRIu64 " %6s %9.0f %5" PRIu32 " %5" PRIu32
        "\n",
        topic->name, cli_ring_name(view->attrs.ring), r.in_messages, r.in_bytes,
        view->stat.depth_messages, view->stat.ring_full ? "full" : "-",
        r.dropped, view->stat.producer_cnt, view->stat.member_cnt);
    for (uint32_t i = 0; i < view->group_cnt; i++)
        put_group(topic, &view->groups[i], out);
    topic_view_holders_text(view, out, "    ");
}

void top_text(const struct watch_list *list, struct cli_out *out)
{
    put_head(list, out);
    for (size_t i = 0; i < list->cnt; i++)
        put_topic(list->topics[i], out);
    for (uint32_t i = 0; i < list->only_cnt; i++) {
        if (!watch_list_has(list, list->only[i]))
            cli_out_format(out, "%-28s is not there\n", list->only[i]);
    }
}
