/* compare.h - do two series of repetitions differ? Pure. */
#ifndef LAB_COMPARE_H
#define LAB_COMPARE_H

#include <stdint.h>

struct lab_difference {
    double change; /* median of b against median of a: 0.1 is 10 % more */
    double probability; /* of a difference like this between equals */
    double noise; /* changes below this are not told from noise */
};

/* Noise is what the two series themselves wander (between their halves and
 * between neighbours), at least 3 %. */
void lab_compare_series(const double *a, uint32_t a_cnt, const double *b,
    uint32_t b_cnt, struct lab_difference *ret);

/* Whether the difference counts, when it is one of `family` looked at. */
int lab_difference_counts(const struct lab_difference *d, uint32_t family);

#endif
