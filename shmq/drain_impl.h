/* drain_impl.h - the inside of a drain handle. */
#ifndef SHMQI_DRAIN_IMPL_H
#define SHMQI_DRAIN_IMPL_H

#include "drain.h"
#include "ends.h"
#include "segment.h"
#include "wait.h"
#include "watermarks.h"

struct shmqi_drain {
    struct shmqi_segment *segment;
    const struct shmqi_ring *ring;
    uint32_t idx;
    uint64_t identity;
    struct shmq_topic_attrs attrs;
    struct shmqi_marks_constants_shm constants;
    struct shmqi_marks_shm *marks; /* writable */
    struct shmqi_mapping map;
    int fd; /* of the watermark file; holds its lock */
    /* taking */
    uint64_t next; /* mpmc sequence, spsc position */
    uint64_t end; /* position where the last portion ended */
    uint64_t pad; /* spsc: bytes of pads since then, all of [end, next) */
    uint64_t role_cnt, role_from, role_identity; /* spsc: who published */
    /* waiting */
    struct shmqi_poll poll;
    bool has_fifo;
    uint64_t commits; /* as last loaded */
};

/* Wakes those who wait for a mark or a place. */
void shmqi_drain_wake(struct shmqi_drain *d);

#endif
