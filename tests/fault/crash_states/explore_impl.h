/* explore_impl.h - what explore.c and failures.c share. */
#ifndef EXPLORE_IMPL_H
#define EXPLORE_IMPL_H

#include "fault/crash_states/crash_states.h"

extern uint64_t rng;
extern char phase[64]; /* for the words of a violation */

/* What the marks of a life say, one after the other. */
void note_mark(struct oracle *o, uint8_t *life, uint64_t mark);

/* Replays a trace that began on `from` and judges the states of its events from
 * `first` on, each `every`-th and the last. */
void explore_trace(const struct plan *p, const struct sim_image *from,
    const struct sim_trace *trace, size_t first, uint32_t every,
    const struct oracle *before, uint32_t depth, struct totals *t);

#endif
