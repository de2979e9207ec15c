/* topic_view_json.c - a topic as JSON. Keys are added, never renamed. */
#include "topic_view.h"

#include "lib.h"

#include <stdio.h>

#include "cli_names.h"

static void put_number(struct cli_json *json, const char *key, uint64_t value)
{
    cli_json_key(json, key);
    cli_json_u64(json, value);
}

static void put_position(
    struct cli_json *json, const char *key, uint64_t position)
{
    cli_json_key(json, key);
    cli_json_position(json, position);
}

static void put_name(struct cli_json *json, const char *key, const char *text)
{
    cli_json_key(json, key);
    cli_json_name(json, text);
}

static void put_null(struct cli_json *json, const char *key)
{
    cli_json_key(json, key);
    cli_json_null(json);
}

static void put_octal(struct cli_json *json, const char *key, uint32_t mode)
{
    char text[16];
    snprintf(text, sizeof(text), "%04o", mode);
    put_name(json, key, text);
}

static void put_seconds(struct cli_json *json, const char *key, uint64_t ns)
{
    cli_json_key(json, key);
    cli_json_seconds(json, ns);
}

static void put_time(struct cli_json *json, const char *key, int64_t time_ns)
{
    cli_json_key(json, key);
    if (time_ns == 0)
        cli_json_null(json);
    else
        cli_json_time(json, time_ns);
}

static void put_group(
    struct cli_json *json, const struct shmq_group_stat *group)
{
    int64_t oldest = group->oldest_unread_ns;
    cli_json_begin(json, '{');
    put_name(json, "group", group->name);
    put_name(json, "kind", cli_kind_name(group->kind));
    put_position(json, "floor", group->floor_position);
    put_number(json, "lag_messages", group->lag_messages);
    put_number(json, "lag_bytes", group->lag_bytes);
    put_seconds(
        json, "oldest_unread_seconds", oldest > 0 ? (uint64_t)oldest : 0);
    put_number(json, "members", group->member_cnt);
    put_number(json, "claimed", group->claimed);
    put_number(json, "redelivered", group->redelivered);
    put_number(json, "dead_lettered", group->dead_lettered);
    put_number(json, "dead_waits", group->dead_waits);
    put_number(json, "expired", group->expired);
    put_time(json, "idle_since", group->idle_since_ns);
    put_seconds(json, "lease_seconds", group->lease_ns);
    put_name(json, "absent", cli_absent_name(group->absent));
    put_number(json, "max_attempts", group->max_attempts);
    put_name(json, "dead_letter", group->dead_letter);
    cli_json_key(json, "gates");
    cli_json_bool(json, group->gates != 0);
    cli_json_end(json, '}');
}

void topic_view_groups_json(
    const struct topic_view *view, struct cli_json *json)
{
    cli_json_begin(json, '[');
    for (uint32_t i = 0; i < view->group_cnt; i++)
        put_group(json, &view->groups[i]);
    cli_json_end(json, ']');
}

static void put_blocks(
    struct cli_json *json, const struct shmq_endpoint_stat *endpoint)
{
    uint32_t cap = sizeof(endpoint->blocks) / sizeof(endpoint->blocks[0]);
    cli_json_key(json, "blocks");
    cli_json_begin(json, '[');
    for (uint32_t i = 0; i < endpoint->block_cnt && i < cap; i++)
        cli_json_u64(json, endpoint->blocks[i]);
    cli_json_end(json, ']');
}

static void put_endpoint(
    struct cli_json *json, const struct shmq_endpoint_stat *endpoint)
{
    char comm[sizeof(endpoint->comm) + 1];
    snprintf(comm, sizeof(comm), "%.*s", (int)sizeof(endpoint->comm),
        endpoint->comm);
    cli_json_begin(json, '{');
    put_number(json, "id", endpoint->id);
    put_name(json, "role", cli_role_name(endpoint->role));
    put_number(json, "pid", endpoint->pid > 0 ? (uint64_t)endpoint->pid : 0);
    put_name(json, "comm", comm);
    put_name(json, "state", cli_state_name(endpoint->state));
    put_time(json, "since", endpoint->since_ns);
    put_number(json, "holds_frames", endpoint->holds_frames);
    put_blocks(json, endpoint);
    cli_json_key(json, "group");
    if (endpoint->group[0] != '\0')
        cli_json_name(json, endpoint->group);
    else
        cli_json_null(json);
    put_position(json, "identity", endpoint->identity);
    put_number(json, "messages", endpoint->messages);
    cli_json_key(json, "other_pid_namespace");
    cli_json_bool(json, endpoint->state == SHMQ_STATE_UNKNOWN);
    cli_json_end(json, '}');
}

static void put_attrs(struct cli_json *json, const struct topic_view *view)
{
    const struct shmq_topic_attrs *attrs = &view->attrs;
    put_name(json, "ring", cli_ring_name(attrs->ring));
    put_name(json, "durability", cli_durability_name(attrs->durability));
    put_name(json, "on_full", cli_on_full_name(attrs->on_full));
    if (attrs->ring == SHMQ_RING_SPSC) {
        put_null(json, "capacity_frames");
        put_number(json, "capacity_bytes", attrs->arena_bytes);
    } else {
        put_number(json, "capacity_frames", attrs->capacity_frames);
        put_number(json, "arena_bytes", attrs->arena_bytes);
    }
    put_number(json, "max_message_bytes", attrs->max_message_bytes);
    put_number(json, "max_producers", attrs->max_producers);
    put_number(json, "max_groups", attrs->max_groups);
    put_number(json, "max_members", attrs->max_members);
    put_octal(json, "mode", attrs->mode);
    put_octal(json, "data_mode", attrs->data_mode);
    cli_json_key(json, "asymmetric");
    cli_json_bool(json, (attrs->flags & SHMQ_TOPIC_ASYMMETRIC) != 0);
    put_name(json, "timestamps", cli_timestamps_name(attrs->timestamps));
    cli_json_key(json, "ttl_seconds");
    if (attrs->ttl_ns != 0)
        cli_json_seconds(json, attrs->ttl_ns);
    else
        cli_json_null(json);
    put_name(json, "expired",
        attrs->flags & SHMQ_TOPIC_TTL_DEAD_LETTER ? "dead-letter" : "skip");
    cli_json_key(json, "schema");
    if (attrs->schema != NULL)
        cli_json_name(json, attrs->schema);
    else
        cli_json_null(json);
    cli_json_key(json, "prefault");
    cli_json_bool(json, (attrs->flags & SHMQ_TOPIC_PREFAULT) != 0);
    cli_json_key(json, "mlock");
    cli_json_bool(json, (attrs->flags & SHMQ_TOPIC_MLOCK) != 0);
    cli_json_key(json, "huge");
    cli_json_bool(json, (attrs->flags & SHMQ_TOPIC_HUGE) != 0);
    put_number(json, "owner", attrs->owner);
    put_number(json, "group_owner", attrs->group_owner);
}

/* Keys of durable topics only. */
static void put_durable(
    struct cli_json *json, const struct shmq_watermarks *marks)
{
    put_name(json, "durable_state", topic_view_state(marks->state));
    cli_json_key(json, "served");
    cli_json_bool(json, marks->served != 0);
    put_position(json, "start", marks->start);
    put_number(json, "unflushed_bytes", marks->unflushed_bytes);
    put_number(json, "unflushed_messages", marks->unflushed_messages);
    put_number(json, "flushes", marks->flushes);
    put_number(json, "flushed_bytes", marks->flushed_bytes);
    cli_json_key(json, "flush_seconds");
    cli_json_begin(json, '{');
    put_seconds(json, "p50", marks->flush_ns_p50);
    put_seconds(json, "p99", marks->flush_ns_p99);
    put_seconds(json, "max", marks->flush_ns_max);
    cli_json_end(json, '}');
    put_number(json, "io_errors", marks->io_errors);
    put_number(json, "disk_bytes", marks->disk_bytes);
    put_number(json, "disk_segments", marks->segments);
    put_number(json, "disk_free_bytes", marks->free_bytes);
    put_number(json, "retain_bytes", marks->retain_bytes);
    put_seconds(json, "retain_age_seconds", marks->retain_age_ns);
    put_number(json, "max_lag_bytes", marks->max_lag_bytes);
}

static void put_counts(struct cli_json *json, const struct topic_view *view)
{
    const struct shmq_topic_stat *stat = &view->stat;
    put_number(json, "segment_bytes", stat->segment_bytes);
    cli_json_key(json, "positions");
    cli_json_begin(json, '{');
    put_position(json, "earliest", stat->earliest_position);
    put_position(json, "published", stat->published_position);
    /* Levels that a topic in memory does not have. */
    if (view->durable || view->far_marks) {
        put_position(json, "written", view->marks.written);
        put_position(json, "durable", view->marks.durable);
    } else {
        put_null(json, "written");
        put_null(json, "durable");
    }
    cli_json_end(json, '}');
    if (view->durable)
        put_durable(json, &view->marks);
    cli_json_key(json, "depth");
    cli_json_begin(json, '{');
    put_number(json, "messages", stat->depth_messages);
    put_number(json, "bytes", stat->depth_bytes);
    cli_json_end(json, '}');
    cli_json_key(json, "total");
    cli_json_begin(json, '{');
    put_number(json, "messages", stat->total_messages);
    put_number(json, "bytes", stat->total_bytes);
    cli_json_end(json, '}');
    cli_json_key(json, "dropped");
    cli_json_begin(json, '{');
    put_number(json, "drop_new", stat->dropped_new);
    put_number(json, "drop_old", stat->dropped_old);
    put_number(json, "corrupt", stat->dropped_corrupt);
    put_number(json, "retention", stat->gap_retention);
    put_number(json, "truncated", stat->gap_truncated);
    put_number(json, "lost", stat->gap_lost);
    cli_json_end(json, '}');
    cli_json_key(json, "full");
    cli_json_bool(json, stat->ring_full != 0);
    put_number(json, "leaked_loan_bytes", stat->leaked_loan_bytes);
    put_number(json, "expired_messages", stat->expired);
    put_number(json, "reaped", stat->reaped);
}

void topic_view_json(const struct topic_view *view, struct cli_json *json)
{
    cli_json_begin(json, '{');
    put_name(json, "topic", lib_topic_name(view->topic));
    put_name(json, "namespace", lib_topic_namespace(view->topic));
    put_attrs(json, view);
    put_counts(json, view);
    cli_json_key(json, "groups");
    topic_view_groups_json(view, json);
    cli_json_key(json, "endpoints");
    cli_json_begin(json, '[');
    for (uint32_t i = 0; i < view->endpoint_cnt; i++)
        put_endpoint(json, &view->endpoints[i]);
    cli_json_end(json, ']');
    cli_json_end(json, '}');
}
