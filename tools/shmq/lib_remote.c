/* lib_remote.c - topics through a bridge, by libshmq-remote. Handles of libshmq
 * are never looked into by the commands, so ours stand in their place. */
#include "lib_remote.h"

#ifdef SHMQ_HAVE_REMOTE

#include <stdlib.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_mem.h"
#include "cli_signals.h"

enum { LOOK_NS = 500 * 1000 * 1000 };

static struct shmq_remote *remote;
static bool is_near;

struct far_topic {
    char name[SHMQ_TOPIC_MAX + 16];
    struct shmq_topic_attrs attrs;
    char schema[SHMQ_SCHEMA_MAX + 1];
};

static uint64_t answer_ns = FAR_ANSWER_NS;

struct far_waitset {
    struct shmq_remote_consumer **consumers;
    size_t cnt, cap, turn;
};

/* Names that have been told of; those that go tell it themselves. */
struct far_watch {
    char *pattern;
    char **names;
    size_t cnt, cap, told;
    uint64_t looked_ns;
};

struct shmq_remote *far_connection(void)
{
    return remote;
}

uint64_t far_answer_by(void)
{
    return cli_later(cli_now_ns(), answer_ns);
}

int far_begin(const char *endpoint, const char *key, const char *server_key,
    uint64_t wait_ns)
{
    struct shmq_remote_options o = {.struct_bytes = sizeof o,
        .name = "shmq",
        .server_key = server_key,
        .secret_key = key};
    answer_ns = wait_ns;
    int rc = shmq_remote_open(endpoint, &o, &remote);
    while (rc == SHMQ_OK) {
        rc = shmq_remote_connect_wait(remote, far_answer_by());
        if (rc != SHMQ_ERR_INTR || cli_signal() != 0)
            break;
        rc = SHMQ_OK;
    }
    return rc;
}

void far_end(void)
{
    shmq_remote_close(remote);
    remote = NULL;
}

/* -- topics -----------------------------------------------------------------
 */

static struct far_topic *topic_of(const struct shmq_topic *topic)
{
    return (struct far_topic *)(uintptr_t)topic;
}

const char *far_topic_name(const struct shmq_topic *topic)
{
    return topic_of(topic)->name;
}

int far_topic_list(int (*visit)(void *ctx, const char *topic), void *ctx)
{
    return shmq_remote_topic_list_wait(remote, "*", far_answer_by(), visit, ctx);
}

int far_topic_create(const char *topic, const struct shmq_topic_attrs *attrs)
{
    return shmq_remote_topic_create_wait(remote, topic, attrs, far_answer_by());
}

int far_topic_open(
    const char *topic, const char *schema, struct shmq_topic **ret)
{
    struct far_topic *t = cli_alloc(1, sizeof(*t));
    if (strlen(topic) >= sizeof(t->name)) {
        free(t);
        return SHMQ_ERR_INVAL;
    }
    strcpy(t->name, topic);
    t->attrs.struct_bytes = sizeof(t->attrs);
    int rc = shmq_remote_topic_stat_wait(
        remote, topic, far_answer_by(), &t->attrs, t->schema, NULL);
    if (rc == SHMQ_OK && schema != NULL && strcmp(schema, t->schema) != 0)
        rc = SHMQ_ERR_LAYOUT;
    if (rc != SHMQ_OK) {
        free(t);
        return rc;
    }
    *ret = (struct shmq_topic *)(void *)t;
    return SHMQ_OK;
}

void far_topic_close(struct shmq_topic *topic)
{
    free(topic_of(topic));
}

int far_topic_attrs(struct shmq_topic *topic, struct shmq_topic_attrs *ret)
{
    const struct shmq_topic_attrs *attrs = &topic_of(topic)->attrs;
    uint32_t bytes = ret->struct_bytes;
    memcpy(ret, attrs, bytes < sizeof(*attrs) ? bytes : sizeof(*attrs));
    ret->struct_bytes = bytes;
    return SHMQ_OK;
}

int far_topic_stat(struct shmq_topic *topic, struct shmq_topic_stat *ret)
{
    return shmq_remote_topic_stat_wait(
        remote, far_topic_name(topic), far_answer_by(), NULL, NULL, ret);
}

int far_topic_marks(
    struct shmq_topic *topic, uint64_t *ret_written, uint64_t *ret_durable)
{
    uint64_t published;
    return shmq_remote_topic_watermarks_wait(remote, far_topic_name(topic),
        far_answer_by(), &published, ret_written, ret_durable);
}

int far_topic_groups(struct shmq_topic *topic, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt)
{
    return shmq_remote_topic_groups_wait(
        remote, far_topic_name(topic), far_answer_by(), buf, cap, ret_cnt);
}

int far_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt)
{
    return shmq_remote_topic_endpoints_wait(
        remote, far_topic_name(topic), far_answer_by(), buf, cap, ret_cnt);
}

/* -- consumers --------------------------------------------------------------
 */

static struct shmq_remote_consumer *consumer_of(
    const struct shmq_consumer *consumer)
{
    return (struct shmq_remote_consumer *)(uintptr_t)consumer;
}

int far_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret)
{
    struct shmq_remote_consumer_options o = {.struct_bytes = sizeof(o),
        .flags = options->flags &
            (SHMQ_CONSUMER_NO_CREATE | SHMQ_CONSUMER_MANUAL_ACK),
        .group = options->group,
        .attrs = options->attrs,
        .start = options->start,
        .prefetch_frames = options->prefetch_frames};
    struct shmq_remote_consumer *consumer;
    if (options->flags & SHMQ_CONSUMER_READ_PUBLISHED)
        o.read_level = SHMQ_REMOTE_LEVEL_PUBLISHED;
    else if (options->flags & SHMQ_CONSUMER_READ_DURABLE)
        o.read_level = topic_of(topic)->attrs.durability == SHMQ_DURABILITY_OS
            ? SHMQ_REMOTE_LEVEL_WRITTEN
            : SHMQ_REMOTE_LEVEL_DURABLE;
    int rc = shmq_remote_consumer_open_wait(
        remote, far_topic_name(topic), &o, far_answer_by(), &consumer);
    if (rc == SHMQ_OK)
        *ret = (struct shmq_consumer *)(void *)consumer;
    return rc;
}

void far_consumer_close(struct shmq_consumer *consumer)
{
    shmq_remote_consumer_close(consumer_of(consumer));
}

int far_consumer_release(
    struct shmq_consumer *consumer, struct shmq_message *msg)
{
    return shmq_remote_consumer_release(consumer_of(consumer), msg);
}

int far_consumer_settle(struct shmq_consumer *consumer)
{
    int rc;
    do { /* a bridge that is away may come back */
        rc =
            shmq_remote_consumer_flush_wait(consumer_of(consumer), far_answer_by());
    } while (
        rc == SHMQ_ERR_INTR || (rc == SHMQ_ERR_TIMEOUT && cli_signal() == 0));
    return rc == SHMQ_ERR_TIMEOUT ? SHMQ_ERR_STALE : rc;
}

int far_consumer_gap(const struct shmq_consumer *consumer, struct shmq_gap *ret)
{
    return shmq_remote_consumer_gap(consumer_of(consumer), ret);
}

int far_consumer_drained(struct shmq_consumer *consumer)
{
    int rc =
        shmq_remote_consumer_drained_wait(consumer_of(consumer), far_answer_by());
    /* A lost connection, a signal: it is asked again. */
    return rc == SHMQ_ERR_STALE || rc == SHMQ_ERR_INTR ? 0 : rc;
}

int far_consumer_created_group(const struct shmq_consumer *consumer)
{
    return shmq_remote_consumer_created_group(consumer_of(consumer));
}

/* -- wait sets ---------------------------------------------------------------
 */

static struct far_waitset *set_of(const struct shmq_waitset *set)
{
    return (struct far_waitset *)(uintptr_t)set;
}

int far_waitset_open(struct shmq_waitset **ret)
{
    *ret = (struct shmq_waitset *)cli_alloc(1, sizeof(struct far_waitset));
    return SHMQ_OK;
}

void far_waitset_close(struct shmq_waitset *set)
{
    struct far_waitset *s = set_of(set);
    if (s == NULL)
        return;
    free(s->consumers);
    free(s);
}

int far_waitset_add(struct shmq_waitset *set, struct shmq_consumer *consumer)
{
    struct far_waitset *s = set_of(set);
    cli_grow(&s->consumers, &s->cap, s->cnt + 1, sizeof(*s->consumers));
    s->consumers[s->cnt++] = consumer_of(consumer);
    return SHMQ_OK;
}

int far_waitset_remove(struct shmq_waitset *set, struct shmq_consumer *consumer)
{
    struct far_waitset *s = set_of(set);
    for (size_t i = 0; i < s->cnt; i++) {
        if (s->consumers[i] != consumer_of(consumer))
            continue;
        s->consumers[i] = s->consumers[--s->cnt];
        return SHMQ_OK;
    }
    return SHMQ_ERR_NOENT;
}

int far_waitset_receive(struct shmq_waitset *set, struct shmq_message *ret,
    struct shmq_consumer **ret_from)
{
    struct far_waitset *s = set_of(set);
    for (size_t i = 0; i < s->cnt; i++) {
        struct shmq_remote_consumer *c = s->consumers[s->turn++ % s->cnt];
        int rc = shmq_remote_consumer_receive(c, ret);
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        if (rc == SHMQ_OK)
            s->turn--; /* it goes on until it has none */
        *ret_from = (struct shmq_consumer *)(void *)c;
        return rc;
    }
    return SHMQ_ERR_EMPTY;
}

int far_waitset_receive_wait(struct shmq_waitset *set, uint64_t deadline_ns,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    for (;;) {
        int rc = far_waitset_receive(set, ret, ret_from);
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        if (cli_now_ns() >= deadline_ns)
            return SHMQ_ERR_TIMEOUT;
        if (shmq_remote_wait(remote, deadline_ns) != SHMQ_OK)
            return SHMQ_ERR_INTR;
    }
}

/* -- topics that come ---------------------------------------------------------
 */

static struct far_watch *watch_of(const struct shmq_watch *watch)
{
    return (struct far_watch *)(uintptr_t)watch;
}

static char *copy(const char *text)
{
    char *to = cli_alloc(strlen(text) + 1, 1);
    return strcpy(to, text);
}

int far_watch_open(const char *pattern, struct shmq_watch **ret)
{
    struct shmq_watch *here; /* knows which patterns are legal */
    int rc = shmq_watch_open(NULL, pattern, &here);
    is_near = rc != SHMQ_OK;
    if (rc != SHMQ_OK)
        return rc;
    shmq_watch_close(here);
    struct far_watch *w = cli_alloc(1, sizeof(*w));
    w->pattern = copy(pattern);
    *ret = (struct shmq_watch *)(void *)w;
    return SHMQ_OK;
}

void far_watch_close(struct shmq_watch *watch)
{
    struct far_watch *w = watch_of(watch);
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->cnt; i++)
        free(w->names[i]);
    free(w->names);
    free(w->pattern);
    free(w);
}

bool far_is_near(void)
{
    return is_near;
}

void far_watch_forget(struct shmq_watch *watch, const char *topic)
{
    struct far_watch *w = watch_of(watch);
    for (size_t i = 0; i < w->told; i++) {
        if (strcmp(w->names[i], topic) != 0)
            continue;
        free(w->names[i]);
        w->told--;
        w->cnt--;
        memmove(
            &w->names[i], &w->names[i + 1], (w->cnt - i) * sizeof(*w->names));
        return;
    }
}

static int add_name(void *ctx, const char *topic)
{
    struct far_watch *w = ctx;
    for (size_t i = 0; i < w->cnt; i++) {
        if (strcmp(w->names[i], topic) == 0)
            return 0;
    }
    cli_grow(&w->names, &w->cap, w->cnt + 1, sizeof(*w->names));
    w->names[w->cnt++] = copy(topic);
    return 0;
}

int far_watch_next(struct shmq_watch *watch, struct shmq_watch_event *ret)
{
    struct far_watch *w = watch_of(watch);
    uint64_t now = cli_now_ns();
    if (w->told == w->cnt &&
        (w->looked_ns == 0 || now - w->looked_ns >= LOOK_NS)) {
        w->looked_ns = now;
        int rc = shmq_remote_topic_list_wait(
            remote, w->pattern, far_answer_by(), add_name, w);
        if (rc != SHMQ_OK && rc != SHMQ_ERR_INTR)
            return rc;
    }
    if (w->told == w->cnt)
        return SHMQ_ERR_EMPTY;
    const char *name = w->names[w->told++];
    memset(ret, 0, sizeof(*ret));
    ret->kind = SHMQ_WATCH_THERE;
    strncpy(ret->topic, name, sizeof(ret->topic) - 1);
    return SHMQ_OK;
}

#endif
