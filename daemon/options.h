/* options.h - what shmqd can be told, by line, environment and file. */
#ifndef SHMQD_OPTIONS_H
#define SHMQD_OPTIONS_H

#include "topic.h"

extern const struct shmqs_program shmqd_program;

/* A [topic NAME] section as attributes and retention; `ret->retain.flags` says
 * which parts of the retention were given. */
void shmqd_options_topic(
    const struct shmqs_values *section, struct shmqd_meta *ret);

#endif
