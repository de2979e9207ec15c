/* sub_open.c - waits for the topic of `shmq sub`. */
#include "sub.h"

#include <stdlib.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_signals.h"
#include "lib.h"

enum { LOOK_NS = 20 * 1000 * 1000 };

/* Why to stop waiting for a topic that is not there; false: go on. */
static bool give_up(struct sub *sub, uint64_t now, int *ret_status)
{
    const struct sub_options *o = sub->options;
    if (cli_signal() != 0)
        *ret_status = CLI_SIGNALLED + cli_signal();
    else if (now >= sub->end_ns)
        *ret_status = CLI_DONE;
    else if (now >= cli_later(sub->quiet_ns, o->timeout_ns))
        *ret_status = cli_fail(CLI_TIMEOUT,
            "%s: no such topic appeared in time; start its publisher, or "
            "wait longer",
            o->topic);
    else if (cli_out_is_closed())
        *ret_status = CLI_PIPE;
    else
        return false;
    sub->ended = true;
    return true;
}

/* Waiting for something to become empty that is not there makes sense only
 * when it ends by itself. */
static bool waits(const struct sub_options *o)
{
    return !o->exit_when_empty || o->timeout_ns != SHMQ_FOREVER ||
        o->for_ns != SHMQ_FOREVER;
}

/* Waits until the topic is there. */
static int open_topic(struct sub *sub)
{
    const struct sub_options *o = sub->options;
    for (;;) {
        struct shmq_topic *topic;
        int status;
        int rc = sub_topic_open(o, o->topic, &topic);
        if (rc == SHMQ_OK)
            return sub_source_add(sub, o->topic, topic);
        if (rc != SHMQ_ERR_NOENT || !waits(o))
            return cli_fail_rc(rc, o->topic);
        uint64_t now = cli_now_ns();
        if (give_up(sub, now, &status))
            return status;
        cli_sleep_until(cli_sooner(sub->end_ns, now + LOOK_NS));
    }
}

/* Topics of a pattern are picked up as they come, while records are received.
 */
static int open_pattern(struct sub *sub)
{
    const struct sub_options *o = sub->options;
    int rc = lib_watch_open(o->ns, o->topic, &sub->watch);
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, o->topic);
    int status = sub_source_look(sub);
    sub->watching = true;
    if (status == CLI_DONE && sub->source_cnt == 0 && !waits(o))
        return cli_fail(CLI_MISSING,
            "%s: no topic matches; make one first, or wait with --timeout",
            o->topic);
    return status;
}

int sub_open(struct sub *sub)
{
    const struct sub_options *o = sub->options;
    uint64_t now = cli_now_ns();
    sub->json.out = &sub->out;
    sub->end_ns = cli_later(now, o->for_ns);
    sub->quiet_ns = now;
    int rc = lib_waitset_open(NULL, &sub->set);
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, o->topic);
    if (o->for_ns != SHMQ_FOREVER)
        cli_interrupt_after(o->for_ns);
    return strchr(o->topic, '*') != NULL ? open_pattern(sub) : open_topic(sub);
}

void sub_close(struct sub *sub)
{
    sub_source_drop_all(sub);
    lib_waitset_close(sub->set);
    lib_watch_close(sub->watch);
    cli_out_free(&sub->out);
    free(sub->held);
    sub->held = NULL;
}
