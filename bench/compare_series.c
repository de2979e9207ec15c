/* compare_series.c - the test behind `compare`. */
#include "compare.h"

#include "stats.h"

#include <math.h>

#define NOISE_LEAST 0.03
#define ALPHA 0.02

/* How far the first half's median is from the second half's. */
static double drift(const double *values, uint32_t cnt)
{
    uint32_t half = cnt / 2;
    double all = lab_median(values, cnt);

    if (half == 0 || !(fabs(all) > 0.0))
        return 0.0;
    return fabs(lab_median(values, half) -
               lab_median(values + (cnt - half), half)) /
        fabs(all);
}

/* Standard error of the median, from the middle half of the values. */
static double wander(const double *values, uint32_t cnt)
{
    double all = lab_median(values, cnt);
    double width =
        lab_quantile(values, cnt, 0.75) - lab_quantile(values, cnt, 0.25);

    if (cnt == 0 || !(fabs(all) > 0.0))
        return 0.0;
    return 1.2533 * width / 1.349 / sqrt((double)cnt) / fabs(all);
}

static double noise_of(const double *values, uint32_t cnt)
{
    return fmax(2.0 * wander(values, cnt), 0.5 * drift(values, cnt));
}

void lab_compare_series(const double *a, uint32_t a_cnt, const double *b,
    uint32_t b_cnt, struct lab_difference *ret)
{
    double before = lab_median(a, a_cnt), after = lab_median(b, b_cnt);

    ret->change = fabs(before) > 0.0 ? after / before - 1.0 : 0.0;
    ret->probability = lab_rank_test(a, a_cnt, b, b_cnt);
    ret->noise =
        fmax(NOISE_LEAST, fmax(noise_of(a, a_cnt), noise_of(b, b_cnt)));
}

int lab_difference_counts(const struct lab_difference *d, uint32_t family)
{
    return d->probability < ALPHA / (double)(family ? family : 1) &&
        fabs(d->change) > d->noise;
}
