/* compare_series.c - the test behind `compare`. */
#include "compare.h"

#include <math.h>
#include <string.h>

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
static double spread(const double *values, uint32_t cnt)
{
    double width =
        lab_quantile(values, cnt, 0.75) - lab_quantile(values, cnt, 0.25);

    return cnt ? 1.2533 * width / 1.349 / sqrt((double)cnt) : 0.0;
}

static double wander(const double *values, uint32_t cnt)
{
    double all = lab_median(values, cnt);

    return fabs(all) > 0.0 ? spread(values, cnt) / fabs(all) : 0.0;
}

static double noise_of(const double *values, uint32_t cnt)
{
    return fmax(2.0 * wander(values, cnt), 0.5 * drift(values, cnt));
}

/* The values of one mood: on one side of the border. */
static uint32_t one_mood(
    const struct lab_series *series, double border, int above, double *ret)
{
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < series->cnt; i++) {
        if ((series->floors[i] > border) == above)
            ret[cnt++] = series->values[i];
    }
    return cnt;
}

static double border_of(const struct lab_series *a, const struct lab_series *b)
{
    double floors[2 * LAB_SERIES_MAX];

    memcpy(floors, a->floors, a->cnt * sizeof(double));
    memcpy(floors + a->cnt, b->floors, b->cnt * sizeof(double));
    return lab_mood_border(floors, a->cnt + b->cnt);
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void lab_compare_series(const struct lab_series *a, const struct lab_series *b,
    struct lab_difference *ret)
{
    double va[2][LAB_SERIES_MAX], vb[2][LAB_SERIES_MAX], before, after;
    double border = border_of(a, b);
    uint32_t na[2], nb[2];
    int mood;

    for (int above = 0; above < 2; above++) {
        na[above] = one_mood(a, border, above, va[above]);
        nb[above] = one_mood(b, border, above, vb[above]);
    }
    mood = lesser(na[1], nb[1]) >= lesser(na[0], nb[0]);
    before = lab_median(va[mood], na[mood]);
    after = lab_median(vb[mood], nb[mood]);
    ret->a_cnt = na[mood];
    ret->b_cnt = nb[mood];
    ret->change = fabs(before) > 0.0 ? after / before - 1.0 : 0.0;
    ret->probability = lab_rank_test(va[mood], na[mood], vb[mood], nb[mood]);
    ret->noise = fmax(NOISE_LEAST,
        fmax(noise_of(va[mood], na[mood]), noise_of(vb[mood], nb[mood])));
}

void lab_compare_pairs(const struct lab_series *a, const struct lab_series *b,
    struct lab_difference *ret)
{
    uint32_t cnt = lesser(a->cnt, b->cnt), n = 0;
    double logs[LAB_SERIES_MAX];

    for (uint32_t i = 0; i < cnt; i++) {
        if (a->values[i] > 0.0 && b->values[i] > 0.0)
            logs[n++] = log(b->values[i] / a->values[i]);
    }
    ret->a_cnt = ret->b_cnt = n;
    ret->change = exp(lab_median(logs, n)) - 1.0;
    ret->probability = lab_signed_rank_test(logs, n);
    ret->noise = fmax(NOISE_LEAST, 2.0 * spread(logs, n));
}

int lab_difference_counts(const struct lab_difference *d, uint32_t family)
{
    return d->probability < ALPHA / (double)(family ? family : 1) &&
        fabs(d->change) > d->noise;
}
