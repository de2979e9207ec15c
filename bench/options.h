/* options.h - the command line of shmq-bench. */
#ifndef LAB_OPTIONS_H
#define LAB_OPTIONS_H

#include "lab.h"

enum lab_command {
    LAB_RUN = 1 << 0,
    LAB_BARS = 1 << 1,
    LAB_COMPARE = 1 << 2,
    LAB_SELFTEST = 1 << 3,
    LAB_LIST = 1 << 4
};

/* Prints what `command` takes; 0: what commands there are. */
void lab_help(enum lab_command command);

/* Reads the arguments of `command`, which is called `name`; its own name is
 * argv[0]. 0; 1 when help was asked for and given; -1 after telling in one line
 * what is wrong. */
int lab_options_read(enum lab_command command, const char *name, int argc,
    char **argv, struct lab_options *ret);

#endif
