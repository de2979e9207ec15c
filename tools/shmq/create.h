/* create.h - the parts of `shmq create`. */
#ifndef SHMQ_CLI_CREATE_H
#define SHMQ_CLI_CREATE_H

#include "cli.h"

/* Whether topic `name`, which is there, has what was asked for: what was not
 * may be anything. Returns an exit status and has told a difference. */
int create_compare(const struct cli_args *args, const char *name,
    const struct shmq_topic_attrs *wanted);

#endif
