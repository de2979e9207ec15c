/* shmq/group.h - groups: create, remove, move, evict.
 *
 * A named group keeps a floor: everything below it is done, what is not may
 * not be overwritten under the `block` and `drop-new` policies (the group
 * gates the ring). Groups live in the topic and outlive their members.
 * Unnamed (ephemeral) readers never gate; see shmq/consumer.h.
 *
 * Nobody waits for the creator of a group, and no call here waits for a
 * peer.
 *
 * The functions here are thread-safe (topics are shared by threads) and wait
 * for nobody (but see SHMQ_GROUP_KILL). A process killed inside one leaves the
 * group as it was, or as it was asked to be; what is half done holds nobody up
 * and is cleared away by whoever attaches next. */
#ifndef SHMQ_GROUP_H
#define SHMQ_GROUP_H

#include <shmq/topic.h>

enum shmq_group_kind {
    SHMQ_GROUP_DEFAULT = 0, /* mpmc: shared; spsc: exclusive */
    SHMQ_GROUP_SHARED = 1, /* members compete; mpmc only */
    SHMQ_GROUP_EXCLUSIVE = 2 /* one living reader, strict order */
};

enum shmq_absent {
    SHMQ_ABSENT_DEFAULT = 0, /* keep */
    SHMQ_ABSENT_KEEP = 1, /* gates also while it has no member */
    SHMQ_ABSENT_RELEASE = 2 /* stops gating when its last member is gone;
                               reports a gap on return */
};

/* Attributes of a group, fixed when it is made. Zero means the default when
 * the group is made and "any" when it exists. Set struct_bytes. */
struct shmq_group_attrs {
    uint32_t struct_bytes;
    uint32_t kind; /* enum shmq_group_kind */
    uint32_t absent; /* enum shmq_absent */
    uint32_t max_attempts; /* deliveries before a record goes to the dead-letter
                              topic: 2 to 100, default 16; shared groups */
    uint64_t lease_ns; /* a member silent for so long loses its claims to
                          the others; 0 = off; shared groups; 1 ms to
                          24 h; leased groups deliver copies */
    const char *dead_letter; /* topic for records that used up their attempts;
                                default "@dead.<topic>" */
};

/* Where a reader or group starts. */
enum shmq_start_kind {
    SHMQ_START_DEFAULT = 0, /* named groups: earliest; ephemeral: latest */
    SHMQ_START_EARLIEST = 1, /* the oldest record still intact */
    SHMQ_START_LATEST = 2, /* after the newest */
    SHMQ_START_POSITION = 3, /* first record at or after `value` */
    SHMQ_START_TIME = 4 /* first record whose time is at or after `value`
                           (CLOCK_REALTIME ns) */
};
struct shmq_start {
    uint32_t kind; /* enum shmq_start_kind */
    uint32_t reserved;
    uint64_t value;
};

enum shmq_group_flags {
    SHMQ_GROUP_FORCE = 1u << 0, /* also while members live */
    SHMQ_GROUP_KILL = 1u << 1 /* evict: send SIGKILL (same pid namespace) */
};

SHMQ_BEGIN_DECLS

/* Makes group `name`. `attrs` and `start` may be NULL.
 * Errors: EXISTS, LIMIT (max_groups, or 16 x max_groups different names have
 * been used in the topic's life), INVAL, NOSPACE, CLOSED, PERM, FORKED, SYS.
 * Killed inside: the group exists or not; a half-made one holds nobody up and
 * is cleared by whoever attaches next. */
SHMQ_API int shmq_group_create(struct shmq_topic *topic, const char *name,
    const struct shmq_group_attrs *attrs, const struct shmq_start *start);

/* Removes a group; its members get CLOSED at their next call. BUSY while
 * members live unless SHMQ_GROUP_FORCE; NOENT; else as above. */
SHMQ_API int shmq_group_remove(
    struct shmq_topic *topic, const char *name, uint32_t flags);

/* Moves a group to `start`, as a new group of the same name and attributes.
 * BUSY while members live unless SHMQ_GROUP_FORCE (they get STALE). A start
 * that is no longer in the ring becomes the oldest intact record. */
SHMQ_API int shmq_group_reset(struct shmq_topic *topic, const char *name,
    const struct shmq_start *start, uint32_t flags);

/* Takes claims and roles away from a living endpoint (its id as in `stat`):
 * other members go on at once; its own later calls get STALE. Never frees
 * memory that the endpoint may be looking at: one that may hold zero-copy
 * views is refused with BUSY, naming the pid; SHMQ_GROUP_KILL then kills that
 * process (same pid namespace only), waits up to 5 s for its death, and reaps
 * it. Errors: NOENT (no such endpoint), BUSY, PERM, TIMEOUT (killed, but not
 * gone after 5 s), SYS, CORRUPT, CLOSED, FORKED. */
SHMQ_API int shmq_group_evict(
    struct shmq_topic *topic, uint32_t endpoint_id, uint32_t flags);

SHMQ_END_DECLS

#endif
