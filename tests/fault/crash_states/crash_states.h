/* crash_states.h - exploring what a power cut may leave of a log. */
#ifndef CRASH_STATES_H
#define CRASH_STATES_H

#include <stdio.h>

#include "fault/sim/sim_disk.h"

#define SLOTS_MAX 512

/* What must be found. A life is one run of the engine, from open to its end; a
 * slot's content says which life has written it. */
struct oracle {
    uint32_t est; /* slots below are established: acknowledged or recovered */
    uint8_t life_of[SLOTS_MAX]; /* 0: given up, a gap is right */
    uint8_t life; /* the one that was running */
    uint32_t start; /* its first slot */
    uint32_t acked; /* what it had acknowledged as durable */
    bool gaps; /* os: behind that, an explicit gap is right (a sync failed) */
};

/* Whose log: of which ring, acknowledged when. Positions are slots times the
 * width of a frame, which in an spsc log is that of its only record size. */
struct style {
    bool spsc, os;
};

struct plan {
    uint64_t seed;
    struct style style;
    uint32_t frames; /* that a life adds */
    uint32_t subsets; /* at most, at one event */
    uint32_t nest_each; /* one state of so many goes on to another life */
    uint32_t depth; /* lives after the first */
    bool stale, no_zeros, kills;
    bool unreadable; /* blocks that cannot be read, for one life */
};

struct totals {
    uint64_t states, distinct, recoveries, lives, events;
    uint64_t unreadable, refusals; /* lives with a block that cannot be read */
    uint64_t lost, resurrected, holes, refused, reused;
    uint64_t worst_recovery_ns;
    bool stop_at_first;
    char first[256]; /* the first violation, in words */
};

uint64_t violations(const struct totals *t);

/* One life on `disk`: open, begin, add frames, turn; marks in its trace what it
 * reports. Returns the state of the log at the end. */
struct outcome {
    int open_rc;
    bool read_only;
    uint32_t found; /* where the log ended when the life began */
    uint32_t added, durable, acked; /* slots; acked: at the topic's level */
};
extern int life_turns; /* a life is killed after so many */
extern uint32_t life_first; /* first slot of a new log */
void life_style(struct style style); /* of all lives and judges from now on */
enum { MARK_FOUND = 1, MARK_START = 2, MARK_ACKED = 3, MARK_LIFE = 4 };
struct outcome live(struct sim_disk *disk, uint8_t life, uint64_t seed,
    uint32_t frames, bool no_zeros, struct totals *t);

/* Whether an image is a legal remainder; counts violations. */
void judge(const struct sim_image *image, const struct oracle *o,
    struct totals *t, const char *where);

/* Size of the record in that slot of that life. */
uint32_t record_size(uint32_t slot, uint8_t life);

/* All crash states of the life that plan.seed makes on an empty disk. */
void explore(const struct plan *p, struct totals *t);
/* Every k-th call fails, in the first life and in the recovery of the second;
 * every block of the last segments cannot be read; processes are killed. */
void explore_failures(const struct plan *p, struct totals *t);

#endif
