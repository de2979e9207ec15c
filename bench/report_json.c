/* report_json.c - one self-describing JSON per run. */
#include "plan.h"

#include "clock.h"
#include "env.h"
#include "json.h"
#include "stats.h"

#include <string.h>

static void write_environment(struct lab_json *j)
{
    static struct lab_env env;

    lab_env_read(&env);
    lab_json_object(j, "environment");
    lab_json_text(j, "ended", env.started);
    lab_json_text(j, "cpu", env.cpu_model);
    lab_json_number(j, "cpus_online", env.cpus_online);
    lab_json_text(j, "cpus_used", env.cpus);
    lab_json_number(j, "numa_nodes", env.numa_nodes);
    lab_json_text(j, "smt", env.smt);
    lab_json_text(j, "governor", env.governor);
    lab_json_text(j, "mitigations", env.mitigations);
    lab_json_text(j, "virtual_machine", env.virtual_machine);
    lab_json_text(j, "kernel", env.kernel);
    lab_json_text(j, "shmem_huge_pages", env.thp);
    lab_json_number(j, "memory_bytes", (double)env.memory_bytes);
    lab_json_number(j, "shm_bytes", (double)env.shm_bytes);
    lab_json_text(j, "compiler", env.compiler);
    lab_json_text(j, "flags", env.flags);
    lab_json_text(j, "library_flags", env.library_flags);
    lab_json_text(j, "versions", env.versions);
    lab_json_number(j, "load_at_end", env.load1);
    lab_json_object_end(j);
}

static void write_clock(struct lab_json *j)
{
    const char *doubt = lab_clock_doubt();

    lab_json_object(j, "clock");
    lab_json_text(j, "source", lab_clock.source);
    lab_json_number(j, "ghz", lab_clock.tick_ghz);
    lab_json_number(j, "step_ns", lab_clock.step_ticks * lab_clock.ns_per_tick);
    lab_json_number(
        j, "reading_ns", lab_clock.read_ticks * lab_clock.ns_per_tick);
    lab_json_number(j, "drift_ppm", lab_clock.drift_ppm);
    lab_json_number(j, "skew_ns", lab_clock.skew_ns);
    lab_json_number(j, "skew_known_to_ns", lab_clock.skew_bound_ns);
    lab_json_text(j, "doubt", doubt ? doubt : "");
    lab_json_object_end(j);
}

static void write_circumstances(
    struct lab_json *j, const struct lab_plan *plan, uint32_t repeats)
{
    double forced = 0, wanted = 0, disturbed = 0, all = 0;

    for (uint32_t i = 0; i < plan->cnt; i++) {
        for (uint32_t rep = 0; rep < repeats; rep++) {
            forced += (double)plan->entries[i].results[rep].forced_switches;
            wanted += (double)plan->entries[i].results[rep].switches;
            disturbed += plan->entries[i].disturbed[rep];
            all += 1;
        }
    }
    lab_json_object(j, "circumstances");
    lab_json_number(j, "involuntary_switches", forced);
    lab_json_number(j, "voluntary_switches", wanted);
    lab_json_number(j, "measurements", all);
    lab_json_number(j, "measurements_disturbed", disturbed);
    lab_json_number(j, "steal_s", (double)plan->steal_ticks / 100.0);
    lab_json_number(j, "load_at_start", plan->load_at_start);
    lab_json_number(j, "realtime_priority", lab_setup.realtime);
    lab_json_object_end(j);
}

static void write_figure(struct lab_json *j, const struct lab_figure *f)
{
    lab_json_object(j, NULL);
    lab_json_text(j, "mode", f->mode);
    lab_json_text(j, "transport", f->transport);
    lab_json_text(j, "kind", f->kind);
    lab_json_number(j, "size", f->size);
    lab_json_number(j, "senders", f->senders);
    lab_json_number(j, "receivers", f->receivers);
    lab_json_text(j, "metric", f->metric);
    lab_json_text(j, "unit", f->unit);
    lab_json_text(j, "better",
        f->better < 0 ? "lower" : (f->better > 0 ? "higher" : "neither"));
    lab_json_number(j, "samples", (double)f->samples);
    lab_json_number(j, "median", lab_median(f->values, f->cnt));
    lab_json_numbers(j, "values", f->values, f->cnt);
    lab_json_numbers(j, "relative", f->relative, f->relative_cnt);
    lab_json_numbers(j, "floors", f->floors, f->relative_cnt);
    lab_json_number(j, "disturbed", f->disturbed);
    lab_json_text(j, "mark", f->mark);
    lab_json_object_end(j);
}

static void write_meaning(struct lab_json *j)
{
    lab_json_object(j, "meaning");
    lab_json_text(j, "values", "one per repetition");
    lab_json_text(j, "relative",
        "the value divided by the floor's median latency of the same "
        "repetition (handover, for wake futex); rates: multiplied by it");
    lab_json_text(j, "floors", "that median latency, ns");
    lab_json_text(j, "pingpong", "half a round trip, less one clock reading");
    lab_json_text(j, "rate", "one way, from the intended send time");
    lab_json_text(j, "solo", "a message sent and received on one core");
    lab_json_text(j, "request", "0: the default of the mode");
    lab_json_text(j, "manual", "docs/bench-method.md");
    lab_json_object_end(j);
}

static void write_request(struct lab_json *j, const struct lab_options *options,
    const struct lab_plan *plan)
{
    lab_json_object(j, "request");
    lab_json_text(
        j, "transports", options->transports ? options->transports : "all");
    lab_json_text(j, "modes", options->modes ? options->modes : "all");
    lab_json_number(j, "repetitions", plan->repeats);
    lab_json_number(j, "rate", options->rate ? (double)options->rate : 10000);
    lab_json_number(j, "slice_s", (double)options->slice_ns * 1e-9);
    lab_json_number(j, "depth", options->depth);
    lab_json_object_end(j);
}

int lab_report_json(FILE *f, const char *path,
    const struct lab_options *options, const struct lab_plan *plan,
    uint32_t repeats, const struct lab_figures *figures)
{
    struct lab_json j;
    int rc;

    lab_json_begin(&j, f);
    lab_json_object(&j, NULL);
    lab_json_text(&j, "format", "shmq-bench/1");
    write_meaning(&j);
    write_environment(&j);
    write_clock(&j);
    write_circumstances(&j, plan, repeats);
    lab_json_number(&j, "repetitions", repeats);
    lab_json_text(&j, "parties", lab_setup.threads ? "threads" : "processes");
    write_request(&j, options, plan);
    lab_json_text(&j, "skipped", plan->skipped);
    lab_json_array(&j, "figures");
    for (uint32_t i = 0; i < figures->cnt; i++)
        write_figure(&j, &figures->list[i]);
    lab_json_array_end(&j);
    lab_json_object_end(&j);
    rc = lab_json_end(&j);
    if (f != stdout && fclose(f))
        rc = -1;
    if (rc)
        fprintf(stderr, "shmq-bench: run: %s: cannot be written\n", path);
    return rc;
}
