/* confine.h - the system calls that the bridge keeps. */
#ifndef SHMQZ_CONFINE_H
#define SHMQZ_CONFINE_H

#include "service/service_sandbox.h"

extern const struct shmqs_allowed shmqz_calls[];

#endif
