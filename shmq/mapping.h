/* mapping.h - a topic's file in memory: between guard pages, and kept usable
 * when a peer cuts the file short.
 *
 * Both sides of each mapping are addresses that nobody may touch, so an access
 * beyond it is a crash at once and never a look at somebody else's memory.
 *
 * A fault inside (the page is gone: truncated, or no memory left behind a hole)
 * puts empty private memory in the place of the whole file and raises *broken.
 * What then runs on sees zeros, as if a peer had written them, and every public
 * call ends with a look at *broken: see shmq/sigbus.h, decision 0017. */
#ifndef SHMQI_MAPPING_H
#define SHMQI_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shmqi_watch;

struct shmqi_mapping {
    void *at;
    size_t bytes;
    void *reserved; /* with the guards */
    size_t reserved_bytes;
    struct shmqi_watch *watch;
};

/* Maps `bytes` of `fd`. The caller holds the process's table lock. 0 or an
 * errno. */
int shmqi_mapping_make(struct shmqi_mapping *m, int fd, size_t bytes,
    bool writable, _Atomic uint32_t *broken);
/* Table lock held. Legal for a zeroed one. */
void shmqi_mapping_drop(struct shmqi_mapping *m);

/* SIGBUS is not blocked in this thread from now on (unless the application owns
 * it). */
void shmqi_sigbus_unblock(void);

#endif
