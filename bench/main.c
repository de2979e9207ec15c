/* main.c - shmq-bench: from the command to what carries it out. */
#include "clock.h"
#include "leftovers.h"
#include "options.h"
#include "transports/ours.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

int lab_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    if (!list)
        return 1;
    for (;;) {
        size_t n = strcspn(list, ",");

        if (n == len && strncmp(list, name, n) == 0)
            return 1;
        if (!list[n])
            return 0;
        list += n + 1;
    }
}

int lab_listed_part(const char *list, const char *name)
{
    char part[64];

    if (!list)
        return 1;
    for (;;) {
        size_t n = strcspn(list, ",");

        snprintf(part, sizeof(part), "%.*s", n < 63 ? (int)n : 63, list);
        if (part[0] && strstr(name, part))
            return 1;
        if (!list[n])
            return 0;
        list += n + 1;
    }
}

int lab_all_known(const char *command, const char *option, const char *list,
    int (*known)(const char *name))
{
    for (const char *at = list; at; at = strchr(at, ',')) {
        char name[64];
        size_t n;

        at += *at == ',';
        n = strcspn(at, ",");
        snprintf(name, sizeof(name), "%.*s", n < 63 ? (int)n : 63, at);
        if (known(name))
            continue;
        fprintf(stderr,
            "shmq-bench: %s: %s %s: unknown; see shmq-bench %s --help\n",
            command, option, name, command);
        return 0;
    }
    return 1;
}

static void on_signal(int sig)
{
    lab_interrupted = sig;
}

/* Whether SCHED_FIFO may be had: better told now than left out in silence. */
static int may_be_realtime(uint32_t priority)
{
    struct sched_param high = {.sched_priority = (int)priority}, normal = {0};

    if (priority == 0)
        return 1;
    if (sched_setscheduler(0, SCHED_FIFO, &high) == 0) {
        sched_setscheduler(0, SCHED_OTHER, &normal);
        return 1;
    }
    fprintf(stderr, "shmq-bench: --rt %u: %s\n", priority, strerror(errno));
    return 0;
}

/* 0, or an exit status. */
static int set_up(const struct lab_options *o)
{
    struct sigaction action = {.sa_handler = on_signal};
    const char *wrong = lab_cpus_parse(o->cpus);

    if (wrong) {
        fprintf(stderr, "shmq-bench: --cpus %s: %s\n", o->cpus ? o->cpus : "",
            wrong);
        return LAB_EXIT_USAGE;
    }
    if (!may_be_realtime(o->rt))
        return LAB_EXIT_PERMISSION;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    lab_setup.realtime = o->rt;
    lab_setup.threads = o->threads;
    return 0;
}

/* For commands that measure. */
static void look_at_clocks(void)
{
    lab_leftovers_guard();
    lab_clock_calibrate();
    lab_clock_skew();
}

static const struct {
    const char *name;
    enum lab_command command;
    uint32_t measures;
    int (*run)(const struct lab_options *options);
} commands[] = {{"run", LAB_RUN, 1, lab_cmd_run},
    {"bars", LAB_BARS, 1, lab_cmd_bars},
    {"compare", LAB_COMPARE, 0, lab_cmd_compare},
    {"selftest", LAB_SELFTEST, 1, lab_cmd_selftest},
    {"list", LAB_LIST, 0, lab_cmd_list}};

static int run_command(size_t i, int argc, char **argv)
{
    struct lab_options options;
    int rc =
        lab_options_read(commands[i].command, argv[0], argc, argv, &options);

    if (rc)
        return rc > 0 ? 0 : LAB_EXIT_USAGE;
    rc = set_up(&options);
    if (rc)
        return rc;
    if (commands[i].measures)
        look_at_clocks();
    rc = commands[i].run(&options);
    return lab_interrupted ? 128 + lab_interrupted : rc;
}

/* What was printed has arrived, or it was all for nothing. */
static int finish(int rc)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return rc;
    fprintf(stderr, "shmq-bench: standard output: %s\n", strerror(errno));
    return rc ? rc : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        lab_help(0);
        return finish(0);
    }
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]);
         i++) {
        if (strcmp(commands[i].name, argv[1]) == 0)
            return finish(run_command(i, argc - 1, argv + 1));
    }
    fprintf(stderr, "shmq-bench: %s%s; see shmq-bench --help\n",
        argc > 1 ? "no such command: " : "no command", argc > 1 ? argv[1] : "");
    return LAB_EXIT_USAGE;
}
