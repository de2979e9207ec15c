/* hist.h - a histogram of 64-bit values with three significant digits (HDR
 * style): every power of two is cut into 512 equal buckets, so a value is kept
 * to within 0.2 %. Plain memory, fit for shared memory; one writer. */
#ifndef LAB_HIST_H
#define LAB_HIST_H

#include <stdint.h>

#define LAB_HIST_SUB_LG2 9u
#define LAB_HIST_SUB (1u << LAB_HIST_SUB_LG2)
#define LAB_HIST_TOP_LG2 44u /* larger values count as 2^44 - 1 */
#define LAB_HIST_BUCKETS \
    ((LAB_HIST_TOP_LG2 - LAB_HIST_SUB_LG2 + 1) * LAB_HIST_SUB)

struct lab_hist {
    uint64_t cnt;
    uint64_t min, max; /* exact */
    uint32_t buckets[LAB_HIST_BUCKETS];
};

/* Fewest samples for which a quantile is shown: p99.99 needs 10^6. */
uint64_t lab_hist_needs(double quantile);

void lab_hist_reset(struct lab_hist *h);
void lab_hist_add(struct lab_hist *into, const struct lab_hist *from);

/* The value below which `quantile` (0 to 1) of the samples lie, interpolated
 * within a bucket and within a step of the clock. 0 when empty. */
double lab_hist_quantile(const struct lab_hist *h, double quantile);
double lab_hist_mean(const struct lab_hist *h);

/* The value that a bucket stands for: its middle. */
double lab_hist_bucket(uint32_t idx);

static inline uint32_t lab_hist_index(uint64_t value)
{
    uint32_t shift;

    if (value < LAB_HIST_SUB)
        return (uint32_t)value;
    if (value >> LAB_HIST_TOP_LG2)
        value = (UINT64_C(1) << LAB_HIST_TOP_LG2) - 1;
    shift = 63u - (uint32_t)__builtin_clzll(value) - LAB_HIST_SUB_LG2;
    return (shift + 1) * LAB_HIST_SUB +
        (uint32_t)((value >> shift) & (LAB_HIST_SUB - 1));
}

static inline void lab_hist_record(struct lab_hist *h, uint64_t value)
{
    h->buckets[lab_hist_index(value)]++;
    h->cnt++;
    if (value > h->max)
        h->max = value;
    if (value < h->min)
        h->min = value;
}

#endif
