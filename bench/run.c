/* run.c - `shmq-bench run`: the transports side by side. */
#include "clock.h"
#include "env.h"
#include "plan.h"

#include <errno.h>
#include <string.h>

static int known_transport(const char *name)
{
    return lab_transport_find(name) || strcmp(name, "memcpy") == 0 ||
        strcmp(name, "fdatasync") == 0;
}

static int known_mode(const char *name)
{
    return lab_listed(
        "pingpong,rate,stream,solo,wake,cost,memory,recovery,ops", name);
}

static uint32_t run_all(struct lab_plan *plan,
    const struct lab_options *options, struct lab_figures *figures)
{
    uint32_t repeats;

    plan->load_at_start = lab_env_load();
    plan->steal_ticks = lab_env_steal();
    lab_progress_start(
        plan->seconds + lab_recovery_seconds(options), (int)options->quiet);
    repeats = lab_plan_run(plan, options);
    lab_clock_check();
    lab_plan_read(plan, repeats, figures);
    if (lab_listed(options->modes, "recovery") && !lab_interrupted)
        lab_run_recovery(options, plan->seconds, figures);
    if (lab_listed(options->modes, "ops") && !lab_interrupted)
        lab_run_ops(options, plan->repeats, figures);
    plan->steal_ticks = lab_env_steal() - plan->steal_ticks;
    lab_progress_end();
    return repeats;
}

int lab_cmd_run(const struct lab_options *options)
{
    struct lab_figures figures = {0};
    static struct lab_plan plan;
    uint32_t repeats;
    FILE *out = NULL;
    int rc = 0;

    if (!lab_all_known(
            "run", "--transports", options->transports, known_transport) ||
        !lab_all_known("run", "--modes", options->modes, known_mode) ||
        lab_plan_make(&plan, options))
        return LAB_EXIT_USAGE;
    if (options->out) {
        out = strcmp(options->out, "-") ? fopen(options->out, "we") : stdout;
        if (!out) {
            fprintf(stderr, "shmq-bench: run: %s: %s\n", options->out,
                strerror(errno));
            lab_plan_free(&plan);
            return 1;
        }
    }
    if (options->raw && lab_raw_open(options->raw)) {
        lab_plan_free(&plan);
        return 1;
    }
    lab_env_print_short(stderr);
    repeats = run_all(&plan, options, &figures);
    if (repeats == 0 && plan.cnt)
        fprintf(stderr,
            "shmq-bench: run: stopped before the first repetition "
            "was complete\n");
    if (out != stdout)
        lab_report_table(&plan, &figures);
    if (out &&
        lab_report_json(out, options->out, options, &plan, repeats, &figures))
        rc = 1;
    if (options->raw && lab_raw_write_histograms(options->raw, &plan))
        rc = 1;
    if (lab_clock_doubt())
        fprintf(stderr, "shmq-bench: do not trust latencies: %s\n",
            lab_clock_doubt());
    lab_figures_free(&figures);
    lab_plan_free(&plan);
    return rc;
}
