/* stats.c - order statistics and the rank test. */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

double lab_quantile(const double *values, uint32_t cnt, double quantile)
{
    double sorted[LAB_SERIES_MAX], at, share;
    uint32_t low;

    if (cnt == 0)
        return 0.0;
    if (cnt > LAB_SERIES_MAX)
        cnt = LAB_SERIES_MAX;
    memcpy(sorted, values, cnt * sizeof(*values));
    qsort(sorted, cnt, sizeof(*sorted), ascending);
    at = quantile * (double)(cnt - 1);
    low = (uint32_t)at;
    share = at - (double)low;
    if (low + 1 >= cnt)
        return sorted[cnt - 1];
    return sorted[low] * (1.0 - share) + sorted[low + 1] * share;
}

double lab_median(const double *values, uint32_t cnt)
{
    return lab_quantile(values, cnt, 0.5);
}

double lab_least(const double *values, uint32_t cnt)
{
    return lab_quantile(values, cnt, 0.0);
}

double lab_most(const double *values, uint32_t cnt)
{
    return lab_quantile(values, cnt, 1.0);
}

double lab_mood_border(const double *floors, uint32_t cnt)
{
    double sorted[2 * LAB_SERIES_MAX], border = 0.0, widest = 1.5;

    if (cnt > 2 * LAB_SERIES_MAX)
        cnt = 2 * LAB_SERIES_MAX;
    if (cnt == 0)
        return 0.0;
    memcpy(sorted, floors, cnt * sizeof(*floors));
    qsort(sorted, cnt, sizeof(*sorted), ascending);
    for (uint32_t i = 1; i < cnt; i++) {
        double gap = sorted[i - 1] > 0.0 ? sorted[i] / sorted[i - 1] : 0.0;

        if (gap > widest) {
            widest = gap;
            border = (sorted[i] + sorted[i - 1]) / 2.0;
        }
    }
    return border;
}

/* Pairs in which a's value is the larger one; ties count half. */
static double pairs_won(
    const double *a, uint32_t a_cnt, const double *b, uint32_t b_cnt)
{
    double won = 0.0;

    for (uint32_t i = 0; i < a_cnt; i++) {
        for (uint32_t k = 0; k < b_cnt; k++) {
            if (a[i] > b[k])
                won += 1.0;
            else if (!(a[i] < b[k]))
                won += 0.5;
        }
    }
    return won;
}

/* ways[u]: in how many orders of a_cnt and b_cnt different values a wins
 * exactly u pairs (Mann and Whitney's recurrence). */
static double exact_test(double won, uint32_t a_cnt, uint32_t b_cnt)
{
    static double ways[11][11][101];
    double all = 0.0, tail = 0.0;
    double edge = fmin(won, (double)(a_cnt * b_cnt) - won);

    memset(ways, 0, sizeof(ways));
    for (uint32_t n = 0; n <= a_cnt; n++) {
        for (uint32_t m = 0; m <= b_cnt; m++) {
            for (uint32_t u = 0; u <= n * m; u++) {
                if (n == 0 || m == 0)
                    ways[n][m][u] = 1.0;
                else
                    ways[n][m][u] = (u >= m ? ways[n - 1][m][u - m] : 0.0) +
                        ways[n][m - 1][u];
            }
        }
    }
    for (uint32_t u = 0; u <= a_cnt * b_cnt; u++) {
        all += ways[a_cnt][b_cnt][u];
        if ((double)u <= edge)
            tail += ways[a_cnt][b_cnt][u];
    }
    return fmin(1.0, 2.0 * tail / all);
}

static double tie_correction(
    const double *a, uint32_t a_cnt, const double *b, uint32_t b_cnt)
{
    double all[2 * LAB_SERIES_MAX], sum = 0.0;
    uint32_t cnt = a_cnt + b_cnt;

    memcpy(all, a, a_cnt * sizeof(*a));
    memcpy(all + a_cnt, b, b_cnt * sizeof(*b));
    qsort(all, cnt, sizeof(*all), ascending);
    for (uint32_t i = 0; i < cnt;) {
        uint32_t k = i;
        double t;

        while (k < cnt && !(all[k] > all[i]))
            k++;
        t = (double)(k - i);
        sum += t * t * t - t;
        i = k;
    }
    return sum;
}

double lab_rank_test(
    const double *a, uint32_t a_cnt, const double *b, uint32_t b_cnt)
{
    double n = (double)a_cnt, m = (double)b_cnt, all = n + m;
    double won, variance, z;

    if (a_cnt == 0 || b_cnt == 0 || a_cnt > LAB_SERIES_MAX ||
        b_cnt > LAB_SERIES_MAX)
        return 1.0;
    won = pairs_won(a, a_cnt, b, b_cnt);
    if (a_cnt <= 10 && b_cnt <= 10)
        return exact_test(won, a_cnt, b_cnt);
    variance = n * m / 12.0 *
        (all + 1.0 - tie_correction(a, a_cnt, b, b_cnt) / (all * (all - 1.0)));
    if (variance <= 0.0)
        return 1.0;
    z = (fabs(won - n * m / 2.0) - 0.5) / sqrt(variance);
    return z <= 0.0 ? 1.0 : erfc(z / sqrt(2.0));
}

#define PAIRS_MAX 64u

static int by_size(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

    return (x > y) - (x < y);
}

/* Twice the ranks (so that middle ranks are whole) of `cnt` values sorted by
 * size; returns the sum over the positive ones. */
static uint32_t rank_doubled(
    const double *sorted, uint32_t cnt, uint32_t *ret_ranks)
{
    uint32_t positive = 0;

    for (uint32_t i = 0; i < cnt;) {
        uint32_t k = i;

        while (k < cnt && !(fabs(sorted[k]) > fabs(sorted[i])))
            k++;
        for (uint32_t at = i; at < k; at++) {
            ret_ranks[at] = i + k + 1;
            positive += sorted[at] > 0.0 ? i + k + 1 : 0;
        }
        i = k;
    }
    return positive;
}

/* ways[s]: share of the 2^cnt choices of signs whose positive ranks sum up to
 * s. */
double lab_signed_rank_test(const double *differences, uint32_t cnt)
{
    static double ways[PAIRS_MAX * (PAIRS_MAX + 1) + 1];
    uint32_t ranks[PAIRS_MAX], n = 0, all = 0, positive, edge;
    double sorted[PAIRS_MAX], tail = 0.0;

    for (uint32_t i = 0; i < cnt && n < PAIRS_MAX; i++) {
        if (fabs(differences[i]) > 0.0)
            sorted[n++] = differences[i];
    }
    if (n == 0)
        return 1.0;
    qsort(sorted, n, sizeof(*sorted), by_size);
    positive = rank_doubled(sorted, n, ranks);
    memset(ways, 0, sizeof(ways));
    ways[0] = 1.0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t s = all + 1; s-- > 0;) {
            ways[s] /= 2.0;
            ways[s + ranks[i]] += ways[s];
        }
        all += ranks[i];
    }
    edge = positive < all - positive ? positive : all - positive;
    for (uint32_t s = 0; s <= edge; s++)
        tail += ways[s];
    return fmin(1.0, 2.0 * tail);
}
