/* demo.h - shmq-demo: real lines through shared memory while processes are
 * killed or stopped.
 *
 * The parent reads the input files into private memory, forks everything else
 * and keeps the books on a "board", memory shared with its children. Each line
 * of the run has a number; the board holds one byte per line and group that
 * counts deliveries. The lines themselves travel through libshmq only, and a
 * receiver compares each with the input, byte by byte. */
#ifndef SHMQ_DEMO_H
#define SHMQ_DEMO_H

#include <shmq.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "demo_hist.h"
#include "demo_input.h"

#define DEMO_PRODUCER_MAX 16u
#define DEMO_STREAM_MAX (DEMO_PRODUCER_MAX + 1u) /* one more: the paced one */
#define DEMO_MEMBER_MAX 17u
#define DEMO_BATCH_MAX 256u
#define DEMO_RETURN_MAX 64u
#define DEMO_BLOCK_LINES 200u
#define DEMO_BLOCK_PROCESSES 3u
#define DEMO_LEASE_NS UINT64_C(1000000000)
#define DEMO_MS UINT64_C(1000000)

enum demo_group { DEMO_ARCHIVE = 0, DEMO_WORKERS = 1, DEMO_GROUP_CNT = 2 };
enum demo_phase { DEMO_FULL_SPEED = 0, DEMO_PACED = 1, DEMO_PHASE_CNT = 2 };

/* How far the story is; producers wait at 40, 60 and 80 % of their lines for
 * it, so that also a short run is hit in the middle. */
enum demo_stage {
    DEMO_BEGIN = 0,
    DEMO_PRODUCER_HIT = 1,
    DEMO_MEMBER_ARMED = 2,
    DEMO_MEMBER_HIT = 3
};

struct demo_options {
    uint32_t producers;
    uint32_t workers;
    uint32_t batch;
    uint32_t rounds; /* 0: as many as make a run of some seconds */
    bool stop;
    bool json;
    bool quiet;
};

/* What travels with each line, as its correlation id. */
struct demo_stamp {
    uint64_t check; /* over the other fields and the line's bytes */
    uint64_t line; /* number within its stream, from 0 */
    uint64_t sent_ns;
    uint32_t stream;
    uint32_t phase; /* enum demo_phase */
};

/* Lines [0, line_cnt) of a stream are input lines first + k % share. */
struct demo_stream {
    uint64_t first;
    uint64_t share;
    uint64_t line_cnt;
    uint64_t mark_base; /* of its first line's marks */
};

enum demo_resume {
    DEMO_RESUME_NONE = 0,
    DEMO_RESUME_RING = 1, /* read back from the ring */
    DEMO_RESUME_ARCHIVE = 2 /* asked what the archive has */
};

/* One stream's place on the board; written by its producer. */
struct demo_producer_page {
    alignas(128) _Atomic uint64_t acked; /* lines published for certain */
    _Atomic uint64_t last_position; /* of the last of them */
    _Atomic uint64_t first_ns, last_ns;
    _Atomic uint64_t resumed_ns; /* replacement's first publish was done */
    _Atomic uint64_t resumed_from; /* its first line */
    _Atomic uint32_t resume; /* enum demo_resume */
};

struct demo_return {
    uint64_t line; /* mark number */
    uint64_t when_ns;
};

/* One reader's place on the board; written by it, `held` read by the parent
 * while it runs, the rest when it is gone. */
struct demo_member_page {
    alignas(128) _Atomic uint64_t held; /* mark number + 1 of the line in hand,
                                           0 between lines */
    _Atomic uint32_t lingering; /* takes its time over that line */
    _Atomic uint64_t received, acked, redelivered, stale;
    _Atomic uint64_t torn, disorder, unflagged, gaps, foreign;
    _Atomic uint64_t last_ns;
    _Atomic uint64_t silence_ns; /* longest time without a line; the parent
                                    resets it */
    _Atomic uint32_t return_cnt; /* redelivered lines, the first of them in */
    struct demo_return returns[DEMO_RETURN_MAX];
    struct demo_hist latency[DEMO_PHASE_CNT];
};

struct demo_board {
    alignas(128) _Atomic uint32_t stage; /* enum demo_stage */
    _Atomic uint32_t linger; /* 1 + member that shall linger over a line */
    _Atomic uint32_t finish; /* readers leave when nothing is left */
    _Atomic uint32_t block_step; /* of demo_block.c */
    _Atomic uint64_t block_redelivered, block_stale, block_room_ns;
    char block_holder[512];
    _Atomic unsigned char block_marks[DEMO_BLOCK_LINES];
    struct demo_producer_page producers[DEMO_STREAM_MAX];
    struct demo_member_page members[DEMO_MEMBER_MAX];
    char complaint[512]; /* of the child that failed */
};

/* What happened, for the report. `at_ns` counts from the start, the others
 * from the signal. */
struct demo_story {
    struct {
        uint64_t at_ns, proof_ns, resumed_ns;
        uint64_t line; /* lines certainly published by then */
        int32_t pid;
        uint64_t silence_ns; /* longest of the archive meanwhile */
        uint64_t rate_before, rate_during; /* lines/s of the others */
        bool delayed_nobody; /* all others done while it was still stopped */
    } producer;
    struct {
        uint64_t at_ns, proof_ns, return_ns;
        uint64_t stale; /* late acks refused */
        uint32_t member;
        int32_t pid;
    } member;
    struct {
        char holder[512], endpoint[256], busy[512];
        int32_t pid;
        uint64_t evict_ns; /* from evict to room in the ring */
        uint64_t delivered, redelivered, stale;
        bool ok;
    } block;
};

struct demo_account {
    uint64_t published;
    uint64_t delivered[DEMO_GROUP_CNT]; /* different lines */
    uint64_t redelivered[DEMO_GROUP_CNT];
    uint64_t lost[DEMO_GROUP_CNT];
    uint64_t torn[DEMO_GROUP_CNT];
    uint64_t disorder[DEMO_GROUP_CNT];
    uint64_t unflagged[DEMO_GROUP_CNT];
    uint64_t foreign; /* records nobody published */
    uint64_t stale;
    uint64_t bytes;
    uint64_t elapsed_ns; /* first publish to last delivery at full speed */
    struct demo_hist latency[DEMO_PHASE_CNT];
    uint32_t left_behind; /* files in /dev/shm */
    bool ok;
};

struct demo_run {
    struct demo_options options;
    struct demo_input input;
    struct demo_board *board;
    _Atomic unsigned char *marks[DEMO_GROUP_CNT];
    struct demo_stream streams[DEMO_STREAM_MAX];
    uint64_t mark_cnt;
    uint64_t line_cnt; /* of the full-speed streams */
    uint32_t rounds;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    uint64_t start_ns;
    struct shmq_topic *topic; /* the parent's */
    pid_t producer_pids[DEMO_STREAM_MAX]; /* 0: none, or gone as it should */
    pid_t member_pids[DEMO_MEMBER_MAX];
    pid_t block_pids[DEMO_BLOCK_PROCESSES];
    struct demo_story story;
    struct demo_account account;
};

/* demo_board.c */
int demo_board_open(struct demo_run *run);
void demo_board_close(struct demo_run *run);
uint64_t demo_checksum(
    const struct demo_stamp *stamp, const void *data, uint64_t size);
const struct demo_line *demo_stream_line(
    const struct demo_run *run, uint32_t stream, uint64_t line);
uint64_t demo_now_ns(void);
void demo_sleep_ns(uint64_t ns);

/* demo_producer.c: bodies of child processes; they return the exit status. */
int demo_producer(struct demo_run *run, uint32_t stream, bool replacement);

/* demo_member.c */
int demo_member(struct demo_run *run, uint32_t member);

/* demo_child.c: children of the parent; demo_complain is for the children. */
int demo_catch_signals(void);
int demo_interrupted(void); /* the signal's number, or 0 */
pid_t demo_spawn_producer(
    struct demo_run *run, uint32_t stream, bool replacement);
pid_t demo_spawn_member(struct demo_run *run, uint32_t member);
pid_t demo_spawn(struct demo_run *run, int (*body)(struct demo_run *));
int demo_complain(struct demo_run *run, const char *what);
int demo_kill(pid_t pid, uint64_t *ret_sent_ns, uint64_t *ret_proof_ns);
int demo_stop(pid_t pid, uint64_t *ret_sent_ns);
void demo_kill_all(struct demo_run *run);
/* Waits until `done`, showing progress. -1: interrupted, a child failed, or
 * nothing moved for 30 s; the complaint is on the board. */
int demo_wait(struct demo_run *run, bool (*done)(struct demo_run *));

/* demo_events.c, demo_block.c: what is done to the children. */
int demo_hit_producer(struct demo_run *run);
int demo_hit_member(struct demo_run *run);
int demo_bury_producer(struct demo_run *run);
bool demo_producers_done(struct demo_run *run);
int demo_block(struct demo_run *run);

/* demo_account.c */
void demo_account_all(struct demo_run *run);
void demo_clean_up(struct demo_run *run);
uint64_t demo_published(const struct demo_run *run);
uint64_t demo_received(const struct demo_run *run, enum demo_group group);

/* demo_progress.c */
void demo_say(const struct demo_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void demo_progress(const struct demo_run *run);
const char *demo_count(uint64_t n);
const char *demo_time(uint64_t ns);

/* demo_report.c, demo_json.c */
void demo_report(const struct demo_run *run);
void demo_json(const struct demo_run *run);

#endif
