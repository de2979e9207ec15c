/* confine.h - what shmqd may still do once it holds its data directory. */
#ifndef SHMQD_CONFINE_H
#define SHMQD_CONFINE_H

#include "service/service_sandbox.h"

/* The system calls that shmqd needs from then on; see service_sandbox.h. */
extern const struct shmqs_allowed shmqd_calls[];

#endif
