/* hist.c - reading histograms. */
#include "hist.h"

#include "clock.h"

#include <string.h>

uint64_t lab_hist_needs(double quantile)
{
    if (quantile >= 0.9999)
        return 1000000;
    if (quantile >= 0.999)
        return 10000;
    if (quantile >= 0.99)
        return 1000;
    return 10;
}

void lab_hist_reset(struct lab_hist *h)
{
    memset(h, 0, sizeof(*h));
    h->min = UINT64_MAX;
}

void lab_hist_add(struct lab_hist *into, const struct lab_hist *from)
{
    for (uint32_t i = 0; i < LAB_HIST_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->cnt += from->cnt;
    if (from->max > into->max)
        into->max = from->max;
    if (from->min < into->min)
        into->min = from->min;
}

/* The values that one bucket stands for: [low, low + width). */
static double bucket_low(uint32_t idx, double *ret_width)
{
    uint32_t shift = idx / LAB_HIST_SUB;

    *ret_width = 1.0;
    if (shift <= 1)
        return (double)idx;
    *ret_width = (double)(UINT64_C(1) << (shift - 1));
    return (
        double)((uint64_t)(LAB_HIST_SUB + idx % LAB_HIST_SUB) << (shift - 1));
}

double lab_hist_bucket(uint32_t idx)
{
    double width, low = bucket_low(idx, &width);

    return low + (width - 1.0) / 2.0;
}

/* Between two values of the clock's steps (or of a bucket) samples are taken
 * to be spread evenly: a difference of two readings is off by up to a step in
 * either direction, evenly, so this is where the true median lies. */
static double within(uint32_t idx, double share)
{
    double width;

    bucket_low(idx, &width);
    if (width < lab_clock.step_ticks)
        width = lab_clock.step_ticks;
    return lab_hist_bucket(idx) + (share - 0.5) * width;
}

double lab_hist_quantile(const struct lab_hist *h, double quantile)
{
    double want = quantile * (double)h->cnt;
    uint64_t seen = 0;

    if (h->cnt == 0)
        return 0.0;
    for (uint32_t i = 0; i < LAB_HIST_BUCKETS; i++) {
        uint64_t here = h->buckets[i];
        double value;

        if (here == 0 || (double)(seen + here) < want) {
            seen += here;
            continue;
        }
        value = within(i, (want - (double)seen) / (double)here);
        if (value > (double)h->max)
            value = (double)h->max;
        return value < (double)h->min ? (double)h->min : value;
    }
    return (double)h->max;
}

double lab_hist_mean(const struct lab_hist *h)
{
    double sum = 0;

    for (uint32_t i = 0; i < LAB_HIST_BUCKETS; i++) {
        if (h->buckets[i])
            sum += lab_hist_bucket(i) * (double)h->buckets[i];
    }
    return h->cnt ? sum / (double)h->cnt : 0.0;
}
