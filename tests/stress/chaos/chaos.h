/* chaos.h - many processes on one topic, killed and stopped at random while
 * every record is accounted for.
 *
 * A "life" is one process life of a producer. What its record number `seq`
 * holds follows from the run's seed, the life and seq, so a reader can check
 * any record without asking anybody. The books are in memory shared by all:
 *   - each producer notes what was acknowledged as published, and how many
 *     records the publish holds that it is about to make: after a kill, only
 *     these are uncertain;
 *   - for each group there is one byte per record: how it was handed out.
 * Besides, every operation goes to the history checker. */
#ifndef SHMQ_CHAOS_H
#define SHMQ_CHAOS_H

#include <shmq.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "history/lib/stream.h"

#define CHAOS_LIFE_MAX 8192u
#define CHAOS_LIFE_RECORDS (1u << 16) /* then a producer leaves */
#define CHAOS_GROUP_MAX 5u
#define CHAOS_SLOT_MAX 24u /* processes at a time */
#define CHAOS_LARGE 65536u
#define CHAOS_BATCH_MAX 32u
#define CHAOS_HELD_MAX 4u
#define CHAOS_GAP_MAX 1048576u

/* Bits of a record's mark. */
enum chaos_mark {
    CHAOS_HANDED = 1, /* without the flag */
    CHAOS_HANDED_AGAIN = 2, /* flagged REDELIVERED */
    CHAOS_ACKED = 4
};

/* A group of readers and how they are treated. */
struct chaos_group {
    const char *name; /* NULL: ephemeral */
    uint32_t kind; /* enum shmq_group_kind */
    uint32_t readers;
    uint64_t lease_ns;
    bool copy; /* SHMQ_CONSUMER_COPY */
    bool nacks; /* now and then gives a record back */
    bool immortal; /* stopped, but never killed */
};

struct chaos_scene {
    const char *name;
    uint32_t ring; /* enum shmq_ring */
    uint32_t on_full; /* enum shmq_on_full */
    uint64_t capacity_frames;
    uint64_t arena_bytes;
    uint32_t producers;
    uint64_t rest_ns; /* of a producer after a publish, now and then */
    uint32_t group_cnt;
    struct chaos_group groups[CHAOS_GROUP_MAX];
};

/* One producer's life; written by it alone. */
struct chaos_life {
    alignas(64) _Atomic uint64_t identity;
    _Atomic uint64_t acked; /* records published for certain */
    _Atomic uint64_t intent; /* records of the publish under way */
};

struct chaos_gap {
    uint64_t from, to; /* positions */
};

struct chaos_books {
    _Atomic uint32_t life_cnt;
    _Atomic uint32_t members; /* lives of readers */
    _Atomic uint32_t quit; /* producers leave */
    _Atomic uint32_t finish; /* readers leave when nothing is left */
    _Atomic uint64_t handed, again, stale, nacks, takeovers;
    _Atomic uint64_t torn, unflagged, disorder, foreign;
    _Atomic uint64_t gaps; /* reported where none may be */
    _Atomic uint64_t gap_frames; /* of immortal ephemeral readers */
    _Atomic uint32_t gap_cnt;
    _Atomic uint32_t complaints;
    char complaint[512];
    struct chaos_gap gap[CHAOS_GAP_MAX];
    struct chaos_life lives[CHAOS_LIFE_MAX];
    /* Records handed out at least up to here, plus one. */
    _Atomic uint64_t high[CHAOS_GROUP_MAX][CHAOS_LIFE_MAX];
};

enum chaos_role { CHAOS_PRODUCER = 0, CHAOS_READER = 1 };

struct chaos_slot {
    enum chaos_role role;
    uint32_t group; /* of a reader */
    pid_t pid;
    int log;
    bool stopped;
    uint64_t resume_ns; /* when to continue it, or kill it */
};

struct chaos_run {
    const struct chaos_scene *scene;
    struct chaos_books *books;
    _Atomic unsigned char *marks[CHAOS_GROUP_MAX];
    uint64_t *positions; /* drop-old: of each record, by life and seq */
    uint64_t seed, random;
    uint32_t actions;
    uint64_t pace_ns; /* mean time between actions */
    struct chaos_slot slots[CHAOS_SLOT_MAX];
    uint32_t slot_cnt;
    uint64_t kills, stops, reader_kills[CHAOS_GROUP_MAX];
    struct hist_stream *stream;
    struct hist_log *log; /* in a child: its own */
    pid_t pids[HIST_LOG_CNT]; /* whose log it is */
    pid_t checker;
};

/* chaos_ledger.c */
void chaos_books_open(struct chaos_run *run);
void chaos_books_close(struct chaos_run *run);
uint64_t chaos_hash(const struct chaos_run *run, uint32_t life, uint64_t seq);
uint64_t chaos_size(uint64_t hash);
bool chaos_has_key(uint64_t hash);
void chaos_fill(void *data, uint64_t size, uint64_t hash);
/* Index of the first byte that is wrong, or `size`. */
uint64_t chaos_check(const void *data, uint64_t size, uint64_t hash);
static inline uint64_t chaos_index(uint32_t life, uint64_t seq)
{
    return (uint64_t)life * CHAOS_LIFE_RECORDS + seq;
}
/* Notes the first complaint of all processes. */
void chaos_complain(struct chaos_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* chaos_producer.c, chaos_reader.c: bodies of processes. */
int chaos_producer(struct chaos_run *run, uint32_t life);
int chaos_reader(struct chaos_run *run, uint32_t group);

/* chaos_crew.c */
void chaos_crew_start(struct chaos_run *run);
int chaos_crew_harass(struct chaos_run *run);
int chaos_crew_finish(struct chaos_run *run);
void chaos_crew_kill(struct chaos_run *run);

/* chaos_history.c: starts and ends the checker. */
void chaos_history_open(struct chaos_run *run);
void chaos_history_close(struct chaos_run *run);
int chaos_history_take(struct chaos_run *run);
void chaos_history_dead(struct chaos_run *run, pid_t pid);

/* chaos_judge.c: prints the line; 0 when all is well. */
int chaos_judge(struct chaos_run *run);

#endif
