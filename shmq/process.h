/* process.h - what one process knows of itself: its fork generation, its
 * identity towards the kernel, and the lock around its table of open topics.
 *
 * Fork rule: a page that the kernel wipes in a fork child holds the
 * generation. A handle remembers the one it was opened in; in a child it
 * differs, so every call on it is refused and nothing shared is touched. */
#ifndef SHMQI_PROCESS_H
#define SHMQI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* This process as others can check it. */
struct shmqi_self {
    uint64_t pid_namespace; /* 0: /proc cannot tell; only locks are used */
    uint64_t start_time;
    uint64_t image;
    uint32_t pid;
};

/* Generation of this process; sets everything up on the first call, and anew
 * in a fork child. 0 when memory for it cannot be had. */
uint32_t shmqi_generation(void);

/* The wiped page's word; shmqi_generation() must have been called. */
extern const volatile uint32_t *shmqi_generation_word;

static inline bool shmqi_same_process(uint32_t generation)
{
    return *shmqi_generation_word == generation;
}

const struct shmqi_self *shmqi_self(void);

/* Guards the table of open topics and the private endpoint tables. Never held
 * while waiting for another process. */
void shmqi_process_lock(void);
void shmqi_process_unlock(void);

/* Fields of /proc/PID/stat. */
struct shmqi_procstat {
    char state;
    uint32_t threads;
    uint64_t start_time;
    uint64_t image; /* 0: not readable by us */
    char comm[16];
};
/* False when there is no such process (or /proc is not there). */
bool shmqi_procstat(uint32_t pid, struct shmqi_procstat *ret);

/* True when every thread of `pid` has given up its address space: the process
 * executes no user instruction any more, although the kernel may still be
 * busy freeing its memory and locks. */
bool shmqi_process_has_no_memory(uint32_t pid);

/* 62 random bits, never 0. */
int shmqi_random_identity(uint64_t *ret);

uint64_t shmqi_now_monotonic(void);
uint64_t shmqi_now_realtime(void);
/* CLOCK_REALTIME with the resolution of a clock tick: costs a tenth. */
uint64_t shmqi_now_coarse(void);

#endif
