#include "hooks.h"

#include <stddef.h>

#ifdef SHMQ_HOOKS
const struct shmqi_hooks *shmqi_hooks = NULL;
#else
/* A translation unit has to declare something. */
extern const int shmqi_without_hooks;
#endif
