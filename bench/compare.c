/* compare.c - `shmq-bench compare A B`: which figures of two runs differ.
 *
 * A and B are runs (JSON), or two builds of shmq-bench, which are then run turn
 * about. Runs of different times are compared relative to the floor of their
 * own repetition where both have one, so that another mood of the machine is no
 * difference; rounds made turn about are compared neighbour by neighbour. */
#include "compare.h"

#include "compare_builds.h"

#include "json.h"
#include "lab.h"
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* One side: a run, or the rounds of a build. */
struct side {
    struct lab_node **runs;
    uint32_t cnt;
};

struct pair {
    const struct lab_node *a, *b; /* figures, of the first round */
    struct lab_difference difference;
    int relative;
};

#define PAIRS_MAX 2048u

static uint32_t read_numbers(
    const struct lab_node *figure, const char *key, double *ret)
{
    const struct lab_node *list = lab_json_get(figure, key);
    uint32_t cnt = 0;

    for (const struct lab_node *n = list ? list->first : NULL;
         n && cnt < LAB_SERIES_MAX; n = n->next)
        ret[cnt++] = n->number;
    return cnt;
}

/* Relative to the floor when there is one, else as they are. */
static int read_series(const struct lab_node *figure, struct lab_series *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->cnt = read_numbers(figure, "relative", ret->values);
    if (ret->cnt && read_numbers(figure, "floors", ret->floors) == ret->cnt)
        return 1;
    memset(ret->floors, 0, sizeof(ret->floors));
    ret->cnt = read_numbers(figure, "values", ret->values);
    return 0;
}

static int same_figure(const struct lab_node *a, const struct lab_node *b)
{
    static const char *const texts[] = {"mode", "transport", "metric"};
    static const char *const numbers[] = {"size", "senders", "receivers"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(lab_json_get_text(a, texts[i]),
                lab_json_get_text(b, texts[i])) != 0)
            return 0;
        if (lab_json_get_number(a, numbers[i]) <
                lab_json_get_number(b, numbers[i]) ||
            lab_json_get_number(a, numbers[i]) >
                lab_json_get_number(b, numbers[i]))
            return 0;
    }
    return 1;
}

/* Tails and byte counts follow from these, or are too rough to test. */
static int tested(
    const struct lab_node *figure, const struct lab_options *options)
{
    const char *metric = lab_json_get_text(figure, "metric");

    if (!lab_listed(
            options->transports, lab_json_get_text(figure, "transport")) ||
        !lab_listed(options->modes, lab_json_get_text(figure, "mode")))
        return 0;
    return lab_listed("p50,p99,rate,time,hold-up", metric);
}

static int compare_figures(struct pair *pair)
{
    static struct lab_series a, b;
    int in_a = read_series(pair->a, &a), in_b = read_series(pair->b, &b);

    if (in_a != in_b || a.cnt < 2 || b.cnt < 2)
        return -1;
    pair->relative = in_a;
    lab_compare_series(&a, &b, &pair->difference);
    return 0;
}

static const struct lab_node *find_figure(
    const struct lab_node *run, const struct lab_node *like)
{
    const struct lab_node *list = lab_json_get(run, "figures");

    for (const struct lab_node *n = list ? list->first : NULL; n; n = n->next) {
        if (same_figure(n, like))
            return n;
    }
    return NULL;
}

/* The figure in round `i`; 0 when it is not there. */
static double figure_of(
    const struct side *side, uint32_t i, const struct lab_node *like)
{
    const struct lab_node *figure = find_figure(side->runs[i], like);

    return figure ? lab_json_get_number(figure, "median") : 0.0;
}

/* Neighbour by neighbour; a round in which one side has no figure says
 * nothing. */
static int compare_rounds(
    struct pair *pair, const struct side *as, const struct side *bs)
{
    static struct lab_series a, b;

    a.cnt = b.cnt = 0;
    for (uint32_t i = 0; i < as->cnt && i < bs->cnt; i++) {
        a.values[a.cnt] = figure_of(as, i, pair->a);
        b.values[b.cnt] = figure_of(bs, i, pair->a);
        if (a.values[a.cnt] > 0.0 && b.values[b.cnt] > 0.0) {
            a.cnt++;
            b.cnt++;
        }
    }
    if (a.cnt < 2)
        return -1;
    pair->relative = 1;
    lab_compare_pairs(&a, &b, &pair->difference);
    return 0;
}

static uint32_t find_pairs(const struct side *as, const struct side *bs,
    const struct lab_options *options, struct pair *pairs)
{
    const struct lab_node *list = lab_json_get(as->runs[0], "figures");
    uint32_t cnt = 0;

    for (const struct lab_node *x = list ? list->first : NULL;
         x && cnt < PAIRS_MAX; x = x->next) {
        struct pair *pair = &pairs[cnt];

        *pair = (struct pair){.a = x, .b = find_figure(bs->runs[0], x)};
        if (!tested(x, options) || !pair->b)
            continue;
        if ((as->cnt > 1 ? compare_rounds(pair, as, bs)
                         : compare_figures(pair)) == 0)
            cnt++;
    }
    return cnt;
}

/* 1 worse, -1 better, 0 no difference. */
static int verdict(const struct pair *pair, uint32_t family)
{
    const char *better = lab_json_get_text(pair->a, "better");
    int more = pair->difference.change > 0.0;

    if (!lab_difference_counts(&pair->difference, family))
        return 0;
    if (strcmp(better, "higher") == 0)
        return more ? -1 : 1;
    return more ? 1 : -1;
}

static void print_pair(const struct pair *pair, int worse)
{
    static const char *const words[] = {"BETTER", "same", "WORSE"};

    printf("%-13s %-13s %8.0f %-8s %11.5g %11.5g %+7.1f%% %8.4f %6.1f%% %s%s\n",
        lab_json_get_text(pair->a, "mode"),
        lab_json_get_text(pair->a, "transport"),
        lab_json_get_number(pair->a, "size"),
        lab_json_get_text(pair->a, "metric"),
        lab_json_get_number(pair->a, "median"),
        lab_json_get_number(pair->b, "median"), pair->difference.change * 100.0,
        pair->difference.probability, pair->difference.noise * 100.0,
        words[worse + 1], pair->relative ? "" : " (not relative to a floor)");
}

static void print_legend(uint32_t cnt, uint32_t bad, uint32_t good, int paired)
{
    printf("\n%u figures in both: %u worse, %u better in B. change: of the "
           "medians,\n%s; p: %s;\na difference counts when p < 0.02 / %u and "
           "the change is above the noise\n",
        cnt, bad, good,
        paired ? "neighbour by neighbour" : "relative to the floors",
        paired ? "signed ranks of the neighbours' ratios"
               : "Mann-Whitney over the repetitions",
        cnt);
}

static int compare_sides(const struct side *a, const struct side *b,
    const struct lab_options *options)
{
    static struct pair pairs[PAIRS_MAX];
    uint32_t cnt = find_pairs(a, b, options, pairs), bad = 0, good = 0;

    if (cnt == 0) {
        fprintf(stderr, "shmq-bench: compare: no figure is in both\n");
        return LAB_EXIT_CANNOT_TELL;
    }
    printf("%-13s %-13s %8s %-8s %11s %11s %8s %8s %7s\n", "mode", "transport",
        "bytes", "metric", "A", "B", "change", "p", "noise");
    for (uint32_t i = 0; i < cnt; i++) {
        int worse = verdict(&pairs[i], cnt);

        bad += worse > 0;
        good += worse < 0;
        print_pair(&pairs[i], worse);
    }
    print_legend(cnt, bad, good, a->cnt > 1);
    return bad ? 1 : 0;
}

static int compare_builds(const struct lab_options *options)
{
    struct lab_node *runs[2][LAB_REPEATS_MAX] = {{NULL}};
    struct side a = {.runs = runs[0]}, b = {.runs = runs[1]};
    int rc = 1;

    a.cnt = b.cnt = lab_builds_run(options, runs[0], runs[1]);
    if (a.cnt > 1)
        rc = compare_sides(&a, &b, options);
    for (uint32_t i = 0; i < a.cnt; i++) {
        lab_json_free(runs[0][i]);
        lab_json_free(runs[1][i]);
    }
    return rc;
}

/* The exit status for a file that is no run. */
static int why_not(const char *path)
{
    if (access(path, R_OK) == 0)
        return LAB_EXIT_DAMAGED;
    return errno == EACCES ? LAB_EXIT_PERMISSION : LAB_EXIT_MISSING;
}

int lab_cmd_compare(const struct lab_options *options)
{
    struct lab_node *runs[2] = {NULL, NULL};
    struct side a = {.runs = &runs[0], .cnt = 1};
    struct side b = {.runs = &runs[1], .cnt = 1};
    char error[192];
    int rc = 0;

    if (lab_build_is(options->files[0]) && lab_build_is(options->files[1]))
        return compare_builds(options);
    for (int i = 0; i < 2 && rc == 0; i++) {
        runs[i] = lab_run_read(options->files[i], error);
        if (runs[i])
            continue;
        rc = why_not(options->files[i]);
        fprintf(stderr, "shmq-bench: compare: %s\n", error);
    }
    if (rc == 0)
        rc = compare_sides(&a, &b, options);
    lab_json_free(runs[0]);
    lab_json_free(runs[1]);
    return rc;
}
