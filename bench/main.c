/* main.c - shmq-bench: the command line. */
#include "clock.h"
#include "lab.h"
#include "transports/ours.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: shmq-bench COMMAND [OPTION]...\n"
    "\n"
    "  run             measures the transports side by side\n"
    "  bars            measures every bar of the project: BAR name: ratio\n"
    "                  [min..max] bar PASS|MISS; status 0 when none misses\n"
    "  compare A B     says which figures of two runs (JSON) differ\n"
    "  selftest        checks the lab itself against known answers\n"
    "  list            transports and modes, and what is not built in\n"
    "\n"
    "  --transports LIST  names, comma-separated (default: all)\n"
    "  --modes LIST       pingpong, rate, stream, wake, recovery, cost, ops\n"
    "  --sizes LIST       bytes of a message, multiples of 8; K and M (64)\n"
    "  --senders N        fan-in of stream (1)\n"
    "  --receivers N      fan-out of stream (1)\n"
    "  --rate N           messages a second in rate (10000)\n"
    "  --repeats N        repetitions (run: 5, bars: 7)\n"
    "  --slice DURATION   time of one measurement (150ms)\n"
    "  --kills N          kills per recovery figure\n"
    "  --bars LIST        only bars with one of these parts in their names\n"
    "  --cpus LIST        cores to use, in order: 0,2-3 (default: all "
    "allowed)\n"
    "  --rt PRIORITY      SCHED_FIFO, for those who may\n"
    "  --threads          threads instead of processes\n"
    "  --out FILE         writes the run as JSON (- is standard output)\n"
    "  --raw DIR          writes every histogram there\n"
    "  --dir DIR          where fdatasync is measured (.)\n"
    "  --quiet            no progress on stderr\n"
    "\n"
    "docs/bench-method.md tells what each figure means and does not mean.\n";

enum option_id {
    OPT_TRANSPORTS = 256,
    OPT_MODES,
    OPT_SIZES,
    OPT_SENDERS,
    OPT_RECEIVERS,
    OPT_RATE,
    OPT_REPEATS,
    OPT_SLICE,
    OPT_KILLS,
    OPT_BARS,
    OPT_CPUS,
    OPT_RT,
    OPT_THREADS,
    OPT_OUT,
    OPT_RAW,
    OPT_DIR,
    OPT_QUIET,
    OPT_HELP
};

static const struct option long_options[] = {
    {"transports", required_argument, NULL, OPT_TRANSPORTS},
    {"modes", required_argument, NULL, OPT_MODES},
    {"sizes", required_argument, NULL, OPT_SIZES},
    {"senders", required_argument, NULL, OPT_SENDERS},
    {"receivers", required_argument, NULL, OPT_RECEIVERS},
    {"rate", required_argument, NULL, OPT_RATE},
    {"repeats", required_argument, NULL, OPT_REPEATS},
    {"slice", required_argument, NULL, OPT_SLICE},
    {"kills", required_argument, NULL, OPT_KILLS},
    {"bars", required_argument, NULL, OPT_BARS},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"rt", required_argument, NULL, OPT_RT},
    {"threads", no_argument, NULL, OPT_THREADS},
    {"out", required_argument, NULL, OPT_OUT},
    {"raw", required_argument, NULL, OPT_RAW},
    {"dir", required_argument, NULL, OPT_DIR},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, OPT_HELP}, {NULL, 0, NULL, 0}};

static int usage(const char *what)
{
    fprintf(stderr, "shmq-bench: %s; see shmq-bench --help\n", what);
    return 2;
}

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

/* A whole number above zero, up to `max`. */
static int number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || v == 0 || v > max)
        return -1;
    *ret = v;
    return 0;
}

static int small_number(const char *text, uint32_t max, uint32_t *ret)
{
    uint64_t v;

    if (number(text, max, &v))
        return -1;
    *ret = (uint32_t)v;
    return 0;
}

static int duration(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"", 1e9}, {"m", 6e10}};
    char *end;
    double v = strtod(text, &end);

    if (end == text || !(v > 0.0) || v > 1e6)
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *ret_ns = (uint64_t)(v * units[i].ns);
            return *ret_ns ? 0 : -1;
        }
    }
    return -1;
}

/* 0, or -1 when the value of the option is wrong. */
static int take_option(int id, struct lab_options *o)
{
    switch (id) {
    case OPT_TRANSPORTS:
        o->transports = optarg;
        return 0;
    case OPT_MODES:
        o->modes = optarg;
        return 0;
    case OPT_SIZES:
        o->sizes = optarg;
        return 0;
    case OPT_SENDERS:
        return small_number(optarg, LAB_PARTIES_MAX - 1, &o->senders);
    case OPT_RECEIVERS:
        return small_number(optarg, LAB_PARTIES_MAX - 1, &o->receivers);
    case OPT_RATE:
        return number(optarg, 100000000, &o->rate);
    case OPT_REPEATS:
        return small_number(optarg, 64, &o->repeats);
    case OPT_SLICE:
        return duration(optarg, &o->slice_ns);
    case OPT_KILLS:
        return small_number(optarg, 200, &o->kills);
    case OPT_BARS:
        o->bars = optarg;
        return 0;
    case OPT_CPUS:
        o->cpus = optarg;
        return 0;
    case OPT_RT:
        return small_number(optarg, 99, &o->rt);
    case OPT_THREADS:
        o->threads = 1;
        return 0;
    case OPT_OUT:
        o->out = optarg;
        return 0;
    case OPT_RAW:
        o->raw = optarg;
        return 0;
    case OPT_DIR:
        o->dir = optarg;
        return 0;
    case OPT_QUIET:
        o->quiet = 1;
        return 0;
    default:
        return -1;
    }
}

static void on_signal(int sig)
{
    (void)sig;
    lab_interrupted = 1;
}

static void set_up(const struct lab_options *o)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    lab_setup.realtime = o->rt;
    lab_setup.threads = o->threads;
    lab_ours_sweep();
    lab_clock_calibrate();
    lab_clock_skew();
}

static int run_command(const char *command, const struct lab_options *o)
{
    static const struct {
        const char *name;
        uint32_t files;
        uint32_t measures;
        int (*run)(const struct lab_options *options);
    } commands[] = {{"run", 0, 1, lab_cmd_run}, {"bars", 0, 1, lab_cmd_bars},
        {"compare", 2, 0, lab_cmd_compare},
        {"selftest", 0, 1, lab_cmd_selftest}, {"list", 0, 0, lab_cmd_list}};

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, command) != 0)
            continue;
        if (commands[i].files != o->file_cnt)
            return usage(commands[i].files ? "compare takes two files"
                                           : "too many arguments");
        if (lab_cpus_parse(o->cpus))
            return usage("--cpus: no list of cores");
        if (commands[i].measures)
            set_up(o);
        return commands[i].run(o);
    }
    return usage("no such command");
}

int main(int argc, char **argv)
{
    struct lab_options o = {0};
    const char *command = NULL;
    int id;

    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (id == OPT_HELP) {
            fputs(help, stdout);
            return 0;
        }
        if (id == '?')
            return usage("bad option");
        if (take_option(id, &o))
            return usage("bad value of an option");
    }
    for (int i = optind; i < argc; i++) {
        if (!command)
            command = argv[i];
        else if (o.file_cnt < 2)
            o.files[o.file_cnt++] = argv[i];
        else
            return usage("too many arguments");
    }
    if (!command)
        return usage("no command");
    return run_command(command, &o);
}
