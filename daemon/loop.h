/* loop.h - the run loop: drains, tells, answers, until a signal ends it. */
#ifndef SHMQD_LOOP_H
#define SHMQD_LOOP_H

#include "daemon.h"

/* Serves until SIGTERM or SIGINT, then drains what was published until then.
 * Returns true when all of it is on disk; false when that did not come about
 * within the time that a stop may take. */
bool shmqd_loop_run(struct shmqd *daemon);

#endif
