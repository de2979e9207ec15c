/* compare.c - `shmq-bench compare A B`: which figures of two runs differ.
 *
 * Series are compared relative to the floor of their own repetition where both
 * runs have one, so that another machine mood is no difference. */
#include "compare.h"

#include "json.h"
#include "lab.h"
#include "stats.h"

#include <math.h>
#include <string.h>

struct pair {
    const struct lab_node *a, *b;
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

static uint32_t find_pairs(const struct lab_node *a, const struct lab_node *b,
    const struct lab_options *options, struct pair *pairs)
{
    const struct lab_node *as = lab_json_get(a, "figures");
    const struct lab_node *bs = lab_json_get(b, "figures");
    uint32_t cnt = 0;

    for (const struct lab_node *x = as ? as->first : NULL; x; x = x->next) {
        if (!tested(x, options))
            continue;
        for (const struct lab_node *y = bs ? bs->first : NULL; y; y = y->next) {
            if (cnt == PAIRS_MAX || !same_figure(x, y))
                continue;
            pairs[cnt] = (struct pair){.a = x, .b = y};
            if (compare_figures(&pairs[cnt]) == 0)
                cnt++;
        }
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

static int compare_files(const struct lab_node *a, const struct lab_node *b,
    const struct lab_options *options)
{
    static struct pair pairs[PAIRS_MAX];
    uint32_t cnt = find_pairs(a, b, options, pairs), bad = 0, good = 0;

    printf("%-13s %-13s %8s %-8s %11s %11s %8s %8s %7s\n", "mode", "transport",
        "bytes", "metric", "A", "B", "change", "p", "noise");
    for (uint32_t i = 0; i < cnt; i++) {
        int worse = verdict(&pairs[i], cnt);

        bad += worse > 0;
        good += worse < 0;
        print_pair(&pairs[i], worse);
    }
    printf("\n%u figures in both runs: %u worse, %u better in B. change: of "
           "the medians,\nrelative to the floors; p: Mann-Whitney over the "
           "repetitions; a difference counts\nwhen p < 0.02 / %u and the "
           "change is above the noise of the two runs\n",
        cnt, bad, good, cnt);
    if (cnt == 0) {
        fprintf(stderr, "shmq-bench: compare: no figure is in both runs\n");
        return 2;
    }
    return bad ? 1 : 0;
}

int lab_cmd_compare(const struct lab_options *options)
{
    struct lab_node *files[2] = {NULL, NULL};
    char error[192];
    int rc = 8;

    for (int i = 0; i < 2; i++) {
        files[i] = lab_json_read(options->files[i], error);
        if (!files[i]) {
            fprintf(stderr, "shmq-bench: compare: %s\n", error);
            break;
        }
        if (strcmp(lab_json_get_text(files[i], "format"), "shmq-bench/1")) {
            fprintf(stderr,
                "shmq-bench: compare: %s: not a run of "
                "shmq-bench\n",
                options->files[i]);
            lab_json_free(files[i]);
            files[i] = NULL;
            break;
        }
    }
    if (files[0] && files[1])
        rc = compare_files(files[0], files[1], options);
    lab_json_free(files[0]);
    lab_json_free(files[1]);
    return rc;
}
