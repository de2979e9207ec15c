/* sub_run.c - receives records until one of the reasons to end holds. */
#include "sub.h"

#include <stdlib.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_signals.h"
#include "lib.h"

enum {
    /* While there is nothing: how often to see whether stdout was closed, and
     * whether a group that should become empty has. */
    IDLE_NS = 100 * 1000 * 1000,
    DRAIN_NS = 10 * 1000 * 1000,
    WATCH_NS = 20 * 1000 * 1000 /* between two looks for new topics */
};

static int end_with(struct sub *sub, int status)
{
    sub->ended = true;
    return status;
}

/* With --ack none nothing of what we hold is ever done: the group is empty for
 * us when it has no more than that. */
static int all_handed_out(struct sub *sub, const struct sub_source *source)
{
    const struct sub_options *o = sub->options;
    uint32_t cnt = 0, cap = 16;
    for (;;) {
        struct shmq_group_stat *groups = calloc(cap, sizeof(*groups));
        if (groups == NULL)
            return SHMQ_ERR_NOMEM;
        int rc = lib_topic_groups(source->topic, groups, cap, &cnt);
        int empty = rc;
        for (uint32_t i = 0; rc == SHMQ_OK && i < cnt && i < cap; i++) {
            if (strcmp(groups[i].name, o->group) == 0)
                empty = groups[i].lag_messages <= source->handed_cnt;
        }
        free(groups);
        if (rc != SHMQ_OK || cnt <= cap)
            return empty;
        cap = cnt;
    }
}

/* Whether --exit-when-empty holds: 1, 0, or a result of the library. Without
 * any topic it does not: there has been nothing to read. */
static int is_empty(struct sub *sub)
{
    bool handed =
        sub->options->ack == SUB_ACK_NONE && sub->options->group != NULL;
    int empty = sub->source_cnt > 0;
    for (size_t i = 0; i < sub->source_cnt && empty > 0; i++) {
        const struct sub_source *source = sub->sources[i];
        empty = handed ? all_handed_out(sub, source)
                       : lib_consumer_drained(source->consumer);
    }
    return empty;
}

/* Nothing is there and nothing is buffered: end, or how long to wait. */
static int before_waiting(struct sub *sub, uint64_t *ret_deadline)
{
    const struct sub_options *o = sub->options;
    uint64_t now = cli_now_ns();
    uint64_t slice = o->exit_when_empty ? DRAIN_NS
        : sub->watch != NULL            ? WATCH_NS
                                        : IDLE_NS;
    uint64_t limit = cli_later(sub->quiet_ns, o->timeout_ns);
    if (o->exit_when_empty) {
        int empty = is_empty(sub);
        if (empty < 0)
            return cli_fail_rc(empty, o->topic);
        if (empty > 0)
            return end_with(sub, CLI_DONE);
    }
    if (now >= limit)
        return end_with(sub,
            cli_fail(CLI_TIMEOUT,
                "%s: no record came in time; publish some, or wait longer",
                o->topic));
    if (cli_out_is_closed())
        return end_with(sub, CLI_PIPE);
    *ret_deadline = cli_sooner(now + slice, cli_sooner(limit, sub->end_ns));
    return CLI_DONE;
}

/* Only without acknowledging can all we may hold be held with nothing left to
 * write. Nothing more comes then. */
static void tell_limit(struct sub *sub)
{
    if (!sub->limit_told)
        cli_note("%s: holds as many frames as --prefetch allows, none "
                 "acknowledged; give a larger --prefetch, or --ack after",
            sub->options->topic);
    sub->limit_told = true;
}

/* A topic of a pattern that was removed: the others go on. */
static bool lost_source(struct sub *sub, int rc, struct sub_source *source)
{
    if (sub->watch == NULL || rc != SHMQ_ERR_CLOSED || source == NULL)
        return false;
    lib_watch_forget(sub->watch, source->name);
    sub_source_drop(sub, source);
    return true;
}

/* Handles what receive returned, all but "nothing there". */
static int take_result(struct sub *sub, int rc, struct shmq_message *msg,
    const struct shmq_consumer *from)
{
    struct sub_source *source = sub_source_of(sub, from);
    switch (rc) {
    case SHMQ_OK:
        sub->quiet_ns = 0;
        if (sub->options->until != 0 && msg->position >= sub->options->until) {
            (void)lib_consumer_release(source->consumer, msg);
            return end_with(sub, sub_flush(sub));
        }
        return sub_put(sub, source, msg);
    case SHMQ_ERR_GAP:
        return sub_put_gap(sub, source);
    case SHMQ_ERR_EMPTY:
    case SHMQ_ERR_TIMEOUT:
    case SHMQ_ERR_INTR:
    case SHMQ_ERR_LIMIT:
        return CLI_DONE;
    default:
        return lost_source(sub, rc, source)
            ? CLI_DONE
            : cli_fail_rc(rc, sub->options->topic);
    }
}

/* New topics of a pattern, now and then also while records keep coming. */
static int look_for_topics(struct sub *sub)
{
    uint64_t now = sub->watch != NULL ? cli_now_ns() : 0;
    if (sub->watch == NULL || now - sub->watched_ns < WATCH_NS)
        return CLI_DONE;
    sub->watched_ns = now;
    return sub_source_look(sub);
}

/* Receives once, without waiting while anything is buffered: whatever comes
 * then (nothing, an error) is met again when it is written. */
static int receive_once(struct sub *sub)
{
    struct shmq_message msg;
    struct shmq_consumer *from = NULL;
    uint64_t deadline = 0;
    int status = look_for_topics(sub);
    if (status != CLI_DONE)
        return status;
    int rc = lib_waitset_receive(sub->set, &msg, &from);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_GAP && sub->held_cnt > 0)
        return sub_flush(sub);
    if (rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_LIMIT)
        return take_result(sub, rc, &msg, from);
    if (sub->quiet_ns == 0)
        sub->quiet_ns = cli_now_ns();
    status = before_waiting(sub, &deadline);
    if (status != CLI_DONE || sub->ended)
        return status;
    if (rc == SHMQ_ERR_LIMIT)
        tell_limit(sub);
    rc = lib_waitset_receive_wait(sub->set, deadline, &msg, &from);
    return take_result(sub, rc, &msg, from);
}

/* Whether one more record may be held: with --count nothing beyond it is. */
static bool may_receive(const struct sub *sub)
{
    uint64_t count = sub->options->count;
    return count == 0 || sub->done_cnt + sub->held_record_cnt < count;
}

int sub_run(struct sub *sub)
{
    uint64_t count = sub->options->count;
    int status = CLI_DONE;
    while (status == CLI_DONE && !sub->ended) {
        if (cli_signal() != 0)
            return CLI_SIGNALLED + cli_signal();
        if (sub_must_end(sub))
            return CLI_DONE;
        if (count != 0 && sub->done_cnt >= count)
            return CLI_DONE;
        if (may_receive(sub))
            status = receive_once(sub);
        else
            status = sub_flush(sub);
    }
    return status;
}
