/* selftest.h - the lab checked against known answers. Each returns how many
 * checks failed and prints one line for each. */
#ifndef LAB_SELFTEST_H
#define LAB_SELFTEST_H

#include "lab.h"

/* Prints "CHECK name: ok|FAILED, ..."; returns 0 or 1. */
int lab_check(const char *name, int ok, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int lab_selftest_numbers(void);
int lab_selftest_broken(void);
int lab_selftest_latency(const struct lab_options *options);
int lab_selftest_compare(const struct lab_options *options);

#endif
