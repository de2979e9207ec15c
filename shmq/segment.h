/* segment.h - the topics that this process has mapped.
 *
 * One segment per control file and process, shared by all its handles: the
 * liveness locks of POSIX belong to {process, file}, and closing any
 * descriptor of the file drops them all. So its one descriptor is opened once
 * and closed with the last handle. */
#ifndef SHMQI_SEGMENT_H
#define SHMQI_SEGMENT_H

#include <stddef.h>
#include <sys/types.h>

#include <shmq/topic.h>

#include "layout.h"
#include "mapping.h"

#define SHMQI_TOPIC_ROOM \
    (SHMQ_TOPIC_MAX + 9) /* system names: "@dead." more \
                          */

/* Flags with which all memory is reserved at creation. */
#define SHMQI_TOPIC_RESERVED \
    ((uint32_t)(SHMQ_TOPIC_PREFAULT | SHMQ_TOPIC_MLOCK | SHMQ_TOPIC_HUGE))

struct shmqi_segment {
    struct shmqi_ring ring;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    char topic[SHMQI_TOPIC_ROOM];
    struct shmqi_constants_shm constants; /* private copy, checked */
    char schema[SHMQ_SCHEMA_MAX + 1]; /* "" for none */
    dev_t device;
    ino_t inode;
    dev_t data_device;
    ino_t data_inode;
    int control_fd; /* use through shmqi_segment_control_fd() */
    int spare_fd; /* a second descriptor of the same file, see open_once */
    int data_fd; /* use through shmqi_segment_data_fd() */
    bool data_writable;
    /* Somebody may write the control file and not the data file: then floors
     * prove nothing, and nobody gets views (see docs/hostile-peer.md). */
    bool untrusted_members;
    bool owner_only; /* nobody but its owner may write the control file */
    mode_t control_mode, data_mode; /* as they are, not as the file says */
    bool inherited; /* from a parent: never unmapped or closed here */
    uid_t owner;
    struct shmqi_mapping data_map, control_map;
    struct shmqi_mapping marks_map; /* durable topics; read-only */
    uint64_t topic_uuid[2]; /* of the log of a durable topic */
    uint32_t refs;
    uint64_t *own; /* identities of this process's endpoints, by index */
    uint64_t *init_seen; /* by index: an INIT identity, and when first seen */
    struct shmqi_segment *next;
};

/* Where things stand in the two files of a topic. */
struct shmqi_plan {
    uint64_t arena_words, slots, arenas, data_bytes, data_reserved;
    uint64_t endpoints, names, groups, claims, control_bytes;
    uint64_t control_reserved;
    uint32_t endpoint_cnt, name_cnt, group_cnt;
};

/* Computes the plan from constants; false when they are not legal. */
bool shmqi_plan(const struct shmqi_constants_shm *c, struct shmqi_plan *ret);

/* Fills addresses and constants of `r` for mapped files. */
void shmqi_ring_map(struct shmqi_ring *r, const struct shmqi_constants_shm *c,
    const struct shmqi_plan *plan, void *data, void *control);

/* enum shmq_timestamps of a topic with these flags. */
static inline uint32_t shmqi_stamps(uint32_t flags)
{
    uint32_t v = (flags & SHMQI_STAMPS_MASK) >> SHMQI_STAMPS_SHIFT;
    return v ? v : SHMQ_TIMESTAMPS_FRAME;
}

/* Maps a topic or takes another reference to it. */
int shmqi_segment_open(
    const char *ns, const char *topic, struct shmqi_segment **ret);
/* Maps and locks what the topic's flags ask for; for those who publish and
 * receive: who only looks, evicts or removes needs none of it. LIMIT. */
int shmqi_segment_settle(struct shmqi_segment *s);
void shmqi_segment_ref(struct shmqi_segment *s);
void shmqi_segment_unref(struct shmqi_segment *s);

/* True once somebody has removed the topic. */
static inline bool shmqi_segment_deleted(const struct shmqi_segment *s)
{
    return (shm_ld(G2, &s->ring.control->version) & SHMQI_DELETED) != 0;
}

/* True once a file of the topic was found cut short. Every public call looks
 * here when it is through, so that nothing done on the memory that stands in
 * for the file counts. */
static inline bool shmqi_segment_broken(const struct shmqi_segment *s)
{
#ifdef SHMQ_BUG_BROKEN_IGNORED
    (void)s;
    return false;
#else
    return __builtin_expect(private_ld(&s->ring.broken) != 0, 0);
#endif
}
/* CORRUPT, with the words for it. */
int shmqi_segment_fail_broken(const struct shmqi_segment *s);

/* `rc`, or CORRUPT when the topic broke. */
static inline int shmqi_segment_result(const struct shmqi_segment *s, int rc)
{
    return shmqi_segment_broken(s) ? shmqi_segment_fail_broken(s) : rc;
}

/* The descriptors, or -1. An application may have closed them behind our back,
 * and their numbers may mean other files by now: each is looked at before it is
 * used, and opened again where needed; the liveness locks are taken anew. */
int shmqi_segment_control_fd(struct shmqi_segment *s);
int shmqi_segment_data_fd(struct shmqi_segment *s);

/* Reserves memory for bytes [at, at + bytes) of a file that has them. Never
 * makes it longer: a file that a peer has cut short must not look whole again.
 * 0 or an errno. */
int shmqi_segment_reserve(int fd, uint64_t at, uint64_t bytes);

/* In a fork child: what was open belongs to the parent. */
void shmqi_segments_inherited(void);

/* The claim words of group `entry`. */
static inline uint64_t shmqi_claims_offset(
    const struct shmqi_plan *plan, uint32_t entry, uint32_t claim_lg2)
{
    return plan->claims + ((uint64_t)entry << claim_lg2) * 8;
}

#endif
