/* history.h - what happened to a topic, operation by operation, and a checker
 * of it that needs O(n log n) time and memory for a window only.
 *
 * Operations are those of processes that do one thing at a time: each has the
 * time before its call and the time after it (CLOCK_MONOTONIC). Neighbouring
 * records of one publish may be one operation (up to 64 records). The rules
 * are in docs/history-checker.md. */
#ifndef SHMQ_TEST_HISTORY_H
#define SHMQ_TEST_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HIST_GROUP_MAX 8u
#define HIST_RUN_MAX 64u /* records of one operation */

enum hist_kind {
    HIST_NOTHING = 0, /* time goes on */
    HIST_PUBLISH = 1,
    HIST_DELIVER = 2,
    HIST_EMPTY = 3, /* a reader was told that there is nothing */
    HIST_ACK = 4,
    HIST_NACK = 5,
    HIST_LOSS = 6 /* from inv_ns on `member` may lose what it holds */
};

enum hist_result {
    HIST_OK = 0,
    HIST_REFUSED = 1, /* publish: full; the records do not exist */
    HIST_STALE = 2, /* ack, nack: the claim had moved */
    HIST_UNKNOWN = 3 /* the process died in the call; a delivery: these records
                        were handed out before ret_ns */
};

enum hist_flags {
    HIST_AGAIN = 1, /* delivery flagged as redelivered */
    HIST_TORN = 2, /* the payload was not what was published */
    HIST_CLOSED = 4 /* loss: by closing the handle; acks are in the group */
};

struct hist_op {
    uint64_t inv_ns, ret_ns;
    uint64_t producer; /* identity */
    uint64_t seq; /* of the first record, at its producer */
    uint64_t pos, last; /* positions of the first and the last record; of an ack
                           or nack, `last` is inv_ns of the delivery that it
                           ends, 0: the newest one that fits */
    uint32_t cnt; /* records */
    uint32_t member; /* one reader's life; small numbers */
    uint32_t attempt;
    uint8_t kind, group, result, flags;
};
_Static_assert(sizeof(struct hist_op) == 64, "one line an operation");

struct hist_group {
    bool shared; /* members compete */
    bool fifo; /* shared: first deliveries are a FIFO queue in real time, not
                  only at each member; no lease */
    bool lossy; /* records may be overwritten unread */
    uint64_t lease_ns; /* 0: none */
};

struct hist_config {
    uint32_t group_cnt;
    struct hist_group groups[HIST_GROUP_MAX];
    bool dense; /* the records of a publish have positions pos, pos + 1, ... */
    uint64_t settle_ns; /* so long after its call returned a publish may still
                           be on its way out of its core's store buffer: a
                           reader may then be told that there is nothing */
    uint32_t keep_runs; /* publishes kept after all groups are done with them:
                           so far back a death may set a reader */
    uint32_t limit_runs; /* publishes kept at most; more is a fault */
};

enum hist_fault {
    HIST_F_MALFORMED, /* not a history */
    HIST_F_PHANTOM, /* delivered, never published or not yet */
    HIST_F_REFUSED, /* delivered, but its publish had failed */
    HIST_F_REALTIME, /* position against the order of publishes in time */
    HIST_F_POSITION, /* two records at one position, or one at two */
    HIST_F_TORN,
    HIST_F_LOST, /* published, not done in a group at the end */
    HIST_F_DOUBLED, /* handed out again without flag or without cause */
    HIST_F_ORDER, /* P4 */
    HIST_F_SKIPPED, /* an exclusive reader went past a record not done */
    HIST_F_EMPTY, /* told empty while a record was there */
    HIST_F_STALE, /* ack counted after the claim moved, or refused without */
    HIST_F_WINDOW, /* more memory needed than allowed */
    HIST_F_CNT
};

struct hist_verdict {
    uint64_t ops;
    uint64_t published, delivered, again, acked, stale, nacked, unknown;
    uint64_t faults[HIST_F_CNT], fault_cnt;
    uint64_t runs_peak; /* most publishes in memory */
    uint64_t bytes_peak; /* memory of the checker */
    char first[256]; /* the first fault in words */
};

/* What is remembered between the two times of an operation. */
struct hist_open {
    uint64_t known, fresh; /* positions known, or handed out, before */
    bool valid;
    bool late; /* ack or nack of what all were done with long before it began */
};

struct hist_check;

struct hist_check *hist_check_new(const struct hist_config *config);
/* At the operation's inv_ns, then at its ret_ns; calls must come in the order
 * of those times over all processes, at equal times begins first. `op` must be
 * filled in as far as it is known: for a begin kind, member, group, producer,
 * seq, cnt of publishes and acks; a receive begins as HIST_DELIVER and may end
 * as HIST_EMPTY. An operation that never returned ends with
 * HIST_UNKNOWN when its process is known to be dead. */
void hist_check_begin(
    struct hist_check *c, const struct hist_op *op, struct hist_open *open);
void hist_check_end(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open);
/* No more: looks what was lost; copies the verdict, frees all. */
void hist_check_finish(struct hist_check *c, struct hist_verdict *ret);
/* The verdict so far. */
const struct hist_verdict *hist_check_state(const struct hist_check *c);
const char *hist_fault_name(enum hist_fault fault);

#endif
