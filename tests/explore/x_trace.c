/* x_trace.c - what happened, word by word, with the names of words. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "explore.h"

#define LINES 65536u

bool x_tracing;
static char (*lines)[160];
static uint64_t line_cnt;

void x_trace_begin(void)
{
    static char store[LINES][160];
    lines = store;
    line_cnt = 0;
}

struct field {
    size_t off;
    const char *name;
};

#define FIELD(s, f) \
    { \
        offsetof(struct s, f), #f \
    }

static const struct field data_fields[] = {FIELD(shmqi_data_shm, tail),
    FIELD(shmqi_data_shm, gate), FIELD(shmqi_data_shm, role),
    FIELD(shmqi_data_shm, role_cnt), FIELD(shmqi_data_shm, hint),
    FIELD(shmqi_data_shm, reclaimed), FIELD(shmqi_data_shm, dropped_new),
    {0, NULL}};
static const struct field arena_fields[] = {FIELD(shmqi_arena_shm, owner),
    FIELD(shmqi_arena_shm, reclaimed), FIELD(shmqi_arena_shm, messages),
    FIELD(shmqi_arena_shm, bytes), FIELD(shmqi_arena_shm, loaned_bytes),
    {0, NULL}};
static const struct field control_fields[] = {FIELD(shmqi_control_shm, version),
    FIELD(shmqi_control_shm, armed_members),
    FIELD(shmqi_control_shm, armed_producers),
    FIELD(shmqi_control_shm, dropped_old),
    FIELD(shmqi_control_shm, dropped_corrupt),
    FIELD(shmqi_control_shm, gap_retention),
    FIELD(shmqi_control_shm, gap_truncated), FIELD(shmqi_control_shm, gap_lost),
    {0, NULL}};
static const struct field endpoint_fields[] = {
    FIELD(shmqi_endpoint_shm, identity),
    FIELD(shmqi_endpoint_shm, pid_namespace), FIELD(shmqi_endpoint_shm, pid),
    FIELD(shmqi_endpoint_shm, start_time), FIELD(shmqi_endpoint_shm, image),
    FIELD(shmqi_endpoint_shm, since_ns), FIELD(shmqi_endpoint_shm, comm),
    FIELD(shmqi_endpoint_shm, member_of), FIELD(shmqi_endpoint_shm, touching),
    FIELD(shmqi_endpoint_shm, lease), FIELD(shmqi_endpoint_shm, views),
    FIELD(shmqi_endpoint_shm, holds), FIELD(shmqi_endpoint_shm, messages),
    FIELD(shmqi_endpoint_shm, evicted), FIELD(shmqi_endpoint_shm, doorbell),
    FIELD(shmqi_endpoint_shm, waiting), FIELD(shmqi_endpoint_shm, wake),
    {0, NULL}};
static const struct field name_fields[] = {FIELD(shmqi_name_shm, hash),
    FIELD(shmqi_name_shm, bind), FIELD(shmqi_name_shm, bytes), {0, NULL}};
static const struct field group_fields[] = {FIELD(shmqi_group_shm, word),
    FIELD(shmqi_group_shm, attrs), FIELD(shmqi_group_shm, lease_ns),
    FIELD(shmqi_group_shm, redelivered), FIELD(shmqi_group_shm, dead_lettered),
    FIELD(shmqi_group_shm, idle_since_ns), FIELD(shmqi_group_shm, floor),
    FIELD(shmqi_group_shm, seen), FIELD(shmqi_group_shm, reader),
    FIELD(shmqi_group_shm, next), FIELD(shmqi_group_shm, freeing),
    FIELD(shmqi_group_shm, dead_letter), {0, NULL}};

static const char *field_at(const struct field *f, size_t off)
{
    const char *name = "?";
    for (; f->name && f->off <= off; f++)
        name = f->name;
    return name;
}

static bool in_table(char *buf, size_t size, const void *p, const void *table,
    size_t cnt, size_t each, const char *what, const struct field *fields)
{
    uint64_t off = (uint64_t)((const uint8_t *)p - (const uint8_t *)table);
    if (off >= cnt * each)
        return false;
    if (fields)
        (void)snprintf(buf, size, "%s[%zu].%s", what, (size_t)(off / each),
            field_at(fields, off % each));
    else
        (void)snprintf(buf, size, "%s[%zu]", what, (size_t)(off / each));
    return true;
}

void x_name(char *buf, size_t size, const void *p)
{
    const struct shmqi_ring *r = x_ring();
    size_t slots = r->ring == SHMQ_RING_MPMC ? (size_t)1 << r->cap_lg2 : 0;
    size_t claims =
        r->ring == SHMQ_RING_MPMC ? (size_t)r->group_cnt << r->claim_lg2 : 0;
    size_t bytes = (size_t)(r->arena_bytes * r->producer_cnt);
    uint64_t at;
    if (in_table(buf, size, p, r->slots, slots, 8, "slot", NULL) ||
        in_table(buf, size, p, r->claims, claims, 8, "claim", NULL) ||
        in_table(buf, size, p, r->arenas, r->producer_cnt, sizeof *r->arenas,
            "arena", arena_fields) ||
        in_table(buf, size, p, r->endpoints, r->endpoint_cnt,
            sizeof *r->endpoints, "endpoint", endpoint_fields) ||
        in_table(buf, size, p, r->names, r->name_cnt, sizeof *r->names, "name",
            name_fields) ||
        in_table(buf, size, p, r->groups, r->group_cnt, sizeof *r->groups,
            "group", group_fields) ||
        in_table(
            buf, size, p, r->data, 1, sizeof *r->data, "data", data_fields) ||
        in_table(buf, size, p, r->control, 1, sizeof *r->control, "control",
            control_fields))
        return;
    at = (uint64_t)((const uint8_t *)p - r->arena_base);
    if (at < bytes)
        (void)snprintf(buf, size, "byte %" PRIu64 " of arena %" PRIu64,
            at % r->arena_bytes, at / r->arena_bytes);
    else
        (void)snprintf(buf, size, "offset %" PRIu64, x_memory_off(p));
}

void x_trace(const char *verb, const char *edge, const void *p, uint64_t v,
    uint32_t stale, uint32_t of)
{
    char name[64] = "", old[32] = "";
    if (p)
        x_name(name, sizeof name, p);
    if (of > 1)
        (void)snprintf(old, sizeof old, " (%u back of %u)", stale, of - 1);
    (void)snprintf(lines[line_cnt++ % LINES], sizeof *lines,
        "%5u %u  %-8s %-3s %-24s %#" PRIx64 "%s", x_run.steps,
        x_me ? x_me->who : 0, verb, edge, name, v, old);
}

void x_trace_note(const char *fmt, ...)
{
    va_list ap;
    if (!x_tracing)
        return;
    char text[120];
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)snprintf(lines[line_cnt++ % LINES], sizeof *lines, "%5u %u  -- %s",
        x_run.steps, x_me ? x_me->who : 0, text);
}

void x_trace_print(uint32_t last)
{
    uint64_t from = line_cnt > last ? line_cnt - last : 0;
    printf(" step thread: access, edge, word, value\n");
    for (uint64_t i = from; i < line_cnt; i++)
        printf("%s\n", lines[i % LINES]);
}
