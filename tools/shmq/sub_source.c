/* sub_source.c - the topics that `shmq sub` reads. */
#include "sub.h"

#include <stdlib.h>
#include <string.h>

#include "cli_group_opts.h"
#include "cli_mem.h"
#include "lib.h"

int sub_topic_open(
    const struct sub_options *o, const char *name, struct shmq_topic **ret)
{
    return o->schema != NULL
        ? lib_topic_open_schema(o->ns, name, o->schema, ret)
        : lib_topic_open(o->ns, name, ret);
}

static int open_consumer(struct sub *sub, struct sub_source *source)
{
    const struct sub_options *o = sub->options;
    struct shmq_consumer_options options;
    memset(&options, 0, sizeof(options));
    options.struct_bytes = sizeof(options);
    options.group = o->group;
    options.attrs = o->attrs;
    options.start = o->from;
    /* Of a topic that came while we watch, nothing is too old. */
    if (source->is_new &&
        (o->from.kind == SHMQ_START_DEFAULT ||
            o->from.kind == SHMQ_START_LATEST))
        options.start.kind = SHMQ_START_EARLIEST;
    options.prefetch_frames = o->prefetch;
    options.flags = o->flags;
    if (o->ack == SUB_ACK_NONE)
        options.flags |= SHMQ_CONSUMER_MANUAL_ACK;
    if (o->group != NULL) {
        int rc =
            cli_group_kind(source->topic, o->exclusive, &options.attrs.kind);
        if (rc != SHMQ_OK)
            return rc;
    }
    int rc = lib_consumer_open(source->topic, &options, &source->consumer);
    if (rc != SHMQ_OK)
        return rc;
    if (o->group != NULL && o->from_given &&
        lib_consumer_created_group(source->consumer) == 0)
        cli_note("%s: group %s exists and continues where it is; "
                 "`shmq group reset` moves it, --from does not",
            source->name, o->group);
    return lib_waitset_add(sub->set, source->consumer);
}

static void source_free(struct sub_source *source)
{
    lib_consumer_close(source->consumer);
    lib_topic_close(source->topic);
    free(source->name);
    free(source);
}

int sub_source_add(struct sub *sub, const char *name, struct shmq_topic *topic)
{
    struct sub_source *source = cli_alloc(1, sizeof(*source));
    size_t len = strlen(name) + 1;
    source->name = cli_alloc(len, 1);
    memcpy(source->name, name, len);
    source->topic = topic;
    source->is_new = sub->watching;
    int rc = open_consumer(sub, source);
    if (rc != SHMQ_OK) {
        source_free(source);
        /* One of a pattern may go as fast as it came. */
        if (sub->watch != NULL && rc == SHMQ_ERR_CLOSED)
            return CLI_DONE;
        return cli_fail_rc(rc, name);
    }
    cli_grow(&sub->sources, &sub->source_cap, sub->source_cnt + 1,
        sizeof(struct sub_source *));
    sub->sources[sub->source_cnt++] = source;
    return CLI_DONE;
}

/* A new topic that cannot be read is told, and no reason to end: the others
 * can be. */
static int take_new(struct sub *sub, const char *name)
{
    struct shmq_topic *topic;
    int rc = sub_topic_open(sub->options, name, &topic);
    if (rc == SHMQ_ERR_NOENT)
        return CLI_DONE;
    if (rc != SHMQ_OK) {
        cli_note("%s: left out: %s", name, lib_error_text());
        return CLI_DONE;
    }
    return sub_source_add(sub, name, topic);
}

int sub_source_look(struct sub *sub)
{
    struct shmq_watch_event event;
    int rc = SHMQ_OK, status = CLI_DONE;
    if (sub->watch == NULL)
        return CLI_DONE;
    while (status == CLI_DONE &&
        (rc = lib_watch_next(sub->watch, &event)) == SHMQ_OK) {
        /* Those that go tell it themselves, when all of them is read. */
        if (event.kind == SHMQ_WATCH_THERE)
            status = take_new(sub, event.topic);
    }
    return status != CLI_DONE || rc == SHMQ_ERR_EMPTY
        ? status
        : cli_fail_rc(rc, sub->options->topic);
}

void sub_source_drop(struct sub *sub, struct sub_source *source)
{
    size_t i = 0;
    while (i < sub->source_cnt && sub->sources[i] != source)
        i++;
    if (i == sub->source_cnt)
        return;
    (void)lib_waitset_remove(sub->set, source->consumer);
    source_free(source);
    sub->source_cnt--;
    memmove(&sub->sources[i], &sub->sources[i + 1],
        (sub->source_cnt - i) * sizeof(*sub->sources));
}

void sub_source_drop_all(struct sub *sub)
{
    while (sub->source_cnt > 0)
        sub_source_drop(sub, sub->sources[sub->source_cnt - 1]);
    free(sub->sources);
    sub->sources = NULL;
}

struct sub_source *sub_source_of(
    const struct sub *sub, const struct shmq_consumer *consumer)
{
    for (size_t i = 0; i < sub->source_cnt; i++) {
        if (sub->sources[i]->consumer == consumer)
            return sub->sources[i];
    }
    return NULL;
}
