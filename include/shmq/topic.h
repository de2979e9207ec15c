/* shmq/topic.h - make, open, list and remove topics.
 *
 * A topic is two files in /dev/shm: shmq.<namespace>.d.<topic> (data) and
 * shmq.<namespace>.c.<topic> (control). They are made complete before they get
 * their names, so a half-made topic is never seen. Memory is reserved when it
 * is needed: the ring and the groups at creation, a producer's arena when that
 * producer opens, so a full /dev/shm is SHMQ_ERR_NOSPACE there and never a
 * SIGBUS later.
 *
 * Control-path calls of one namespace and user exclude each other through a
 * lock file (shmq.<namespace>.lock.<uid>). A process stopped inside create or
 * unlink makes others' create and unlink time out after 5 s with
 * SHMQ_ERR_BUSY; it never holds up publishing, receiving or opening.
 *
 * Threads: all functions are thread-safe; a topic handle is closed once, when
 * no other thread uses it. Blocking: only create and unlink may wait, for that
 * lock. Killed inside any other function: nothing is left. */
#ifndef SHMQ_TOPIC_H
#define SHMQ_TOPIC_H

#include <shmq/base.h>

struct shmq_topic; /* an open topic; shared by threads */

enum shmq_ring {
    SHMQ_RING_DEFAULT = 0, /* mpmc */
    SHMQ_RING_MPMC = 1, /* many producers, shared and exclusive groups */
    SHMQ_RING_SPSC = 2 /* one producer, exclusive groups; lowest latency */
};

enum shmq_on_full {
    SHMQ_ON_FULL_DEFAULT = 0, /* block */
    SHMQ_ON_FULL_BLOCK = 1, /* FULL, or wait until the deadline */
    SHMQ_ON_FULL_DROP_NEW =
        2, /* refuse the new record with FULL and count it */
    SHMQ_ON_FULL_DROP_OLD = 3 /* overwrite; readers report gaps (mpmc only) */
};

enum shmq_durability {
    SHMQ_DURABILITY_NONE = 0, /* lives as long as the host's memory */
    SHMQ_DURABILITY_OS = 1, /* needs shmqd */
    SHMQ_DURABILITY_DISK = 2 /* needs shmqd */
};

/* Attributes of a topic, fixed at creation. Zero in any field means its
 * default. Set struct_bytes to sizeof(struct shmq_topic_attrs). */
struct shmq_topic_attrs {
    uint32_t struct_bytes;
    uint32_t ring; /* enum shmq_ring; default mpmc */
    uint32_t on_full; /* enum shmq_on_full; default block */
    uint32_t durability; /* enum shmq_durability; default none */
    uint64_t capacity_frames; /* mpmc: slots, a power of two, 2 to 2^24;
                                 default 4096; must be 0 for spsc */
    uint64_t arena_bytes; /* mpmc: payload memory per producer, default
                             256 KiB; spsc: the ring's bytes, default 1 MiB;
                             a power of two, 4 KiB to 8 GiB; all arenas
                             together at most 16 GiB */
    uint64_t max_message_bytes; /* largest payload plus attributes; default
                                   64 KiB; with its 128 bytes of headers it must
                                   fit half the arena */
    uint32_t max_producers; /* default 64; mpmc 1 to 256 */
    uint32_t max_groups; /* default 16; 1 to 256 */
    uint32_t max_members; /* default 64; 1 to 512 */
    uint32_t mode; /* permission bits of all files; default 0600; the
                      umask does not apply */
    uint32_t data_mode; /* permission bits of the data file; default: mode */
    uint32_t flags; /* enum shmq_topic_flags */
    uint64_t ttl_ns; /* records older than this are not handed out any more, but
                        counted as expired; 0: they never expire; 1 ms to 10
                        years */
    uint32_t timestamps; /* enum shmq_timestamps; default frame */
    uint32_t owner; /* uid, with SHMQ_TOPIC_OWNER */
    uint32_t group_owner; /* gid, with SHMQ_TOPIC_GROUP_OWNER */
    uint32_t reserved; /* 0 */
    const char *schema; /* "NAME:VERSION" of what the records are, at most
                           SHMQ_SCHEMA_MAX bytes; default none */
};

/* What a record's time is. */
enum shmq_timestamps {
    SHMQ_TIMESTAMPS_DEFAULT = 0, /* frame */
    SHMQ_TIMESTAMPS_FRAME = 1, /* of its publish, in clock ticks: cheap */
    SHMQ_TIMESTAMPS_OFF = 2, /* 0; not with a ttl. SHMQ_START_TIME then finds
                                nothing, as if all were older */
    SHMQ_TIMESTAMPS_RECORD = 3 /* of its publish, exact; the records of one
                                  batch are published together: one time */
};

/* Longest schema, without the closing NUL. */
#define SHMQ_SCHEMA_MAX 128

enum shmq_topic_flags {
    /* Sleepers issue an expedited membarrier so that the producers' fast path
     * needs no fence at all. Opening fails with SHMQ_ERR_SYS where the kernel
     * cannot do it. */
    SHMQ_TOPIC_ASYMMETRIC = 1u << 0,
    /* All memory is reserved at creation, and its pages are mapped by whoever
     * opens a producer or consumer, so that no page fault comes later. */
    SHMQ_TOPIC_PREFAULT = 1u << 1,
    /* As prefault, and pages stay in memory. Opening a producer or consumer
     * fails with LIMIT where the limit of locked memory is too low. */
    SHMQ_TOPIC_MLOCK = 1u << 2,
    /* Asks for huge pages; whether they come depends on the host, see `shmq
     * doctor`. Implies prefault. */
    SHMQ_TOPIC_HUGE = 1u << 3,
    /* Records that expire in a named group go to its dead-letter topic. */
    SHMQ_TOPIC_TTL_DEAD_LETTER = 1u << 4,
    /* The files get another owner; needs the right to chown(2). */
    SHMQ_TOPIC_OWNER = 1u << 5,
    SHMQ_TOPIC_GROUP_OWNER = 1u << 6
};

enum shmq_unlink_flags {
    SHMQ_UNLINK_FORCE = 1u << 0 /* also when in use: users get CLOSED */
};

SHMQ_BEGIN_DECLS

/* Makes a topic. `attrs` NULL takes all defaults.
 * Errors: EXISTS (also when attributes agree), INVAL (names, attributes; the
 * text names the one), NOSPACE (/dev/shm is full; nothing is left behind),
 * PERM, NODAEMON (durable topics are made by shmqd), BUSY (another create or
 * unlink of this namespace did not finish within 5 s), SYS.
 * Thread-safe. May take up to 5 s for the lock; otherwise does not block.
 * Killed inside: the topic exists completely or not at all; a nameless or
 * leftover control file is removed by the next create or unlink. */
SHMQ_API int shmq_topic_create(
    const char *ns, const char *topic, const struct shmq_topic_attrs *attrs);

/* Opens an existing topic into *ret; close it with shmq_topic_close(). Maps
 * the data file read-only when the caller may not write it (then no producer
 * can be opened, and consumers get validated copies).
 * Errors: NOENT, PERM (also: owner is neither the caller, root, nor a uid in
 * SHMQ_TRUSTED_UIDS=uid[,uid...]), LAYOUT (not a topic, truncated, other
 * version), INVAL, NOMEM, SYS. Thread-safe, does not block. */
SHMQ_API int shmq_topic_open(
    const char *ns, const char *topic, struct shmq_topic **ret);

/* As above, for records of schema "NAME:VERSION": LAYOUT when the topic was
 * made for another one, or for none. Close it likewise. */
SHMQ_API int shmq_topic_open_schema(const char *ns, const char *topic,
    const char *schema, struct shmq_topic **ret);

/* Closes a topic handle; producers and consumers opened through it stay
 * usable. NULL is legal. */
SHMQ_API void shmq_topic_close(struct shmq_topic *topic);

/* The attributes the topic was created with, defaults filled in. The caller
 * sets ret->struct_bytes; ret->schema lives as long as the handle. owner and
 * group_owner are those of the files now. Errors: INVAL, FORKED. */
SHMQ_API int shmq_topic_attrs(
    struct shmq_topic *topic, struct shmq_topic_attrs *ret);

/* Name and namespace of an open topic; they live as long as the handle. */
SHMQ_API const char *shmq_topic_name(const struct shmq_topic *topic);
SHMQ_API const char *shmq_topic_namespace(const struct shmq_topic *topic);

/* The topic's random identity: another topic made later under the same name has
 * another one, so positions of the two can be told apart. That of a durable
 * topic is its history's: it stays when the ring is made anew after a reboot.
 * Never blocks. */
SHMQ_API void shmq_topic_uuid(
    const struct shmq_topic *topic, uint64_t ret_uuid[2]);

/* SHMQ_OK while the topic exists under its name, SHMQ_ERR_CLOSED once it was
 * removed. Never blocks. */
SHMQ_API int shmq_topic_check(struct shmq_topic *topic);

/* Calls `visit` for every topic of the namespace in byte order of the names,
 * until it returns non-zero; that value is returned, else 0. An empty
 * namespace is 0 calls. Errors: INVAL, SYS, NOMEM. */
SHMQ_API int shmq_topic_list(
    const char *ns, int (*visit)(void *ctx, const char *topic), void *ctx);

/* Removes a topic: it loses its name at once; whoever has it open gets CLOSED
 * at the next call or within 40 ms when asleep, and its memory is freed when
 * the last of them has closed it.
 * Without SHMQ_UNLINK_FORCE a topic that a living endpoint has open is refused
 * with BUSY, naming the pids. A topic with a damaged or unknown layout is
 * removed with SHMQ_UNLINK_FORCE only.
 * Errors: NOENT, BUSY, PERM, LAYOUT, INVAL, SYS.
 * Killed inside: the topic is there or gone; leftovers are removed by the
 * next create or unlink. */
SHMQ_API int shmq_topic_unlink(
    const char *ns, const char *topic, uint32_t flags);

SHMQ_END_DECLS

#endif
