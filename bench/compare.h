/* compare.h - do two series of repetitions differ? Pure. */
#ifndef LAB_COMPARE_H
#define LAB_COMPARE_H

#include "stats.h"

#include <stdint.h>

/* Values of the repetitions, relative to the floor of each, and those floors
 * (all 0 when there are none). */
struct lab_series {
    double values[LAB_SERIES_MAX];
    double floors[LAB_SERIES_MAX];
    uint32_t cnt;
};

struct lab_difference {
    double change; /* median of b against median of a: 0.1 is 10 % more */
    double probability; /* of a difference like this between equals */
    double noise; /* changes below this are not told from noise */
    uint32_t a_cnt, b_cnt; /* repetitions compared */
};

/* When the floors come in two moods, only repetitions of one mood are compared:
 * the one that both series have most of. Noise is what the two series
 * themselves wander (between their halves and between neighbours), at least 3
 * %. */
void lab_compare_series(const struct lab_series *a, const struct lab_series *b,
    struct lab_difference *ret);

/* The same for two series made turn about: value i of a and value i of b are
 * neighbours in time, so what the machine does to both of them cancels out. The
 * floors are not looked at. */
void lab_compare_pairs(const struct lab_series *a, const struct lab_series *b,
    struct lab_difference *ret);

/* Whether the difference counts, when it is one of `family` looked at. */
int lab_difference_counts(const struct lab_difference *d, uint32_t family);

#endif
