/* compare_builds.h - two builds of shmq-bench, run turn about. */
#ifndef LAB_COMPARE_BUILDS_H
#define LAB_COMPARE_BUILDS_H

#include "json.h"
#include "lab.h"

/* Whether the file is a program. */
int lab_build_is(const char *path);

/* A run of shmq-bench from its JSON; NULL with `error` (192 bytes). */
struct lab_node *lab_run_read(const char *path, char *error);

/* Runs both builds of options->files in as many rounds as options->repeats
 * says, with the options for `run`, and reads what they found; who is first
 * changes from round to round. Returns how many rounds are complete, after
 * telling what went wrong in another one. */
uint32_t lab_builds_run(const struct lab_options *options, struct lab_node **as,
    struct lab_node **bs);

#endif
