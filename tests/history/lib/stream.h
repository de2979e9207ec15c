/* stream.h - histories of running processes: each writes its operations into a
 * log of its own in shared memory, one process reads all logs in the order of
 * time and checks.
 *
 * A log's writer may be killed at any instruction: what it had begun and not
 * ended is taken as unknown. It may be stopped: then the reader waits, and the
 * others go on until their logs are full. */
#ifndef SHMQ_TEST_HISTORY_STREAM_H
#define SHMQ_TEST_HISTORY_STREAM_H

#include <stdalign.h>
#include <stdatomic.h>

#include "history/lib/history.h"

#define HIST_LOG_OPS (1u << 15)
#define HIST_LOG_CNT 48u

enum hist_log_state { HIST_LOG_FREE = 0, HIST_LOG_LIVE = 1, HIST_LOG_DEAD = 2 };

struct hist_log {
    alignas(64) _Atomic uint64_t begun; /* by the writer, ended too */
    _Atomic uint64_t ended;
    uint64_t stalls; /* times it had to wait for the reader */
    alignas(64) _Atomic uint64_t taken; /* by the reader */
    alignas(64) _Atomic uint32_t state; /* LIVE, DEAD by the keeper, FREE by
                                           the reader */
    _Atomic uint64_t kill_ns; /* just before the keeper killed it, or 0 */
    _Atomic uint64_t death_ns; /* when the keeper knew */
    _Atomic uint32_t member,
        group; /* who the writer is now: a reader's life, */
    _Atomic uint64_t producer; /* or a producer; 0 when it is not */
    struct hist_op ops[HIST_LOG_OPS];
};

struct hist_stream { /* zeroed shared memory */
    _Atomic uint32_t opened; /* logs made LIVE so far */
    _Atomic uint32_t close; /* no more logs will come */
    _Atomic uint32_t closed; /* the verdict is complete */
    _Atomic uint64_t fault_cnt;
    _Atomic uint64_t published, delivered; /* so far */
    struct hist_verdict verdict;
    struct hist_log logs[HIST_LOG_CNT];
};

/* The keeper: takes a free log for a process that it is about to start, -1
 * when there is none; says that it is about to kill it; that it is dead. */
int hist_log_take(struct hist_stream *s);
void hist_log_kill(struct hist_stream *s, int log);
void hist_log_dead(struct hist_stream *s, int log);

/* The writer. begin: the next operation with inv_ns set, for the caller to
 * fill in; open: it is about to be called (until then nothing has begun); end:
 * it returned. The caller may change the open operation until its end. */
struct hist_op *hist_log_begin(struct hist_log *log, enum hist_kind kind);
void hist_log_open(struct hist_log *log);
void hist_log_end(struct hist_log *log);
/* An operation of one moment. */
void hist_log_note(struct hist_log *log, const struct hist_op *op);
uint64_t hist_now_ns(void);

/* The reader: checks until the stream is closed and all logs are read. */
void hist_stream_run(struct hist_stream *s, const struct hist_config *config);

#endif
