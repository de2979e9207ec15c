/* control_ask.c - what clients may ask, and the answers. */
#include "control_socket.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <shmq.h>

#include "journal.h"
#include "topics.h"

/* A text that is cut where it no longer fits. */
struct text {
    char *to;
    size_t room, len;
};

static void put(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n =
        vsnprintf(text->to + text->len, text->room - text->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < text->room - text->len)
        text->len += (size_t)n;
    else
        text->to[text->len] = '\0';
}

static void put_name(struct text *text, const char **comma, const char *name)
{
    enum { TAIL = 200 }; /* for what follows */
    if (text->len + strlen(name) + TAIL > text->room)
        return;
    put(text, "%s\"%s\"", *comma, name);
    *comma = ",";
}

static void put_names(struct text *text, struct shmqd *daemon, const char *key,
    enum shmqd_topic_state state)
{
    const char *comma = "";
    put(text, ",\"%s\":[", key);
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        if (daemon->topics[i]->state == state)
            put_name(text, &comma, daemon->topics[i]->name);
    }
    for (uint32_t i = 0; state == SHMQD_TOPIC_FAILED && i < daemon->unmade_cnt;
         i++) {
        const char *name = shmqd_topics_unmade(daemon, i);
        if (name != NULL)
            put_name(text, &comma, name);
    }
    put(text, "]");
}

static bool is_well(struct shmqd *daemon)
{
    for (uint32_t i = 0; i < daemon->unmade_cnt; i++) {
        if (shmqd_topics_unmade(daemon, i) != NULL)
            return false;
    }
    if (!shmqd_journal_is_well(daemon->journal))
        return false;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        const struct shmqd_topic *topic = daemon->topics[i];
        if (topic->state != SHMQD_TOPIC_SERVED ||
            topic->told_state != SHMQ_DURABLE_OK)
            return false;
    }
    return true;
}

static void answer_ping(struct shmqd *daemon, struct shmqi_answer *ret)
{
    struct text text = {ret->text, sizeof(ret->text), 0};
    put(&text,
        "{\"version\":\"%s\",\"pid\":%d,\"namespace\":\"%s\",\"state\":\"%s\","
        "\"io\":\"%s\",\"topics\":%u,\"uptime_seconds\":%" PRIu64,
        shmq_version(), (int)getpid(), daemon->ns,
        is_well(daemon) ? "ok" : "degraded",
        shmqd_store_back_end(daemon->store), daemon->topic_cnt,
        (shmqd_clock_ns() - daemon->started_ns) / 1000000000);
    put(&text, ",\"groups\":\"%s\"",
        shmqd_journal_is_well(daemon->journal) ? "ok" : "not noted");
    put_names(&text, daemon, "left_alone", SHMQD_TOPIC_LEFT_ALONE);
    put_names(&text, daemon, "failed", SHMQD_TOPIC_FAILED);
    put_names(&text, daemon, "waiting", SHMQD_TOPIC_BEGINS);
    put(&text, "}");
}

static void answer_create(
    struct shmqd *daemon, const struct shmqi_ask *ask, struct shmqi_answer *ret)
{
    struct shmqd_meta meta;
    struct shmq_retention retain = ask->retain;
    shmqd_meta_init(&meta);
    meta.attrs = ask->attrs;
    snprintf(meta.schema, sizeof(meta.schema), "%s", ask->schema);
    meta.attrs.schema = meta.schema[0] != '\0' ? meta.schema : NULL;
    retain.consumed = ask->consumed;
    shmqd_meta_retain(&meta, &retain);
    ret->rc = shmqd_topics_make(
        daemon, ask->topic, &meta, ret->text, sizeof(ret->text));
}

static void answer_retain(
    struct shmqd *daemon, const struct shmqi_ask *ask, struct shmqi_answer *ret)
{
    struct shmqd_topic *topic = shmqd_topics_find(daemon, ask->topic);
    struct shmq_retention change = ask->retain;
    change.consumed = ask->consumed;
    if (topic == NULL) {
        snprintf(ret->text, sizeof(ret->text), "%s: no such durable topic",
            ask->topic);
        ret->rc = SHMQ_ERR_NOENT;
        return;
    }
    ret->rc =
        shmqd_topic_set_retention(topic, &change, ret->text, sizeof(ret->text));
}

void shmqd_control_answer(
    struct shmqd *daemon, const struct shmqi_ask *ask, struct shmqi_answer *ret)
{
    switch ((enum shmqi_ask_kind)ask->kind) {
    case SHMQI_ASK_PING:
        answer_ping(daemon, ret);
        return;
    case SHMQI_ASK_CREATE:
        answer_create(daemon, ask, ret);
        return;
    case SHMQI_ASK_RETAIN:
        answer_retain(daemon, ask, ret);
        return;
    case SHMQI_ASK_REMOVE:
        ret->rc = shmqd_topics_remove(
            daemon, ask->topic, ask->flags, ret->text, sizeof(ret->text));
        return;
    }
    ret->rc = SHMQ_ERR_INVAL;
    snprintf(ret->text, sizeof(ret->text), "this shmqd does not know that");
}
