/* topic_view_text.c - a topic as text for people. */
#include "topic_view.h"

#include "lib.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli_names.h"
#include "cli_rfc3339.h"

const char *topic_view_printable(const char *text, char *buf, size_t len)
{
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < len; i++) {
        unsigned char c = (unsigned char)text[i];
        buf[i] = c < 0x20 || c >= 0x7f ? '?' : text[i];
    }
    buf[i] = '\0';
    return buf;
}

static void put_time_or_dash(struct cli_out *out, int64_t time_ns)
{
    char text[CLI_RFC3339_BYTES] = "-";
    if (time_ns != 0)
        cli_rfc3339_format(time_ns, text);
    cli_out_text(out, text);
}

static void put_attrs(struct cli_out *out, const struct topic_view *view)
{
    const struct shmq_topic_attrs *a = &view->attrs;
    cli_out_format(out, "topic       %s\n", lib_topic_name(view->topic));
    cli_out_format(out, "namespace   %s\n", lib_topic_namespace(view->topic));
    if (a->ring == SHMQ_RING_SPSC)
        cli_out_format(out, "ring        spsc, capacity_bytes %" PRIu64 "\n",
            a->arena_bytes);
    else
        cli_out_format(out,
            "ring        mpmc, %" PRIu64 " frames, arena %" PRIu64
            " bytes a producer\n",
            a->capacity_frames, a->arena_bytes);
    cli_out_format(out, "durability  %s\n", cli_durability_name(a->durability));
    cli_out_format(out, "on full     %s%s\n", cli_on_full_name(a->on_full),
        view->stat.ring_full != 0 ? " (full now)" : "");
    cli_out_format(
        out, "message     at most %" PRIu64 " bytes\n", a->max_message_bytes);
    cli_out_format(out, "mode        %04o, data %04o\n", a->mode, a->data_mode);
    if (a->schema != NULL)
        cli_out_format(out, "schema      %s\n", a->schema);
    if (a->ttl_ns != 0)
        cli_out_format(out, "expires     after %.3f s, then %s\n",
            (double)a->ttl_ns / 1e9,
            a->flags & SHMQ_TOPIC_TTL_DEAD_LETTER ? "dead-lettered"
                                                  : "skipped");
    cli_out_format(out, "producers   %" PRIu32 " of %" PRIu32 "\n",
        view->stat.producer_cnt, a->max_producers);
    cli_out_format(out, "groups      %" PRIu32 " of %" PRIu32 "\n",
        view->stat.group_cnt, a->max_groups);
    cli_out_format(out, "members     %" PRIu32 " of %" PRIu32 "\n",
        view->stat.member_cnt, a->max_members);
}

static void put_counts(struct cli_out *out, const struct shmq_topic_stat *s)
{
    cli_out_format(out, "memory      %" PRIu64 " bytes\n", s->segment_bytes);
    cli_out_format(out,
        "positions   earliest %" PRIu64 ", published %" PRIu64 "\n",
        s->earliest_position, s->published_position);
    cli_out_format(out, "depth       %" PRIu64 " messages, %" PRIu64 " bytes\n",
        s->depth_messages, s->depth_bytes);
    cli_out_format(out, "total       %" PRIu64 " messages, %" PRIu64 " bytes\n",
        s->total_messages, s->total_bytes);
    cli_out_format(out,
        "dropped     drop_new %" PRIu64 ", drop_old %" PRIu64
        ", corrupt %" PRIu64 "; expired %" PRIu64 "\n",
        s->dropped_new, s->dropped_old, s->dropped_corrupt, s->expired);
    if (s->gap_retention + s->gap_truncated + s->gap_lost != 0)
        cli_out_format(out,
            "gaps        retention %" PRIu64 ", truncated %" PRIu64
            ", lost %" PRIu64 "\n",
            s->gap_retention, s->gap_truncated, s->gap_lost);
}

static void put_durable(struct cli_out *out, const struct shmq_watermarks *m)
{
    cli_out_format(out,
        "levels      written %" PRIu64 ", durable %" PRIu64 "; %" PRIu64
        " messages, %" PRIu64 " bytes on their way\n",
        m->written, m->durable, m->unflushed_messages, m->unflushed_bytes);
    cli_out_format(out, "shmqd       %s, %s\n",
        m->served ? "serves it" : "does not serve it",
        topic_view_state(m->state));
    cli_out_format(out,
        "flushes     %" PRIu64 ", %" PRIu64
        " bytes; p50 %.3f ms, p99 %.3f ms, max %.3f ms at most\n",
        m->flushes, m->flushed_bytes, (double)m->flush_ns_p50 / 1e6,
        (double)m->flush_ns_p99 / 1e6, (double)m->flush_ns_max / 1e6);
    cli_out_format(out,
        "disk        %" PRIu64 " bytes in %" PRIu64 " segments, %" PRIu64
        " bytes free; %" PRIu64 " I/O errors\n",
        m->disk_bytes, m->segments, m->free_bytes, m->io_errors);
    if (m->retain_bytes || m->retain_age_ns || m->max_lag_bytes)
        cli_out_format(out,
            "retention   bytes %" PRIu64 ", age %.0f s, lag %" PRIu64
            " bytes (0: no limit)\n",
            m->retain_bytes, (double)m->retain_age_ns / 1e9, m->max_lag_bytes);
}

/* Who holds producers up: an endpoint that is known to, or a group that keeps
 * its place without having a member. */
void topic_view_holders_text(
    const struct topic_view *view, struct cli_out *out, const char *indent)
{
    char name[SHMQ_GROUP_MAX + 1];
    for (uint32_t i = 0; i < view->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &view->endpoints[i];
        if (e->block_cnt == 0)
            continue;
        cli_out_format(out, "%sheld up by pid %" PRId32 ", %s", indent, e->pid,
            cli_state_name(e->state));
        if (e->group[0] != '\0')
            cli_out_format(out, " (group %s, endpoint %" PRIu32 ")",
                topic_view_printable(e->group, name, sizeof(name)), e->id);
        else
            cli_out_format(out, " (endpoint %" PRIu32 ")", e->id);
        cli_out_char(out, '\n');
    }
    if (view->stat.ring_full == 0)
        return;
    for (uint32_t i = 0; i < view->group_cnt; i++) {
        const struct shmq_group_stat *g = &view->groups[i];
        if (g->gates != 0 && g->member_cnt == 0 &&
            g->floor_position <= view->stat.gate_position)
            cli_out_format(out, "%sheld up by group %s, which has no member\n",
                indent, topic_view_printable(g->name, name, sizeof(name)));
    }
}

void topic_view_groups_text(const struct topic_view *view, struct cli_out *out)
{
    char name[SHMQ_GROUP_MAX + 1];
    if (view->group_cnt == 0)
        return;
    cli_out_format(out, "%-20s %-9s %14s %9s %11s %9s %7s %7s %11s %12s %s\n",
        "GROUP", "KIND", "FLOOR", "LAG", "LAG_BYTES", "OLDEST_S", "MEMBERS",
        "CLAIMED", "REDELIVERED", "DEAD_LETTERS", "IDLE_SINCE");
    for (uint32_t i = 0; i < view->group_cnt; i++) {
        const struct shmq_group_stat *g = &view->groups[i];
        int64_t oldest = g->oldest_unread_ns > 0 ? g->oldest_unread_ns : 0;
        cli_out_format(out,
            "%-20s %-9s %14" PRIu64 " %9" PRIu64 " %11" PRIu64
            " %9.1f %7" PRIu32 " %7" PRIu32 " %11" PRIu64 " %12" PRIu64 " ",
            topic_view_printable(g->name, name, sizeof(name)),
            cli_kind_name(g->kind), g->floor_position, g->lag_messages,
            g->lag_bytes, (double)oldest / 1e9, g->member_cnt, g->claimed,
            g->redelivered, g->dead_lettered);
        put_time_or_dash(out, g->idle_since_ns);
        cli_out_char(out, '\n');
    }
}

static void put_endpoints(struct cli_out *out, const struct topic_view *view)
{
    char name[SHMQ_GROUP_MAX + 1], comm[20], raw[20];
    if (view->endpoint_cnt == 0)
        return;
    cli_out_format(out, "\n%8s %-9s %8s %-16s %-8s %6s %12s %-16s %s\n",
        "ENDPOINT", "ROLE", "PID", "COMM", "STATE", "HOLDS", "MESSAGES",
        "GROUP", "SINCE");
    for (uint32_t i = 0; i < view->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &view->endpoints[i];
        snprintf(raw, sizeof(raw), "%.*s", (int)sizeof(e->comm), e->comm);
        cli_out_format(out,
            "%8" PRIu32 " %-9s %8" PRId32 " %-16s %-8s %6" PRIu64 " %12" PRIu64
            " %-16s ",
            e->id, cli_role_name(e->role), e->pid,
            topic_view_printable(raw, comm, sizeof(comm)),
            cli_state_name(e->state), e->holds_frames, e->messages,
            e->group[0] != '\0'
                ? topic_view_printable(e->group, name, sizeof(name))
                : "-");
        put_time_or_dash(out, e->since_ns);
        cli_out_char(out, '\n');
    }
}

void topic_view_text(const struct topic_view *view, struct cli_out *out)
{
    put_attrs(out, view);
    put_counts(out, &view->stat);
    if (view->durable)
        put_durable(out, &view->marks);
    topic_view_holders_text(view, out, "");
    if (view->group_cnt > 0)
        cli_out_char(out, '\n');
    topic_view_groups_text(view, out);
    put_endpoints(out, view);
}
