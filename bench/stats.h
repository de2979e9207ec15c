/* stats.h - small numbers of repetitions: median, spread, difference. Pure. */
#ifndef LAB_STATS_H
#define LAB_STATS_H

#include <stdint.h>

/* Most values of one series. */
#define LAB_SERIES_MAX 256u

/* The quantile of `values` (any order; at most LAB_SERIES_MAX), interpolated.
 * 0.5 is the median. 0 when empty. */
double lab_quantile(const double *values, uint32_t cnt, double quantile);
double lab_median(const double *values, uint32_t cnt);
double lab_least(const double *values, uint32_t cnt);
double lab_most(const double *values, uint32_t cnt);

/* The floors of a run may come in two moods, far apart: where a virtual
 * machine's cores lie changes now and then. Looks for one gap of more than
 * 1.5 times between neighbours in the sorted `floors` (a's and b's together);
 * returns a value inside the widest such gap, or 0 when there is one mood. */
double lab_mood_border(const double *floors, uint32_t cnt);

/* Two-sided probability that two series this different come from one source:
 * Mann-Whitney, exact by counting for up to 20 values in all, else by the
 * normal approximation with tie correction. 1 when a series is empty. */
double lab_rank_test(
    const double *a, uint32_t a_cnt, const double *b, uint32_t b_cnt);

/* Two-sided probability that differences this lopsided come from none:
 * Wilcoxon's signed ranks, exact; zeros are left out, ties get middle ranks. At
 * most 64 values count. 1 when there are none. */
double lab_signed_rank_test(const double *differences, uint32_t cnt);

#endif
