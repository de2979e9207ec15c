/* endpoint.h - the table of open handles, and who in it is dead.
 *
 * Liveness: while a process has an endpoint it holds a byte-range lock of its
 * own control-file descriptor at offset `identity`. The kernel drops it when
 * the process is gone, across pid namespaces, for zombies, and a fork child
 * does not inherit it. Proof of death is
 *     lock free AND NOT (same pid namespace AND a process with this pid, start
 *     time and image exists AND is no zombie)
 * where the second half covers an application that closed our descriptor
 * behind our back; or, where the kernel tells the pid of the lock's holder,
 * every thread of that process has already given up its memory (it will free
 * the lock when it is done).
 *
 * An identity is a 62-bit random number and never comes back, so a stalled
 * reaper that looks again at the identity cannot mistake the next owner of the
 * entry for its victim. */
#ifndef SHMQI_ENDPOINT_H
#define SHMQI_ENDPOINT_H

#include <shmq/stat.h>

#include "entry.h"
#include "process.h"
#include "segment.h"

/* Replaces what no terminal should be sent. */
void shmqi_make_printable(char *text);

/* What an endpoint says of itself, copied. */
struct shmqi_peer {
    uint64_t identity, pid_namespace, start_time, image, since_ns;
    uint32_t pid, role;
    char comm[16];
};

/* False when the entry is free or changed while being read. */
bool shmqi_peer_read(
    const struct shmqi_ring *r, uint32_t idx, struct shmqi_peer *ret);

/* True when memory that this identity owned may be taken over: no endpoint
 * carries it any more, and the kernel says that its process is gone. The table
 * alone is no proof: members write it, who may not write records, and must not
 * be able to give a living producer's memory to a second one. */
bool shmqi_identity_dead(struct shmqi_segment *s, uint64_t identity);

/* The pid, in our pid namespace, of the process that holds the liveness lock of
 * `identity`: the kernel's word, not the table's. 0: nobody, ourselves, or not
 * visible. */
uint32_t shmqi_lock_holder(struct shmqi_segment *s, uint64_t identity);

/* How long an entry in the making whose lock is free must look so. */
#define SHMQI_HALF_MADE_NS 10000000ull

/* True on proof that the process behind `identity` (seen at `idx`) is dead. */
bool shmqi_endpoint_dead(
    struct shmqi_segment *s, uint32_t idx, uint64_t identity);

/* True when the peer lives in this pid namespace under a pid that still is
 * its. */
bool shmqi_peer_pid_valid(const struct shmqi_peer *peer);

/* Takes a free entry for `role`; LIMIT when there is none (then reap and try
 * again, see reap.h). */
int shmqi_endpoint_claim(struct shmqi_segment *s, uint32_t role,
    uint32_t *ret_idx, uint64_t *ret_identity);

/* Gives the entry back. Roles, claims and names must have been. */
void shmqi_endpoint_free(
    struct shmqi_segment *s, uint32_t idx, uint64_t identity);

/* Path of the doorbell FIFO that an endpoint may have. Besides the identity,
 * which stands in shared memory, it holds the inode of the control file, which
 * nobody can write: so no topic can have another one's doorbells rung or
 * removed. */
void shmqi_doorbell_path(
    char ret[256], const struct shmqi_segment *s, uint64_t identity);

#endif
