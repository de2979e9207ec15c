/* plan.h - what one run will measure: entries, each measured once in every
 * repetition, in order (A B C A B C). */
#ifndef LAB_PLAN_H
#define LAB_PLAN_H

#include "figures.h"
#include "jitter.h"
#include "lab.h"

#define LAB_ENTRIES_MAX 512u

struct lab_entry {
    const char *mode; /* name */
    struct lab_spec spec;
    uint32_t once; /* one repetition only */
    struct lab_result results[LAB_REPEATS_MAX];
    uint8_t disturbed[LAB_REPEATS_MAX];
    struct lab_hist *pool; /* samples of all repetitions; NULL: no latency */
};

struct lab_plan {
    struct lab_entry *entries;
    uint32_t cnt;
    uint32_t repeats;
    double seconds; /* about */
    uint64_t steal_ticks; /* stolen by the host meanwhile, 1/100 s */
    double load_at_start;
    char skipped[2048]; /* what is left out and why, a line each */
};

/* 0, or -1 after telling what is wrong with the options. */
int lab_plan_make(struct lab_plan *plan, const struct lab_options *options);
void lab_plan_free(struct lab_plan *plan);

/* Measures everything; stops early when interrupted. Returns how many
 * repetitions are complete. */
uint32_t lab_plan_run(struct lab_plan *plan, const struct lab_options *options);

/* Turns results into figures. */
void lab_plan_read(
    const struct lab_plan *plan, uint32_t repeats, struct lab_figures *ret);

/* Other things that a run measures; they add figures of their own. */
void lab_run_ops(const struct lab_options *options, uint32_t repeats,
    struct lab_figures *ret);
void lab_run_recovery(
    const struct lab_options *options, double done, struct lab_figures *ret);
double lab_recovery_seconds(const struct lab_options *options);

/* Output. */
void lab_report_table(
    const struct lab_plan *plan, const struct lab_figures *figures);
/* Writes to `f`, which is closed unless it is standard output; `path` is for
 * complaints. */
int lab_report_json(FILE *f, const char *path,
    const struct lab_options *options, const struct lab_plan *plan,
    uint32_t repeats, const struct lab_figures *figures);

/* --raw. Makes the folder and the memory for samples; -1 after telling why
 * not. Then, after each measurement, its samples, and at the end the histograms
 * of all repetitions: a text file each. */
int lab_raw_open(const char *dir);
int lab_raw_write(
    const char *dir, const struct lab_entry *entry, uint32_t repetition);
int lab_raw_write_histograms(const char *dir, const struct lab_plan *plan);

#endif
