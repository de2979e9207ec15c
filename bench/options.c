/* options.c - reading the command line: each option with the commands that
 * take it. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define MEASURES (LAB_RUN | LAB_BARS | LAB_COMPARE | LAB_SELFTEST)

enum option_id {
    OPT_TRANSPORTS = 256,
    OPT_MODES,
    OPT_SIZES,
    OPT_SENDERS,
    OPT_RECEIVERS,
    OPT_RATE,
    OPT_DEPTH,
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
    OPT_HELP,
    OPT_END
};

static const struct row {
    const char *name;
    const char *value; /* NULL: takes none */
    int id;
    int commands;
    const char *text;
} rows[] = {
    {"transports", "LIST", OPT_TRANSPORTS, LAB_RUN | LAB_COMPARE | LAB_LIST,
        "names, comma-separated; see list"},
    {"modes", "LIST", OPT_MODES, LAB_RUN | LAB_COMPARE,
        "pingpong rate stream solo wake cost memory recovery ops"},
    {"modes", "LIST", OPT_MODES, LAB_SELFTEST,
        "numbers broken latency compare (all)"},
    {"sizes", "LIST", OPT_SIZES, LAB_RUN | LAB_COMPARE,
        "bytes of a message, multiples of 8; K and M (64)"},
    {"senders", "N", OPT_SENDERS, LAB_RUN | LAB_COMPARE,
        "fan-in of stream (1)"},
    {"receivers", "N", OPT_RECEIVERS, LAB_RUN | LAB_COMPARE,
        "fan-out of stream (1)"},
    {"rate", "N", OPT_RATE, LAB_RUN | LAB_COMPARE,
        "messages a second in rate (10000)"},
    {"depth", "N", OPT_DEPTH, LAB_RUN,
        "messages that a peer's ring holds (4096)"},
    {"repeats", "N", OPT_REPEATS, LAB_RUN, "repetitions (5)"},
    {"repeats", "N", OPT_REPEATS, LAB_BARS, "repetitions (7)"},
    {"repeats", "N", OPT_REPEATS, LAB_COMPARE, "rounds of two builds (16)"},
    {"repeats", "N", OPT_REPEATS, LAB_SELFTEST, "tries of compare (20)"},
    {"slice", "DURATION", OPT_SLICE, LAB_RUN | LAB_BARS | LAB_COMPARE,
        "time of one measurement: 500us, 150ms, 2s"},
    {"kills", "N", OPT_KILLS, LAB_RUN | LAB_BARS,
        "kills of one recovery figure (run 15, bars 50)"},
    {"bars", "LIST", OPT_BARS, LAB_BARS,
        "only bars with one of these parts in their names"},
    {"cpus", "LIST", OPT_CPUS, MEASURES,
        "cores to use, in order: 0,2-3 (all allowed)"},
    {"rt", "PRIORITY", OPT_RT, MEASURES, "SCHED_FIFO, for those who may"},
    {"threads", NULL, OPT_THREADS, LAB_RUN | LAB_COMPARE,
        "threads instead of processes"},
    {"out", "FILE", OPT_OUT, LAB_RUN,
        "writes the run as JSON (- is standard output)"},
    {"raw", "DIR", OPT_RAW, LAB_RUN,
        "writes every sample and every histogram there"},
    {"dir", "DIR", OPT_DIR, LAB_RUN, "where fdatasync is measured (.)"},
    {"quiet", NULL, OPT_QUIET, MEASURES, "no progress on standard error"},
    {"help", NULL, OPT_HELP, MEASURES | LAB_LIST, "this text"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
    enum lab_command command;
    const char *usage, *text;
} usages[] = {{LAB_RUN, "run [OPTION]...",
                  "Measures the transports side by side and shows a table."},
    {LAB_BARS, "bars [OPTION]...",
        "Measures every speed, recovery and footprint bar of the project and "
        "prints\nBAR name: ratio [min..max] bar PASS|MISS. Status 0 when none "
        "misses."},
    {LAB_COMPARE, "compare [OPTION]... A B",
        "Says which figures differ between two runs (JSON files of run --out), "
        "or\nbetween two builds of shmq-bench, which it runs turn about: far "
        "keener.\nStatus 1 when something is worse in B."},
    {LAB_SELFTEST, "selftest [OPTION]...",
        "Checks the lab itself against known answers. Status 1 when it "
        "fails."},
    {LAB_LIST, "list [OPTION]...",
        "Shows transports and modes, and what is not built in."}};

void lab_help(enum lab_command command)
{
    if (!command)
        puts("usage: shmq-bench COMMAND [OPTION]...\n\n"
             "  run             measures the transports side by side\n"
             "  bars            measures every bar of the project: BAR name: "
             "ratio\n"
             "                  [min..max] bar PASS|MISS\n"
             "  compare A B     says which figures of two runs, or of two "
             "builds, differ\n"
             "  selftest        checks the lab itself against known answers\n"
             "  list            transports and modes, and what is not built "
             "in\n\n"
             "shmq-bench COMMAND --help lists the options of a command.");
    for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
        if (usages[i].command == command)
            printf("usage: shmq-bench %s\n\n%s\n\n", usages[i].usage,
                usages[i].text);
    }
    for (size_t i = 0; i < ROWS; i++) {
        char left[40];

        if (!(rows[i].commands & (int)command))
            continue;
        snprintf(left, sizeof(left), "--%s %s", rows[i].name,
            rows[i].value ? rows[i].value : "");
        printf("  %-20s %s\n", left, rows[i].text);
    }
    puts("\nExit status: 0 done, 1 a miss, a failure or something worse, "
         "2 usage,\n4 no such file, 6 not permitted, 8 not a run of "
         "shmq-bench, 10 nothing that\ncould be stood behind, 128+N ended by "
         "signal N.\ndocs/bench-method.md tells what each figure means and "
         "does not mean.");
}

/* A whole number above zero, up to `max`. */
static int number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno || text[0] < '0' || text[0] > '9' || *end || v == 0 || v > max)
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

static int power_of_two(const char *text, uint32_t *ret)
{
    uint32_t v;

    if (small_number(text, 1u << 20, &v) || v < 4 || (v & (v - 1)) != 0)
        return -1;
    *ret = v;
    return 0;
}

/* Between 100 us and 10 minutes. */
static int duration(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"", 1e9}, {"m", 6e10}};
    char *end;
    double v = strtod(text, &end);

    if (end == text || text[0] < '0' || text[0] > '9')
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            v *= units[i].ns;
            *ret_ns = v >= 1e5 && v <= 6e11 ? (uint64_t)v : 0;
            return *ret_ns ? 0 : -1;
        }
    }
    return -1;
}

static void take_text(int id, struct lab_options *o)
{
    const char **places[OPT_END - OPT_TRANSPORTS] = {
        [OPT_TRANSPORTS - OPT_TRANSPORTS] = &o->transports,
        [OPT_MODES - OPT_TRANSPORTS] = &o->modes,
        [OPT_SIZES - OPT_TRANSPORTS] = &o->sizes,
        [OPT_BARS - OPT_TRANSPORTS] = &o->bars,
        [OPT_CPUS - OPT_TRANSPORTS] = &o->cpus,
        [OPT_OUT - OPT_TRANSPORTS] = &o->out,
        [OPT_RAW - OPT_TRANSPORTS] = &o->raw,
        [OPT_DIR - OPT_TRANSPORTS] = &o->dir};

    if (places[id - OPT_TRANSPORTS])
        *places[id - OPT_TRANSPORTS] = optarg;
}

/* 0, or -1 when the value of the option is wrong. */
static int take_option(int id, struct lab_options *o)
{
    switch (id) {
    case OPT_SENDERS:
        return small_number(optarg, LAB_PARTIES_MAX - 1, &o->senders);
    case OPT_RECEIVERS:
        return small_number(optarg, LAB_PARTIES_MAX - 1, &o->receivers);
    case OPT_RATE:
        return number(optarg, 100000000, &o->rate);
    case OPT_DEPTH:
        return power_of_two(optarg, &o->depth);
    case OPT_REPEATS:
        return small_number(optarg, 64, &o->repeats);
    case OPT_SLICE:
        return duration(optarg, &o->slice_ns);
    case OPT_KILLS:
        return small_number(optarg, 200, &o->kills);
    case OPT_RT:
        return small_number(optarg, 99, &o->rt);
    case OPT_THREADS:
        o->threads = 1;
        return 0;
    case OPT_QUIET:
        o->quiet = 1;
        return 0;
    default:
        take_text(id, o);
        return optarg[0] ? 0 : -1;
    }
}

/* The rows of `command` for getopt. */
static void fill_long(
    enum lab_command command, struct option *ret, const struct row **ret_rows)
{
    uint32_t n = 0;

    for (size_t i = 0; i < ROWS; i++) {
        if (!(rows[i].commands & (int)command))
            continue;
        ret[n].name = rows[i].name;
        ret[n].has_arg = rows[i].value ? required_argument : no_argument;
        ret[n].val = rows[i].id;
        ret_rows[n++] = &rows[i];
    }
}

static int complain(const char *name, const char *what, const char *why)
{
    fprintf(stderr, "shmq-bench: %s: %s: %s; see shmq-bench %s --help\n", name,
        what, why, name);
    return -1;
}

/* getopt's own complaints do not fit one line with the rest. */
static int complain_option(const char *name, int id, char *const *argv)
{
    const char *what = argv[optind - 1];

    return complain(name, what,
        id == ':' ? "needs a value" : "no such option of this command");
}

int lab_options_read(enum lab_command command, const char *name, int argc,
    char **argv, struct lab_options *ret)
{
    struct option longs[ROWS + 1];
    const struct row *known[ROWS] = {NULL};
    int id, at = 0;

    memset(ret, 0, sizeof(*ret));
    memset(longs, 0, sizeof(longs));
    fill_long(command, longs, known);
    while ((id = getopt_long(argc, argv, ":", longs, &at)) != -1) {
        if (id == OPT_HELP) {
            lab_help(command);
            return 1;
        }
        if (id == '?' || id == ':')
            return complain_option(name, id, argv);
        if (take_option(id, ret)) {
            char what[96];

            snprintf(what, sizeof(what), "--%s %.60s", known[at]->name, optarg);
            return complain(name, what, "no such value");
        }
    }
    for (int i = optind; i < argc; i++) {
        if (command != LAB_COMPARE || ret->file_cnt == 2)
            return complain(name, argv[i], "one argument too many");
        ret->files[ret->file_cnt++] = argv[i];
    }
    if (command == LAB_COMPARE && ret->file_cnt < 2)
        return complain(name, "A B", "two runs or two builds are needed");
    return 0;
}
