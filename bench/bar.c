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
    printf("    %s: ", bar->what);
    print_value(lab_median(bar->ours, bar->cnt), bar->unit);
    printf(" / ");
    print_value(lab_median(bar->reference, bar->cnt), bar->unit);
    printf(", %u repetitions", bar->cnt);
    if (bar->kills)
        printf(", %u kills, longest %.3g ms", bar->kills, bar->worst * 1e-6);
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
