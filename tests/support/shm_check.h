/* shm_check.h - judges every shared word of a topic against the invariants of
 * docs/memory-model.md: slots and tail, gate, frames that are still needed,
 * arenas, roles, endpoints, names, groups, cursors, claims; for spsc the chain
 * of commit words. What a durable topic needs begins where its watermarks say
 * that it is drained. It reads only; nobody may change the memory meanwhile. */
#ifndef SHMQ_TEST_SHM_CHECK_H
#define SHMQ_TEST_SHM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

enum shm_check_flags {
    /* The dead have been reaped and nobody is in the middle of a call: nothing
     * transient may be left. */
    SHM_SETTLED = 1u << 0,
    /* Nobody is attached: no endpoint, owner, role or claim may be left. */
    SHM_DESERTED = 1u << 1
};

struct shm_report {
    uint32_t broken; /* invariants found broken */
    char first[200]; /* the first of them, in words */
};

/* The files of a topic as mapped memory, or copies of it. */
struct shm_files {
    uint8_t *data, *control, *marks; /* marks: of durable topics, else NULL */
    size_t data_bytes, control_bytes, marks_bytes;
    size_t arenas; /* offset of arenas (spsc: of the ring) in data */
    struct shmqi_ring ring;
};

/* Maps the files of a topic without the library and without a descriptor left
 * open: closing one later would drop this process's liveness locks. False when
 * the topic is not there. */
bool shm_map(struct shm_files *ret, const char *ns, const char *topic);
void shm_unmap(struct shm_files *files);

/* Adds what is broken to *report. */
void shm_check(
    const struct shmqi_ring *ring, uint32_t flags, struct shm_report *report);

/* Where what is published ends: a sequence (mpmc) or byte offset (spsc). */
uint64_t shm_end(const struct shmqi_ring *ring);

/* The value of a shared word. */
static inline uint64_t shm_word(const shmqi_word *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

/* Parts of shm_check(): one file each. */
void shm_broken(struct shm_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void shm_check_data(
    const struct shmqi_ring *ring, uint32_t flags, struct shm_report *report);
void shm_check_groups(
    const struct shmqi_ring *ring, uint32_t flags, struct shm_report *report);
bool shm_identity_known(const struct shmqi_ring *ring, uint64_t identity);

#endif
