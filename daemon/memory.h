/* memory.h - what jemalloc reads when the program starts. */
#ifndef SHMQD_MEMORY_H
#define SHMQD_MEMORY_H

extern const char *malloc_conf;

#endif
