/* cmd_events.c - `shmq events`: what happens to topics and their users. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_mem.h"
#include "cli_optval.h"
#include "cli_signals.h"
#include "events.h"

enum { INTERVAL_NS = 50 * 1000 * 1000, INTERVAL_MIN_NS = 1000 * 1000 };

struct run {
    struct events events;
    struct watch_list list;
    uint64_t timeout_ns, end_ns;
};

/* Names of all --topic. */
static void take_topics(const struct cli_args *args, struct watch_list *list)
{
    const char **only = cli_alloc(args->use_cnt + 1, sizeof(*only));
    for (uint32_t i = 0; i < args->use_cnt; i++) {
        if (args->uses[i].opt == CLI_OPT_TOPIC)
            only[list->only_cnt++] = args->uses[i].value;
    }
    list->only = list->only_cnt > 0 ? only : NULL;
    if (list->only == NULL)
        free(only);
}

static int take_options(const struct cli_args *args, struct run *run)
{
    uint64_t for_ns = SHMQ_FOREVER;
    run->list.ns = cli_namespace(args);
    run->list.interval_ns = INTERVAL_NS;
    run->timeout_ns = SHMQ_FOREVER;
    int status =
        cli_optval_duration(args, CLI_OPT_INTERVAL, &run->list.interval_ns);
    if (status == CLI_DONE && run->list.interval_ns < INTERVAL_MIN_NS)
        status = cli_fail(CLI_USAGE, "--interval: is too short; at least 1ms");
    if (status == CLI_DONE)
        status = cli_optval_u64(
            args, CLI_OPT_COUNT, 1, UINT64_MAX, &run->events.limit);
    if (status == CLI_DONE)
        status = cli_optval_duration(args, CLI_OPT_TIMEOUT, &run->timeout_ns);
    if (status == CLI_DONE)
        status = cli_optval_duration(args, CLI_OPT_FOR, &for_ns);
    run->end_ns = cli_later(cli_now_ns(), for_ns);
    return status;
}

/* Whether to end, with which status. */
static bool ends(struct run *run, uint64_t quiet_since_ns, int *ret_status)
{
    uint64_t now = cli_now_ns();
    if (cli_signal() != 0)
        *ret_status = CLI_SIGNALLED + cli_signal();
    else if (events_enough(&run->events) || now >= run->end_ns)
        *ret_status = CLI_DONE;
    else if (now >= cli_later(quiet_since_ns, run->timeout_ns))
        *ret_status = cli_fail(CLI_TIMEOUT,
            "events: nothing happened in time; wait longer, or look with "
            "shmq top");
    else if (cli_out_is_closed())
        *ret_status = CLI_PIPE;
    else
        return false;
    return true;
}

static int watch(struct run *run)
{
    uint64_t quiet_since_ns = cli_now_ns();
    int status = CLI_DONE;
    while (status == CLI_DONE && !ends(run, quiet_since_ns, &status)) {
        uint64_t cnt = run->events.cnt;
        uint64_t limit = cli_later(quiet_since_ns, run->timeout_ns);
        watch_list_wait(&run->list, cli_sooner(limit, run->end_ns));
        if (cli_now_ns() >= run->list.next_ns)
            status = watch_list_look(&run->list);
        if (run->events.cnt != cnt)
            quiet_since_ns = cli_now_ns();
        if (status == CLI_DONE)
            status = cli_out_flush(&run->events.out);
    }
    return status;
}

static int run_events(const struct cli_args *args)
{
    struct run run;
    memset(&run, 0, sizeof(run));
    run.list.inotify_fd = -1;
    int status = take_options(args, &run);
    if (status != CLI_DONE)
        return status;
    take_topics(args, &run.list);
    events_attach(&run.events, &run.list);
    status = watch_list_check(&run.list);
    if (status == CLI_DONE)
        status = watch_list_begin(&run.list);
    cli_signals_init(); /* from here on nothing is missed */
    if (status == CLI_DONE)
        status = watch(&run);
    watch_list_end(&run.list);
    cli_out_free(&run.events.out);
    free((void *)run.list.only);
    return status;
}

static const struct cli_option_help events_opts[] = {
    {CLI_OPT_TOPIC, "watch this topic only; may be given several times (all)"},
    {CLI_OPT_INTERVAL, "how often to look, at least 1ms (50ms)"},
    {CLI_OPT_COUNT, "end with status 0 after N events"},
    {CLI_OPT_TIMEOUT, "end with status 3 after so long without one (never)"},
    {CLI_OPT_FOR, "end with status 0 after this total time (never)"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_events = {
    .name = "events",
    .operands = "",
    .operand_min = 0,
    .operand_max = 0,
    .summary = "print what happens, one JSON object a line",
    .opts = events_opts,
    .notes =
        "event is one of topic_made, topic_removed, group_made, "
        "group_removed,\n"
        "joined, left, died (proven dead), reaped (cleared away by others),\n"
        "redelivered, dead_lettered, expired, dropped (refused under "
        "drop-new,\n"
        "records), gap (what readers report as lost or damaged, frames; "
        "reason\n"
        "dropped, corrupt, retention, truncated or lost),\n"
        "held_up and released (who makes producers wait). Every line has "
        "event,\n"
        "time and topic. What is there at the start is not told. Looking\n"
        "changes nothing; between two looks counts are summed up, and who "
        "comes\n"
        "and goes within one is not seen; topics are always told.\n",
    .examples = "  shmq events\n"
                "  shmq events --topic orders --for 1h >> orders.events\n"
                "  shmq events | jq -r 'select(.event == \"died\") | .pid'\n",
    .run = run_events,
};
