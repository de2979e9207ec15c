/* memory.c - shmqd's memory is jemalloc's, tuned for a daemon that stays small:
 * two arenas, and what was freed goes back to the kernel after a second. The
 * only file that knows of jemalloc. */
#include "memory.h"

const char *malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
