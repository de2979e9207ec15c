/* cmd_top.c - `shmq top`: what goes on in all topics, again and again. */
#include "commands.h"

#include <string.h>

#include "cli_clock.h"
#include "cli_optval.h"
#include "cli_signals.h"
#include "top.h"

enum { INTERVAL_NS = 1000 * 1000 * 1000, INTERVAL_MIN_NS = 10 * 1000 * 1000 };

struct run {
    struct watch_list list;
    struct cli_out out;
    uint64_t count; /* looks; 0: no limit */
    bool as_json, on_screen;
};

static int take_options(const struct cli_args *args, struct run *run)
{
    run->list.ns = cli_namespace(args);
    run->list.only = args->operand_cnt > 0 ? args->operands : NULL;
    run->list.only_cnt = args->operand_cnt;
    run->list.interval_ns = INTERVAL_NS;
    run->as_json = cli_opt_given(args, CLI_OPT_JSON);
    run->on_screen = !run->as_json && top_screen_possible();
    int status =
        cli_optval_duration(args, CLI_OPT_INTERVAL, &run->list.interval_ns);
    if (status == CLI_DONE && run->list.interval_ns < INTERVAL_MIN_NS)
        status = cli_fail(CLI_USAGE, "--interval: is too short; at least 10ms");
    return status == CLI_DONE
        ? cli_optval_u64(args, CLI_OPT_COUNT, 1, UINT64_MAX, &run->count)
        : status;
}

static int show(struct run *run)
{
    run->out.len = 0;
    if (run->as_json)
        top_json(&run->list, &run->out);
    else
        top_text(&run->list, &run->out);
    return run->on_screen ? top_screen_draw(&run->out)
                          : cli_out_flush(&run->out);
}

/* Until the next look; a resized window is drawn at once, from the last. */
static int wait_for_look(struct run *run)
{
    int status = CLI_DONE;
    while (status == CLI_DONE && cli_signal() == 0 &&
        cli_now_ns() < run->list.next_ns) {
        if (top_screen_resized())
            status = show(run);
        else
            watch_list_wait(&run->list, SHMQ_FOREVER);
        if (status == CLI_DONE && cli_out_is_closed())
            status = CLI_PIPE;
    }
    return status;
}

static int watch(struct run *run)
{
    int status = show(run);
    for (uint64_t n = 1; status == CLI_DONE && n != run->count; n++) {
        status = wait_for_look(run);
        if (status == CLI_DONE && cli_signal() != 0)
            return CLI_SIGNALLED + cli_signal();
        if (status == CLI_DONE)
            status = watch_list_look(&run->list);
        if (status == CLI_DONE)
            status = show(run);
    }
    return status;
}

static int run_top(const struct cli_args *args)
{
    struct run run;
    memset(&run, 0, sizeof(run));
    run.list.inotify_fd = -1;
    int status = take_options(args, &run);
    if (status != CLI_DONE)
        return status;
    status = watch_list_check(&run.list);
    if (status == CLI_DONE)
        status = watch_list_begin(&run.list);
    cli_signals_init();
    if (status == CLI_DONE && run.on_screen)
        top_screen_begin();
    if (status == CLI_DONE)
        status = watch(&run);
    top_screen_end();
    watch_list_end(&run.list);
    cli_out_free(&run.out);
    return status;
}

static const struct cli_option_help top_opts[] = {
    {CLI_OPT_INTERVAL, "time between two looks, at least 10ms (1s)"},
    {CLI_OPT_COUNT, "end with status 0 after N looks (never)"},
    {CLI_OPT_JSON, "print one JSON object a look"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_top = {
    .name = "top",
    .operands = "[TOPIC...]",
    .operand_min = 0,
    .operand_max = UINT32_MAX,
    .summary = "show what goes on in topics, again and again",
    .opts = top_opts,
    .notes =
        "On a terminal the screen is redrawn, also when its size changes;\n"
        "elsewhere each look is printed as lines. IN/S and OUT/S: records a\n"
        "second published, and finished by the group; AGAIN/S: delivered\n"
        "again; LAG: records it has not finished; LATENCY_S: how long ago the\n"
        "oldest of them was published; DEAD: records in its dead-letter "
        "topic,\n"
        "in all. Who holds producers up is named under the topic. The first\n"
        "look has no rates. Looking takes a tenth of a core at most: with "
        "very\n"
        "large rings the looks become fewer.\n",
    .examples = "  shmq top\n"
                "  shmq top orders --interval 200ms\n"
                "  shmq top --json --count 2 | tail -1\n",
    .run = run_top,
};
