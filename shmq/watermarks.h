/* watermarks.h - how far the records of a durable topic have come.
 *
 * The file shmq.NS.m.TOPIC stands beside the topic's two others and is written
 * by shmqd alone; everybody else maps it read-only. All positions are exclusive
 * ends: a record is durable when its position is below `durable`.
 *
 * Invariant MARKS: drained <= written <= published, durable <= written, each
 * only grows; what is below `written` (`durable`) can be read from the segment
 * files in the directory, or lies in a gap that they tell of.
 * Invariant DRAINED: memory of a record is reused only below `drained`
 * (gate.h), and `drained` is raised (M1) after the drain has stopped looking at
 * what is below it and the topic's level is reached there.
 *
 * Crash argument: each word is stored once per rise, after what it tells of is
 * so. A daemon that is killed leaves it too low: then less may be reused and
 * fewer are told, until its successor has found the end of the log and raises
 * it. It never lowers one. */
#ifndef SHMQI_WATERMARKS_H
#define SHMQI_WATERMARKS_H

#include <shmq/durable.h>

#include "layout.h"
#include "mapping.h"
#include "words.h"

#define SHMQI_MAGIC_MARKS 0x000131514d4d4853ull /* "SHMMQ1" */
#define SHMQI_DIR_ROOM 1008u
#define SHMQI_FLUSH_BUCKETS 40u

/* Place of a group that is safe on disk. */
struct shmqi_journaled_shm {
    shmqi_word group; /* naming word of the entry it is of; 0: none */
    shmqi_word floor; /* as position */
    uint64_t reserved[2];
};

/* What never changes; readers copy and check it once, when they attach. */
struct shmqi_marks_constants_shm {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t durability;
    uint64_t uuid[2]; /* of the ring: that of the other two files */
    uint64_t topic_uuid[2]; /* of the log; stays over restarts */
    uint64_t start; /* position at which this ring began */
    uint64_t file_bytes;
    uint32_t group_cnt;
    uint32_t reserved;
    uint64_t created_ns;
};

/* The file. `constants` are written before it gets its name, all other words by
 * the shmqd that holds the lock of its byte 0:
 *   published .. drained   rise after what they tell of is so
 *   earliest    first position that the segment files still hold
 *   state       enum shmq_durable_state; SHMQI_MARKS_MAKING until the groups
 *               that the journal knows are there again: nobody opens it before
 *   wake        futex: + 1 after each rise, then FUTEX_WAKE of all
 *   beat_ns     CLOCK_MONOTONIC of shmqd's last turn over this topic
 *   flushes ..  statistics; flush_lg2[i] counts flushes of 2^i to 2^(i+1) ns
 *   retain_..   what `shmq set` changes (0: no limit)
 *   dir_version odd while `dir_words` are being written; 0: never written */
#define SHMQI_MARKS_MAKING 255u

struct shmqi_marks_shm {
    struct shmqi_marks_constants_shm constants;
    alignas(SHMQI_LINE) shmqi_word published;
    shmqi_word written;
    shmqi_word durable;
    shmqi_word drained;
    shmqi_word earliest;
    shmqi_word state;
    alignas(SHMQI_LINE) _Atomic uint32_t wake;
    uint32_t reserved2;
    shmqi_word beat_ns;
    alignas(SHMQI_LINE) shmqi_word flushes;
    shmqi_word flushed_bytes;
    shmqi_word io_errors;
    shmqi_word disk_bytes;
    shmqi_word segments;
    shmqi_word retain_bytes;
    shmqi_word retain_age_ns;
    shmqi_word max_lag_bytes;
    shmqi_word free_bytes; /* of the file system, as last looked at */
    shmqi_word records; /* in the log, as far as known */
    shmqi_word flush_lg2[SHMQI_FLUSH_BUCKETS];
    alignas(SHMQI_LINE) shmqi_word dir_version;
    shmqi_word dir_words[SHMQI_DIR_ROOM / 8]; /* its bytes, zero-padded */
    alignas(SHMQI_LINE) struct shmqi_journaled_shm groups[];
};

#define AT(f, n) \
    _Static_assert(offsetof(struct shmqi_marks_shm, f) == (n), "marks." #f)
AT(constants.magic, 0);
AT(constants.layout_version, 8);
AT(constants.durability, 12);
AT(constants.uuid, 16);
AT(constants.topic_uuid, 32);
AT(constants.start, 48);
AT(constants.file_bytes, 56);
AT(constants.group_cnt, 64);
AT(constants.created_ns, 72);
AT(published, 128);
AT(written, 136);
AT(durable, 144);
AT(drained, 152);
AT(earliest, 160);
AT(state, 168);
AT(wake, 256);
AT(beat_ns, 264);
AT(flushes, 384);
AT(retain_bytes, 424);
AT(flush_lg2, 464);
AT(dir_version, 896);
AT(dir_words, 904);
AT(groups, 1920);
_Static_assert(sizeof(struct shmqi_marks_shm) == 1920, "marks");
_Static_assert(sizeof(struct shmqi_journaled_shm) == 32, "journaled place");
#undef AT

static inline uint64_t shmqi_marks_bytes(uint32_t group_cnt)
{
    uint64_t bytes = sizeof(struct shmqi_marks_shm) +
        group_cnt * sizeof(struct shmqi_journaled_shm);
    return (bytes + SHMQI_PAGE - 1) & ~(uint64_t)(SHMQI_PAGE - 1);
}

/* Up to where memory may be reused, in gate units, at most `end`. Acquire:
 * the drain's looks at what is below are over (M1). */
static inline uint64_t shmqi_marks_drained(
    const struct shmqi_ring *r, uint64_t end)
{
    uint64_t pos = shm_ld(M2, &r->marks->drained);
    uint64_t at = r->ring == SHMQ_RING_MPMC ? shmqi_pos_seq(pos) : pos;
    return at < end ? at : end;
}

/* -- the file ---------------------------------------------------------------
 */

/* What it is made with. */
struct shmqi_marks_make {
    uint64_t topic_uuid[2];
    uint64_t earliest;
    const char *dir;
};

struct shmqi_create;
struct shmqi_segment;

/* A nameless file for the topic of constants `c`, complete. */
int shmqi_marks_make(const char *topic, const struct shmqi_constants_shm *c,
    const struct shmqi_create *more, int *ret_fd);

/* Opens and checks the file of a topic; its constants, if `ret`. STALE: it is
 * missing, or of another ring than the one with `uuid`. */
int shmqi_marks_open(const char *ns, const char *topic, const uint64_t uuid[2],
    uint32_t group_cnt, bool writable, struct shmqi_marks_constants_shm *ret,
    int *ret_fd);

/* Whether some process serves the topic, by the lock of byte 0. */
bool shmqi_marks_locked(int fd);
bool shmqi_marks_served(const struct shmqi_segment *s);

/* Ends of what the topic's level has reached, as its readers see it. */
static inline uint64_t shmqi_marks_level(
    const struct shmqi_marks_shm *m, uint32_t level)
{
    return shm_ld(M3, level == SHMQ_LEVEL_DURABLE ? &m->durable : &m->written);
}

/* Where the segment files are; "" when it is not known (a daemon was killed in
 * the instant of telling). */
void shmqi_marks_dir(const struct shmqi_marks_shm *m, char ret[SHMQI_DIR_ROOM]);

/* What `shmq_topic_watermarks()` tells, without `served`. */
void shmqi_watermarks(
    const struct shmqi_segment *s, struct shmq_watermarks *ret);

/* Records of the ring in [from, to), and their payload bytes. */
void shmqi_depth(const struct shmqi_ring *r, uint64_t from, uint64_t to,
    uint64_t *ret_messages, uint64_t *ret_bytes);

/* The level that SHMQ_LEVEL_DEFAULT means for this topic. */
uint32_t shmqi_level_of(const struct shmqi_segment *s, uint32_t level);

/* Asleep until a mark rises above what it was when `value` was loaded (M5), at
 * most 40 ms and not beyond the deadline. INTR. */
int shmqi_marks_sleep(
    const struct shmqi_marks_shm *m, uint32_t value, uint64_t deadline_ns);

#endif
