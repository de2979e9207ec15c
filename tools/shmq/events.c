/* events.c - two snapshots of a topic, and what must have happened between. */
#include "events.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli_names.h"

bool events_enough(const struct events *events)
{
    return events->limit != 0 && events->cnt >= events->limit;
}

/* -- one line ---------------------------------------------------------------
 */

static bool line_begin(
    struct events *events, const char *event, const char *topic)
{
    struct timespec now;
    struct cli_json *json = &events->json;
    if (events_enough(events))
        return false;
    events->cnt++;
    clock_gettime(CLOCK_REALTIME, &now);
    cli_json_begin(json, '{');
    cli_json_key(json, "event");
    cli_json_name(json, event);
    cli_json_key(json, "time");
    cli_json_time(json, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    cli_json_key(json, "topic");
    cli_json_name(json, topic);
    return true;
}

static void line_end(struct events *events)
{
    cli_json_end(&events->json, '}');
    cli_out_char(&events->out, '\n');
    events->json.comma = false;
}

static void put_name(struct events *events, const char *key, const char *text)
{
    cli_json_key(&events->json, key);
    cli_json_name(&events->json, text);
}

static void put_number(struct events *events, const char *key, uint64_t value)
{
    cli_json_key(&events->json, key);
    cli_json_u64(&events->json, value);
}

static void put_endpoint(
    struct events *events, const struct shmq_endpoint_stat *e)
{
    char comm[sizeof(e->comm) + 1];
    snprintf(comm, sizeof(comm), "%.*s", (int)sizeof(e->comm), e->comm);
    put_number(events, "endpoint", e->id);
    cli_json_key(&events->json, "identity");
    cli_json_position(&events->json, e->identity);
    put_name(events, "role", cli_role_name(e->role));
    put_number(events, "pid", e->pid > 0 ? (uint64_t)e->pid : 0);
    put_name(events, "comm", comm);
    cli_json_key(&events->json, "group");
    if (e->group[0] != '\0')
        cli_json_name(&events->json, e->group);
    else
        cli_json_null(&events->json);
}

static void tell_endpoint(struct events *events, const char *event,
    const char *topic, const struct shmq_endpoint_stat *e)
{
    if (!line_begin(events, event, topic))
        return;
    put_endpoint(events, e);
    line_end(events);
}

/* A counter of a group has grown. */
static void tell_group(struct events *events, const char *event,
    const char *topic, const char *group, uint64_t before, uint64_t now)
{
    if (now <= before || !line_begin(events, event, topic))
        return;
    put_name(events, "group", group);
    put_number(events, "messages", now - before);
    put_number(events, "total", now);
    line_end(events);
}

/* A counter of the topic has grown; `unit` is what it counts. */
static void tell_count(struct events *events, const char *event,
    const char *topic, const char *reason, const char *unit, uint64_t before,
    uint64_t now)
{
    if (now <= before || !line_begin(events, event, topic))
        return;
    put_name(events, "reason", reason);
    put_number(events, unit, now - before);
    put_number(events, "total", now);
    line_end(events);
}

/* -- endpoints --------------------------------------------------------------
 */

static const struct shmq_endpoint_stat *find_identity(
    const struct topic_view *view, uint64_t identity)
{
    for (uint32_t i = 0; i < view->endpoint_cnt; i++) {
        if (view->endpoints[i].identity == identity)
            return &view->endpoints[i];
    }
    return NULL;
}

/* Administrators come and go within one call. */
static bool is_user(const struct shmq_endpoint_stat *e)
{
    return e->role != SHMQ_ROLE_ADMIN;
}

/* Those that are gone without having been seen dead: closed in order, or died
 * and were reaped between two looks. `reaped` tells how many were. */
struct gone {
    uint32_t unclear;
    uint64_t reaped;
};

static struct gone count_gone(
    const struct topic_view *before, const struct topic_view *now)
{
    struct gone gone = {0, now->stat.reaped - before->stat.reaped};
    for (uint32_t i = 0; i < before->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &before->endpoints[i];
        if (!is_user(e) || find_identity(now, e->identity) != NULL)
            continue;
        if (e->state != SHMQ_STATE_DEAD)
            gone.unclear++;
        else if (gone.reaped > 0)
            gone.reaped--;
    }
    return gone;
}

static bool process_is_gone(const struct shmq_endpoint_stat *e)
{
    return e->pid > 0 && kill(e->pid, 0) != 0 && errno == ESRCH;
}

/* Of several that are gone, and whose processes are, too, as many died as were
 * reaped. */
static bool was_reaped(struct gone *gone, const struct shmq_endpoint_stat *e)
{
    if (gone->reaped == 0)
        return false;
    bool died = gone->reaped >= gone->unclear || process_is_gone(e);
    gone->unclear--;
    gone->reaped -= died;
    return died;
}

static void tell_gone(struct events *events, const char *topic,
    const struct topic_view *before, const struct topic_view *now)
{
    struct gone gone = count_gone(before, now);
    for (uint32_t i = 0; i < before->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &before->endpoints[i];
        const struct shmq_endpoint_stat *then = find_identity(now, e->identity);
        if (!is_user(e))
            continue;
        if (then != NULL) {
            if (then->state == SHMQ_STATE_DEAD && e->state != SHMQ_STATE_DEAD)
                tell_endpoint(events, "died", topic, then);
        } else if (e->state == SHMQ_STATE_DEAD) {
            tell_endpoint(events, "reaped", topic, e);
        } else if (was_reaped(&gone, e)) {
            tell_endpoint(events, "died", topic, e);
            tell_endpoint(events, "reaped", topic, e);
        } else {
            tell_endpoint(events, "left", topic, e);
        }
    }
}

static void tell_joined(struct events *events, const char *topic,
    const struct topic_view *before, const struct topic_view *now)
{
    for (uint32_t i = 0; i < now->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &now->endpoints[i];
        if (!is_user(e) || find_identity(before, e->identity) != NULL)
            continue;
        tell_endpoint(events, "joined", topic, e);
        if (e->state == SHMQ_STATE_DEAD)
            tell_endpoint(events, "died", topic, e);
    }
}

static bool holds_up(const struct topic_view *view, uint64_t identity)
{
    const struct shmq_endpoint_stat *e = find_identity(view, identity);
    return e != NULL && e->block_cnt > 0;
}

static void tell_holders(struct events *events, const char *topic,
    const struct topic_view *before, const struct topic_view *now)
{
    for (uint32_t i = 0; i < before->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &before->endpoints[i];
        if (e->block_cnt > 0 && !holds_up(now, e->identity))
            tell_endpoint(events, "released", topic, e);
    }
    for (uint32_t i = 0; i < now->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &now->endpoints[i];
        if (e->block_cnt == 0 || holds_up(before, e->identity) ||
            !line_begin(events, "held_up", topic))
            continue;
        put_endpoint(events, e);
        put_name(events, "state", cli_state_name(e->state));
        put_number(events, "producers", e->block_cnt);
        line_end(events);
    }
}

/* -- groups ------------------------------------------------------------------
 */

static const struct shmq_group_stat *find_group(
    const struct topic_view *view, const char *name)
{
    for (uint32_t i = 0; i < view->group_cnt; i++) {
        if (strcmp(view->groups[i].name, name) == 0)
            return &view->groups[i];
    }
    return NULL;
}

static void tell_made(struct events *events, const char *event,
    const char *topic, const struct shmq_group_stat *g)
{
    if (!line_begin(events, event, topic))
        return;
    put_name(events, "group", g->name);
    put_name(events, "kind", cli_kind_name(g->kind));
    line_end(events);
}

static void tell_groups(struct events *events, const char *topic,
    const struct topic_view *before, const struct topic_view *now)
{
    static const struct shmq_group_stat none;
    for (uint32_t i = 0; i < before->group_cnt; i++) {
        if (find_group(now, before->groups[i].name) == NULL)
            tell_made(events, "group_removed", topic, &before->groups[i]);
    }
    for (uint32_t i = 0; i < now->group_cnt; i++) {
        const struct shmq_group_stat *g = &now->groups[i];
        const struct shmq_group_stat *was = find_group(before, g->name);
        if (was == NULL)
            tell_made(events, "group_made", topic, g);
        /* Moved by a reset it is a new group, which counts from 0. */
        if (was == NULL || was->redelivered > g->redelivered ||
            was->dead_lettered > g->dead_lettered || was->expired > g->expired)
            was = &none;
        tell_group(events, "redelivered", topic, g->name, was->redelivered,
            g->redelivered);
        tell_group(events, "dead_lettered", topic, g->name, was->dead_lettered,
            g->dead_lettered);
        tell_group(events, "expired", topic, g->name, was->expired, g->expired);
    }
}

/* -- a look -------------------------------------------------------------------
 */

static void on_look(void *ctx, const struct watch_topic *topic)
{
    struct events *events = ctx;
    const struct topic_view *before = &topic->before, *now = &topic->now;
    const struct shmq_topic_stat *a = &before->stat, *b = &now->stat;
    const char *name = topic->name;
    tell_groups(events, name, before, now);
    tell_gone(events, name, before, now);
    tell_joined(events, name, before, now);
    tell_count(events, "dropped", name, "drop_new", "messages", a->dropped_new,
        b->dropped_new);
    tell_count(events, "gap", name, "dropped", "frames", a->dropped_old,
        b->dropped_old);
    tell_count(events, "gap", name, "corrupt", "frames", a->dropped_corrupt,
        b->dropped_corrupt);
    tell_count(events, "gap", name, "retention", "frames", a->gap_retention,
        b->gap_retention);
    tell_count(events, "gap", name, "truncated", "frames", a->gap_truncated,
        b->gap_truncated);
    tell_count(events, "gap", name, "lost", "frames", a->gap_lost, b->gap_lost);
    tell_holders(events, name, before, now);
}

static void tell_topic(
    struct events *events, const char *event, const char *name)
{
    if (line_begin(events, event, name))
        line_end(events);
}

static void on_appear(void *ctx, const char *name)
{
    tell_topic(ctx, "topic_made", name);
}

static void on_vanish(void *ctx, const struct watch_topic *topic)
{
    tell_topic(ctx, "topic_removed", topic->name);
}

void events_attach(struct events *events, struct watch_list *list)
{
    events->json.out = &events->out;
    list->appeared = on_appear;
    list->vanished = on_vanish;
    list->looked = on_look;
    list->ctx = events;
}
