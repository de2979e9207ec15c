/* layout.h - every byte that processes share, and who may write it.
 *
 * This is the only file that declares shared structs. Their offsets are
 * asserted below and restated in docs/shm-layout.md. Shared words are 64-bit
 * atomics at natural alignment, never accessed at another width. Lines that
 * different parties write are kept 128 bytes apart (two cache lines: the
 * adjacent-line prefetcher drags in the neighbour).
 *
 * Two files make a topic:
 *   data     header | arena words | slots | arenas          (mpmc)
 *            header | arena words (1) | ring bytes          (spsc)
 *            written by creators, producers, shmqd
 *   control  header | endpoints | names | groups | claims
 *            written by every attached process
 * The headers' constants are written before the files get their names and are
 * never written again; readers copy and check them once, when they attach. */
#ifndef SHMQI_LAYOUT_H
#define SHMQI_LAYOUT_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include <shmq/errors.h>

#include "atomics.h"

#define SHMQI_LINE 128u
#define SHMQI_PAGE 4096u
#define SHMQI_MAGIC_DATA 0x00013151414d4853ull /* "SHMAQ1" */
#define SHMQI_MAGIC_CONTROL 0x00013151434d4853ull /* "SHMCQ1" */
#define SHMQI_LAYOUT_VERSION 1u

#define SHMQI_ADMIN_ENDPOINTS 8u
#define SHMQI_ENDPOINTS_MAX 1008u /* claim words hold 10 bits of owner */
#define SHMQI_ROLE_HISTORY 64u
#define SHMQI_NAME_WORDS 16u
#define SHMQI_SCHEMA_ROOM 136u /* with NULs behind it */
#define SHMQI_NAMES_PER_GROUP 16u
#define SHMQI_SPARE_GROUPS 4u /* entries for resets and quarantined ones */

/* Bits of `flags` beyond those of enum shmq_topic_flags. */
#define SHMQI_STAMPS_SHIFT 16u /* enum shmq_timestamps, 2 bits; 0: frame */
#define SHMQI_STAMPS_MASK (3u << SHMQI_STAMPS_SHIFT)

/* Constants of a topic, equal in both files. */
struct shmqi_constants_shm {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t ring;
    uint64_t features; /* unknown bits: refuse */
    uint64_t uuid[2];
    uint64_t created_ns;
    uint32_t on_full;
    uint32_t durability;
    uint32_t cap_lg2; /* mpmc: slots; spsc: 0 */
    uint32_t claim_lg2; /* claim words per shared group */
    uint64_t arena_bytes;
    uint64_t max_message_bytes;
    uint32_t max_producers;
    uint32_t max_groups;
    uint32_t max_members;
    uint32_t flags;
    uint32_t mode;
    uint32_t data_mode;
    uint64_t start_seq; /* spsc: start position */
    uint64_t file_bytes;
    uint64_t ttl_ns;
};
_Static_assert(sizeof(struct shmqi_constants_shm) == 128, "constants");

/* One holder of the spsc producer role: records from `start` on are its. */
struct shmqi_role_shm {
    shmqi_word start;
    shmqi_word identity;
};

/* Data file header.
 *   constants      creator; all read
 *   tail           mpmc, producers by CAS: no slot below it is empty; lags
 *                  the true tail by at most one
 *   gate           producers by CAS, only up: below it memory may be reused
 *   role           spsc producer role: identity by CAS
 *   hint           spsc role holder: end of the last committed record
 *   reclaimed      spsc role holder: bytes below it may be gone
 *   role_cnt, history  spsc role holder: who published from where on
 *   dropped_new    producers: records refused under drop-new
 *   schema         creator; all read once, while opening */
struct shmqi_data_shm {
    struct shmqi_constants_shm constants;
    alignas(SHMQI_LINE) shmqi_word tail;
    alignas(SHMQI_LINE) shmqi_word gate;
    alignas(SHMQI_LINE) shmqi_word role;
    shmqi_word role_cnt;
    alignas(SHMQI_LINE) shmqi_word hint;
    shmqi_word reclaimed;
    alignas(SHMQI_LINE) shmqi_word dropped_new;
    alignas(SHMQI_LINE) struct shmqi_role_shm history[SHMQI_ROLE_HISTORY];
    char schema[SHMQI_SCHEMA_ROOM];
};

/* One arena (or the spsc ring), written by its owner:
 *   owner       identity by CAS, 0: free; freed by reapers by CAS
 *   reclaimed   frames of sequences below may be overwritten
 *   messages, bytes  published through this arena so far (statistics)
 *   loaned_bytes     lent and not committed (statistics) */
struct shmqi_arena_shm {
    alignas(SHMQI_LINE) shmqi_word owner;
    shmqi_word reclaimed;
    shmqi_word messages;
    shmqi_word bytes;
    shmqi_word loaned_bytes;
};

/* Control file header.
 *   version   bumped after every change that producers must not miss (a group
 *             starts or stops gating); bit 63: the topic is deleted; bit 62:
 *             it takes no records for now (durable topics, by shmqd)
 *   armed_members, armed_producers  bit = endpoint modulo 64: somebody sleeps;
 *             set by sleepers, taken (exchanged to 0) by wakers
 *   dropped_old, dropped_corrupt    counted by readers
 *   reaped       counted by reapers
 *   expired      counted by readers
 *   gap_retention, gap_truncated, gap_lost  durable topics, counted by readers:
 *                 frames of their history that are no more
 *   commits      members of durable topics, add: a place is to be journaled */
struct shmqi_control_shm {
    struct shmqi_constants_shm constants;
    alignas(SHMQI_LINE) shmqi_word version;
    alignas(SHMQI_LINE) shmqi_word armed_members;
    alignas(SHMQI_LINE) shmqi_word armed_producers;
    alignas(SHMQI_LINE) shmqi_word dropped_old;
    shmqi_word dropped_corrupt;
    shmqi_word reaped;
    shmqi_word expired;
    shmqi_word commits;
    shmqi_word gap_retention;
    shmqi_word gap_truncated;
    shmqi_word gap_lost;
};
#define SHMQI_DELETED (1ull << 63)
#define SHMQI_READ_ONLY (1ull << 62) /* durable topics: refuses records now */
#define SHMQI_REFUSING (SHMQI_DELETED | SHMQI_READ_ONLY)

/* One endpoint: an open handle of a process.
 *   identity      0 free; CAS by the attaching, detaching, reaping process;
 *                 bit 63 while the fields below are being written
 *   pid .. comm   owner, between the two CASes of attach
 *   member_of     owner: the group entry it is a member of
 *   touching      owner: the group entry whose words it is about to touch
 *   lease         owner: CLOCK_MONOTONIC ns until which its claims are safe
 *   views         owner: 1 while it may look at ring memory
 *   waiting       owner: 0, 1 sleeps for data, 2 for room
 *   wake          futex: bumped by wakers
 *   doorbell      1: ring its FIFO; taken by wakers
 *   holds, messages  owner: statistics
 *   evicted       evictor: the identity that it has evicted */
struct shmqi_endpoint_shm {
    alignas(SHMQI_LINE) shmqi_word identity;
    shmqi_word pid_namespace;
    shmqi_word pid; /* pid in the low 32 bits, role above */
    shmqi_word start_time;
    shmqi_word image; /* tells one exec from the next */
    shmqi_word since_ns;
    shmqi_word comm[2];
    shmqi_word member_of;
    shmqi_word touching;
    shmqi_word lease;
    shmqi_word views;
    shmqi_word holds;
    shmqi_word messages;
    shmqi_word evicted;
    alignas(SHMQI_LINE) shmqi_word doorbell;
    shmqi_word waiting;
    _Atomic uint32_t wake;
    uint32_t reserved;
};
#define SHMQI_IDENTITY_INIT (1ull << 63)

/* A group's name; insert-only for the life of the topic. hash by CAS from 0,
 * then the bytes by CAS from 0 word by word; bind: see PROTOCOL in groups.c */
struct shmqi_name_shm {
    shmqi_word hash;
    shmqi_word bind;
    shmqi_word bytes[SHMQI_NAME_WORDS];
};

/* One group.
 *   word          generation, state: CAS by anyone, rules in groups.c
 *   attrs         kind 8 | absent 8 | max attempts 16 | name index 32:
 *                 creator, while CREATING
 *   floor         exclusive: reader by CAS; shared: anyone by CAS, +1
 *   seen          exclusive reader: handed out up to here
 *   reader        exclusive: identity by CAS
 *   next          shared: claim from here on; CAS
 *   freeing       shared: bit = endpoint that is between freeing and bumping
 *   idle_since_ns last leaver (statistics)
 *   expired       members: records that were too old (statistics)
 *   dead_waits    members: grows while dead letters have to wait (statistics)
 */
struct shmqi_group_shm {
    alignas(SHMQI_LINE) shmqi_word word;
    shmqi_word attrs;
    shmqi_word lease_ns;
    shmqi_word redelivered;
    shmqi_word dead_lettered;
    shmqi_word idle_since_ns;
    shmqi_word expired;
    shmqi_word replaces; /* SEALED: the bind word that this group replaces */
    alignas(SHMQI_LINE) shmqi_word floor;
    shmqi_word seen;
    shmqi_word reader;
    shmqi_word dead_waits;
    alignas(SHMQI_LINE) shmqi_word next;
    alignas(SHMQI_LINE) shmqi_word freeing[16];
    shmqi_word dead_letter[SHMQI_NAME_WORDS + 1];
};

/* -- frames and records: plain bytes, the same in ring, log and wire ------ */

/* Frame header. Written by its producer before the publish, then constant. */
struct shmqi_frame_shm {
    uint64_t producer;
    uint64_t sequence; /* of the first record */
    uint64_t time_ns;
    uint32_t record_cnt;
    uint32_t len_bytes; /* with this header */
    uint32_t flags;
    uint32_t reserved;
};

/* Record header; then attributes padded to 8, then payload padded to 8. */
struct shmqi_record_shm {
    uint32_t size;
    uint16_t attr_bytes;
    uint16_t flags;
};

/* spsc: what stands before a record in the ring. */
struct shmqi_spsc_shm {
    shmqi_word commit;
    uint64_t sequence;
    uint64_t time_ns;
};

#define AT(s, f, n) _Static_assert(offsetof(struct s, f) == (n), #s "." #f)
AT(shmqi_constants_shm, uuid, 24);
AT(shmqi_constants_shm, cap_lg2, 56);
AT(shmqi_constants_shm, arena_bytes, 64);
AT(shmqi_constants_shm, max_producers, 80);
AT(shmqi_constants_shm, mode, 96);
AT(shmqi_constants_shm, start_seq, 104);
AT(shmqi_constants_shm, file_bytes, 112);
AT(shmqi_constants_shm, ttl_ns, 120);
AT(shmqi_data_shm, tail, 128);
AT(shmqi_data_shm, gate, 256);
AT(shmqi_data_shm, role, 384);
AT(shmqi_data_shm, role_cnt, 392);
AT(shmqi_data_shm, hint, 512);
AT(shmqi_data_shm, reclaimed, 520);
AT(shmqi_data_shm, dropped_new, 640);
AT(shmqi_data_shm, history, 768);
AT(shmqi_data_shm, schema, 1792);
_Static_assert(sizeof(struct shmqi_data_shm) == 2048, "data header");
AT(shmqi_arena_shm, reclaimed, 8);
AT(shmqi_arena_shm, messages, 16);
AT(shmqi_arena_shm, bytes, 24);
AT(shmqi_arena_shm, loaned_bytes, 32);
_Static_assert(sizeof(struct shmqi_arena_shm) == 128, "arena words");
AT(shmqi_control_shm, version, 128);
AT(shmqi_control_shm, armed_members, 256);
AT(shmqi_control_shm, armed_producers, 384);
AT(shmqi_control_shm, dropped_old, 512);
AT(shmqi_control_shm, dropped_corrupt, 520);
AT(shmqi_control_shm, reaped, 528);
AT(shmqi_control_shm, expired, 536);
AT(shmqi_control_shm, commits, 544);
AT(shmqi_control_shm, gap_retention, 552);
AT(shmqi_control_shm, gap_truncated, 560);
AT(shmqi_control_shm, gap_lost, 568);
_Static_assert(sizeof(struct shmqi_control_shm) == 640, "control header");
AT(shmqi_endpoint_shm, pid, 16);
AT(shmqi_endpoint_shm, image, 32);
AT(shmqi_endpoint_shm, comm, 48);
AT(shmqi_endpoint_shm, member_of, 64);
AT(shmqi_endpoint_shm, touching, 72);
AT(shmqi_endpoint_shm, lease, 80);
AT(shmqi_endpoint_shm, views, 88);
AT(shmqi_endpoint_shm, evicted, 112);
AT(shmqi_endpoint_shm, doorbell, 128);
AT(shmqi_endpoint_shm, waiting, 136);
AT(shmqi_endpoint_shm, wake, 144);
_Static_assert(sizeof(struct shmqi_endpoint_shm) == 256, "endpoint");
_Static_assert(sizeof(struct shmqi_name_shm) == 144, "name");
AT(shmqi_group_shm, attrs, 8);
AT(shmqi_group_shm, lease_ns, 16);
AT(shmqi_group_shm, expired, 48);
AT(shmqi_group_shm, replaces, 56);
AT(shmqi_group_shm, floor, 128);
AT(shmqi_group_shm, seen, 136);
AT(shmqi_group_shm, reader, 144);
AT(shmqi_group_shm, dead_waits, 152);
AT(shmqi_group_shm, next, 256);
AT(shmqi_group_shm, freeing, 384);
AT(shmqi_group_shm, dead_letter, 512);
_Static_assert(sizeof(struct shmqi_group_shm) == 768, "group");
AT(shmqi_frame_shm, sequence, 8);
AT(shmqi_frame_shm, time_ns, 16);
AT(shmqi_frame_shm, record_cnt, 24);
AT(shmqi_frame_shm, len_bytes, 28);
AT(shmqi_frame_shm, flags, 32);
_Static_assert(sizeof(struct shmqi_frame_shm) == 40, "frame header");
AT(shmqi_record_shm, attr_bytes, 4);
AT(shmqi_record_shm, flags, 6);
AT(shmqi_spsc_shm, sequence, 8);
AT(shmqi_spsc_shm, time_ns, 16);
_Static_assert(sizeof(struct shmqi_record_shm) == 8, "record header");
_Static_assert(sizeof(struct shmqi_spsc_shm) == 24, "spsc header");
#undef AT

/* What keeps memory from being reused. */
enum shmqi_gated_by {
    SHMQI_GATED_BY_GROUPS = 0, /* those that gate: block, drop-new */
    SHMQI_GATED_BY_NOBODY = 1, /* drop-old */
    SHMQI_GATED_BY_DRAIN = 2 /* durable: watermarks.h */
};
struct shmqi_marks_shm;

/* Addresses and constants of one attached topic: checked once, then private.
 * Nothing below is read from shared memory again. `broken` is raised by the
 * SIGBUS handler (mapping.h). */
struct shmqi_ring {
    struct shmqi_data_shm *data;
    struct shmqi_control_shm *control;
    shmqi_word *slots; /* mpmc */
    struct shmqi_arena_shm *arenas; /* words; spsc: one */
    uint8_t *arena_base; /* mpmc arenas; spsc: the ring */
    struct shmqi_endpoint_shm *endpoints;
    struct shmqi_name_shm *names;
    struct shmqi_group_shm *groups;
    shmqi_word *claims; /* group g's words start at g << claim_lg2 */
    uint64_t arena_bytes;
    uint32_t arena_lg2;
    uint32_t ring; /* enum shmq_ring */
    uint32_t on_full;
    uint32_t cap_lg2;
    uint32_t claim_lg2;
    uint32_t producer_cnt; /* arenas, and endpoints [0, producer_cnt) */
    uint32_t member_cnt; /* endpoints [producer_cnt, + member_cnt) */
    uint32_t endpoint_cnt; /* and SHMQI_ADMIN_ENDPOINTS more */
    uint32_t group_cnt; /* entries: group_limit and some spare */
    uint32_t group_limit; /* max_groups */
    uint32_t name_cnt;
    uint64_t max_message;
    uint64_t start_seq;
    uint64_t ttl_ns;
    uint32_t flags;
    uint32_t gated_by; /* enum shmqi_gated_by */
    struct shmqi_marks_shm *marks; /* durable: read-only; else NULL */
    _Atomic uint32_t broken; /* a file was cut short: its content is lost */
};

/* CLOSED or READ_ONLY when a topic with this version takes no records, else 0.
 * Only shmqd refuses: on a topic in memory bit 62 is somebody's scribble. */
static inline int shmqi_refused(const struct shmqi_ring *r, uint64_t version)
{
    if (version & SHMQI_DELETED)
        return SHMQ_ERR_CLOSED;
    return (version & SHMQI_READ_ONLY) && r->gated_by == SHMQI_GATED_BY_DRAIN
        ? SHMQ_ERR_READ_ONLY
        : SHMQ_OK;
}

#endif
