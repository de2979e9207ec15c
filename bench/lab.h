/* lab.h - the commands of shmq-bench and what they share. */
#ifndef LAB_H
#define LAB_H

#include "figures.h"
#include "measure.h"

#include <stdint.h>
#include <stdio.h>

/* What the command line asked for. */
struct lab_options {
    const char *transports; /* names, comma-separated; NULL: all */
    const char *modes; /* likewise */
    const char *sizes; /* SIZE[,SIZE]... */
    const char *bars; /* parts of bar names, comma-separated */
    const char *out; /* JSON file */
    const char *raw; /* folder for raw histograms */
    const char *cpus;
    const char *dir; /* for fdatasync */
    uint32_t repeats; /* 0: the command's own */
    uint64_t slice_ns; /* of one measurement; 0: the mode's own */
    uint64_t rate;
    uint32_t senders, receivers;
    uint32_t depth;
    uint32_t rt;
    uint32_t threads;
    uint32_t quiet;
    uint32_t kills;
    const char *files[2]; /* compare */
    uint32_t file_cnt;
};

/* Exit statuses; 1 is a "no": a missed bar, something worse, a failed check or
 * measurement. Ended by signal N: 128 + N. */
enum {
    LAB_EXIT_USAGE = 2,
    LAB_EXIT_MISSING = 4, /* no such file */
    LAB_EXIT_PERMISSION = 6,
    LAB_EXIT_DAMAGED = 8, /* no run of shmq-bench */
    LAB_EXIT_CANNOT_TELL = 10 /* nothing that could be stood behind */
};

int lab_cmd_run(const struct lab_options *options);
int lab_cmd_bars(const struct lab_options *options);
int lab_cmd_compare(const struct lab_options *options);
int lab_cmd_selftest(const struct lab_options *options);
int lab_cmd_list(const struct lab_options *options);

/* Whether `name` is in the comma-separated `list`; a NULL list has all. */
int lab_listed(const char *list, const char *name);

/* Whether all names in the list (may be NULL) are known; else tells which is
 * not. */
int lab_all_known(const char *command, const char *option, const char *list,
    int (*known)(const char *name));

/* Whether any entry of the list is a part of `name`. */
int lab_listed_part(const char *list, const char *name);

/* --- progress, on stderr ------------------------------------------------ */

/* A line with what is going on and the time left; silent when stderr is no
 * terminal, except for a line now and then. */
void lab_progress_start(double total_s, int quiet);
void lab_progress(double done_s, const char *what);
void lab_progress_end(void);

/* The number of SIGINT, SIGTERM or SIGHUP when one came: finish what is under
 * way, clean up, stop. */
extern volatile int lab_interrupted;

#endif
