/* small_shmqd.h - a shmqd of a hundred lines for the library's own tests: it
 * drains one topic into segment files in a directory of its own and tells. No
 * recovery, no direct I/O, nothing asynchronous; a test decides when it works,
 * stops, is "killed", and what the disk loses. */
#ifndef SHMQ_TEST_SMALL_SHMQD_H
#define SHMQ_TEST_SMALL_SHMQD_H

#include <pthread.h>

#include "drain.h"

struct small {
    char topic[SHMQ_TOPIC_MAX + 1];
    char dir[128];
    struct shmq_topic_attrs attrs;
    uint64_t topic_uuid[2];
    struct shmqi_drain *drain;
    /* the log */
    int fd;
    uint64_t segment_no, segment_bytes, offset;
    uint64_t begin[4096]; /* first position of each segment */
    uint64_t end, written, durable; /* positions */
    uint64_t low_no; /* oldest segment that is left */
    uint32_t prev_crc, epoch;
    uint64_t salt;
    int64_t max_ts;
    uint8_t *buf;
    uint64_t cap;
    /* groups as journaled last */
    struct shmqi_group_place groups[64];
    uint32_t group_cnt;
    /* running by itself */
    pthread_t thread;
    _Atomic int go;
    bool running;
    bool lazy; /* written, not durable, until small_flush() */
};

/* Makes the topic and serves it. */
struct small *small_start(
    const char *topic, const struct shmq_topic_attrs *attrs);
/* The same with a ring and a log that begin at position `start`. */
struct small *small_start_at(
    const char *topic, const struct shmq_topic_attrs *attrs, uint64_t start);
/* Gone without a word; files and ring stay. */
void small_kill(struct small *s);
/* Serves again what is there. */
void small_again(struct small *s);
/* As a reboot does: the ring is lost, then made anew, groups at their journaled
 * places. `keep`: the log ends there (0: where it ended). */
void small_reboot(struct small *s);
/* Ends it and removes the log. */
void small_end(struct small *s);

/* Drains one portion into the log and tells: what shmqi_drain_take() says. */
int small_take(struct small *s, uint64_t *frames);
/* Drains what is there; how many frames. */
uint64_t small_turn(struct small *s);
void small_flush(struct small *s);
/* Journals the groups' places and tells. */
void small_journal(struct small *s);
/* Begins a new segment; removes all but the newest `keep`. */
void small_roll(struct small *s);
void small_retain(struct small *s, uint64_t keep);
/* Drains in a thread of its own until small_stop(). */
void small_run(struct small *s);
void small_stop(struct small *s);

#endif
