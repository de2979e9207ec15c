/* sub_open.c - the topic and the consumer of `shmq sub`. */
#include "sub.h"

#include <stdlib.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_group_opts.h"
#include "cli_signals.h"

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

/* Waits until the topic is there. */
static int open_topic(struct sub *sub)
{
    const struct sub_options *o = sub->options;
    /* Waiting for something to become empty that is not there makes sense
     * only when it ends by itself. */
    bool waits = !o->exit_when_empty || o->timeout_ns != SHMQ_FOREVER ||
        o->for_ns != SHMQ_FOREVER;
    for (;;) {
        int status;
        int rc = shmq_topic_open(o->ns, o->topic, &sub->topic);
        if (rc == SHMQ_OK)
            return CLI_DONE;
        if (rc != SHMQ_ERR_NOENT || !waits)
            return cli_fail_rc(rc, o->topic);
        uint64_t now = cli_now_ns();
        if (give_up(sub, now, &status))
            return status;
        cli_sleep_until(cli_sooner(sub->end_ns, now + LOOK_NS));
    }
}

static int open_consumer(struct sub *sub)
{
    const struct sub_options *o = sub->options;
    struct shmq_consumer_options options;
    memset(&options, 0, sizeof(options));
    options.struct_bytes = sizeof(options);
    options.group = o->group;
    options.attrs = o->attrs;
    options.start = o->from;
    options.prefetch_frames = o->prefetch;
    if (o->ack == SUB_ACK_NONE)
        options.flags |= SHMQ_CONSUMER_MANUAL_ACK;
    if (o->group != NULL) {
        int rc = cli_group_kind(sub->topic, o->exclusive, &options.attrs.kind);
        if (rc != SHMQ_OK)
            return cli_fail_rc(rc, o->topic);
    }
    int rc = shmq_consumer_open(sub->topic, &options, &sub->consumer);
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, o->topic);
    if (o->group != NULL && o->from_given &&
        shmq_consumer_created_group(sub->consumer) == 0)
        cli_note("%s: group %s exists and continues where it is; "
                 "`shmq group reset` moves it, --from does not",
            o->topic, o->group);
    return CLI_DONE;
}

int sub_open(struct sub *sub)
{
    uint64_t now = cli_now_ns();
    sub->json.out = &sub->out;
    sub->end_ns = cli_later(now, sub->options->for_ns);
    sub->quiet_ns = now;
    if (sub->options->for_ns != SHMQ_FOREVER)
        cli_interrupt_after(sub->options->for_ns);
    int status = open_topic(sub);
    if (status != CLI_DONE || sub->ended)
        return status;
    return open_consumer(sub);
}

void sub_close(struct sub *sub)
{
    shmq_consumer_close(sub->consumer);
    shmq_topic_close(sub->topic);
    cli_out_free(&sub->out);
    free(sub->held);
    sub->held = NULL;
}
