/* shmq/stat.h - what is going on in a topic: positions, groups, endpoints.
 *
 * Snapshots read without stopping anybody: each number is right for some
 * moment during the call, not all for the same one. Any process that may open
 * the topic can look; looking changes nothing and holds up nobody.
 *
 * Threads: all functions are thread-safe. They look and change nothing, so they
 * hold nobody up, block for nobody, and a process killed inside leaves
 * nothing. */
#ifndef SHMQ_STAT_H
#define SHMQ_STAT_H

#include <shmq/group.h>

struct shmq_topic_stat {
    uint32_t struct_bytes; /* set by the caller */
    uint32_t reserved;
    uint64_t earliest_position; /* first readable record, or `published` */
    uint64_t published_position; /* exclusive end of what is published */
    uint64_t gate_position; /* below it memory may be reused */
    uint64_t depth_messages; /* readable now, from earliest on */
    uint64_t depth_bytes; /* their payload bytes */
    uint64_t total_messages; /* published in the topic's life; a producer
                                killed in the instant of publishing may
                                leave one publish uncounted */
    uint64_t total_bytes; /* their payload bytes */
    uint64_t dropped_new; /* refused under drop-new */
    uint64_t dropped_old; /* frames overwritten unread (drop-old, lapped
                             readers), as counted by readers */
    uint64_t dropped_corrupt; /* records refused by readers as damaged */
    uint64_t expired; /* records older than the topic's ttl, as counted by
                         readers that did not hand them out; each group
                         counts for itself */
    uint64_t reaped; /* endpoints whose process died without closing them, and
                        which others have cleared away; a reaper killed in
                        that instant may leave one uncounted */
    uint64_t segment_bytes; /* /dev/shm used by the topic's files */
    uint64_t capacity_bytes; /* spsc: ring bytes; mpmc: arena per producer */
    uint64_t capacity_frames; /* mpmc; 0 for spsc */
    uint64_t leaked_loan_bytes; /* lent by living producers, not committed */
    uint32_t producer_cnt, member_cnt, group_cnt;
    uint32_t ring_full; /* 1: a gating group holds producers up now */
    /* Durable topics: frames that readers found missing in the history, by
     * enum shmq_gap_reason. Each group, and each reader without one, counts for
     * itself; where the number of frames is not known, 1. */
    uint64_t gap_retention;
    uint64_t gap_truncated;
    uint64_t gap_lost;
};

struct shmq_group_stat {
    char name[SHMQ_GROUP_MAX + 1];
    uint32_t kind; /* enum shmq_group_kind */
    uint32_t absent; /* enum shmq_absent */
    uint32_t max_attempts;
    uint64_t lease_ns;
    char dead_letter[SHMQ_TOPIC_MAX + 8];
    uint64_t floor_position;
    uint64_t lag_messages; /* published, not done by this group; of durable
                              topics beyond 65,536 frames of history: at
                              least so many */
    uint64_t lag_bytes;
    int64_t oldest_unread_ns; /* age of the record at the floor; 0: none */
    uint32_t member_cnt; /* living ones */
    uint32_t claimed; /* frames claimed by members now */
    uint64_t redelivered; /* records handed out again */
    uint64_t dead_lettered;
    uint64_t expired; /* records that were too old to be handed out */
    int64_t idle_since_ns; /* CLOCK_REALTIME of the last member's leave, 0:
                              not known or has members */
    uint64_t dead_waits; /* grows, by at most 1 a second and member, while
                            records have to wait for the dead-letter topic:
                            it takes none, or is late with its level */
    uint32_t gates; /* 1: it may hold producers up */
    uint32_t reserved;
};

enum shmq_role {
    SHMQ_ROLE_PRODUCER = 1,
    SHMQ_ROLE_MEMBER = 2, /* of a named group */
    SHMQ_ROLE_EPHEMERAL = 3, /* unnamed reader */
    SHMQ_ROLE_ADMIN = 4 /* create/remove/evict in progress */
};
enum shmq_state {
    SHMQ_STATE_RUNNING = 1,
    SHMQ_STATE_STOPPED = 2,
    SHMQ_STATE_DEAD = 3, /* proven dead, not reaped yet */
    SHMQ_STATE_UNKNOWN = 4 /* alive, in another pid namespace */
};

struct shmq_endpoint_stat {
    uint32_t id;
    uint32_t role; /* enum shmq_role */
    uint32_t state; /* enum shmq_state */
    int32_t pid; /* in its own pid namespace */
    uint64_t identity;
    int64_t since_ns; /* CLOCK_REALTIME of attaching */
    char comm[16];
    char group[SHMQ_GROUP_MAX + 1]; /* "" for none */
    uint64_t holds_frames; /* claimed or viewed now */
    uint64_t messages; /* published or received */
    uint32_t waiting; /* 1: sleeps for data; 2: waits for room */
    uint32_t block_cnt; /* endpoints it holds up now */
    uint32_t blocks[16]; /* their ids, the first 16 */
};

SHMQ_BEGIN_DECLS

/* Fills *ret. Errors: INVAL, CORRUPT, FORKED. Takes time in proportion to the
 * ring's frames; does not block. */
SHMQ_API int shmq_topic_stat(
    struct shmq_topic *topic, struct shmq_topic_stat *ret);

/* Where the ring begins and ends: earliest_position and published_position of
 * struct shmq_topic_stat, at the price of two loads. A durable topic's records
 * before it are in its history. Errors: INVAL, CORRUPT, FORKED. */
SHMQ_API int shmq_topic_range(
    struct shmq_topic *topic, uint64_t *ret_earliest, uint64_t *ret_published);

/* Fills up to `cap` entries of `buf` and sets *ret_cnt to how many there are
 * (may be more than cap). Sorted by name, or by id. `buf` is the caller's.
 * Errors: INVAL, NOMEM, CORRUPT, FORKED. */
SHMQ_API int shmq_topic_groups(struct shmq_topic *topic,
    struct shmq_group_stat *buf, uint32_t cap, uint32_t *ret_cnt);
SHMQ_API int shmq_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt);

SHMQ_END_DECLS

#endif
