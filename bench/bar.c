/* bar.c - one bar: adding up, judging, printing. */
#include "bars.h"

#include <stdio.h>

void lab_bar_add(struct lab_bar *bar, double ours, double reference)
{
    uint32_t i = bar->cnt;

    if (i >= LAB_BAR_REPEATS_MAX)
        return;
    bar->ours[i] = ours;
    bar->reference[i] = reference;
    bar->ratios[i] = reference > 0.0 ? ours / reference : 0.0;
    bar->cnt = i + 1;
}

void lab_bar_undo(struct lab_bar *bar)
{
    if (bar->cnt)
        bar->cnt--;
    bar->failed[0] = '\0';
}

#define QUIET_LEAST 5u

void lab_bar_settle(struct lab_bar *bar)
{
    uint32_t quiet = 0, to = 0;

    for (uint32_t i = 0; i < bar->cnt; i++)
        quiet += !bar->disturbed[i];
    if (quiet < QUIET_LEAST)
        return;
    for (uint32_t i = 0; i < bar->cnt; i++) {
        if (bar->disturbed[i])
            continue;
        bar->ratios[to] = bar->ratios[i];
        bar->ours[to] = bar->ours[i];
        bar->reference[to] = bar->reference[i];
        bar->kills[to] = bar->kills[i];
        bar->worst[to] = bar->worst[i];
        bar->disturbed[to++] = 0;
    }
    bar->left_out = bar->cnt - to;
    bar->cnt = to;
}

int lab_bar_verdict(const struct lab_bar *bar)
{
    double median = lab_median(bar->ratios, bar->cnt);

    if (bar->skipped[0])
        return -1;
    if (bar->failed[0] || bar->cnt == 0)
        return 0;
    if (bar->sense == LAB_AT_MOST)
        return median <= bar->limit;
    if (bar->sense == LAB_AT_LEAST)
        return median >= bar->limit;
    return 1;
}

/* 81234567.0 as "81.2M". */
static void print_value(double v, const char *unit)
{
    static const struct {
        double scale;
        const char *mark;
    } scales[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    const char *mark = "";

    for (int i = 0; i < 3 && !mark[0]; i++) {
        if (v >= scales[i].scale) {
            v /= scales[i].scale;
            mark = scales[i].mark;
        }
    }
    printf("%.4g%s %s", v, mark, unit);
}

static void print_detail(const struct lab_bar *bar)
{
    uint32_t kills = 0, busy = 0;

    printf("    %s: ", bar->what);
    print_value(lab_median(bar->ours, bar->cnt), bar->unit);
    printf(" / ");
    print_value(lab_median(bar->reference, bar->cnt), bar->unit);
    printf(", %u repetitions", bar->cnt);
    for (uint32_t i = 0; i < bar->cnt; i++)
        busy += bar->disturbed[i];
    if (bar->left_out)
        printf(", %u disturbed ones left out", bar->left_out);
    if (busy)
        printf(", %u of them disturbed", busy);
    for (uint32_t i = 0; i < bar->cnt; i++)
        kills += bar->kills[i];
    if (kills)
        printf(", %u kills, longest %.3g ms", kills,
            lab_most(bar->worst, bar->cnt) * 1e-6);
    printf("\n");
}

void lab_bar_print(const struct lab_bar *bar)
{
    static const char *const words[] = {"MISS", "PASS"};
    static const char *const signs[] = {"", "<=", ">="};

    if (bar->skipped[0]) {
        printf("BAR %s: SKIP (%s)\n", bar->name, bar->skipped);
        return;
    }
    if (bar->failed[0] || bar->cnt == 0) {
        printf("BAR %s: - [-..-] MISS (%s)\n", bar->name,
            bar->failed[0] ? bar->failed : "not measured");
        return;
    }
    printf("BAR %s: %.3f [%.3f..%.3f] ", bar->name,
        lab_median(bar->ratios, bar->cnt), lab_least(bar->ratios, bar->cnt),
        lab_most(bar->ratios, bar->cnt));
    if (bar->sense == LAB_REPORT)
        printf("- INFO\n");
    else
        printf("%s%g %s\n", signs[bar->sense], bar->limit,
            words[lab_bar_verdict(bar)]);
    print_detail(bar);
}
