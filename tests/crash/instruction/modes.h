/* modes.h - the four modes of the proof and what they share. */
#ifndef SHMQ_CRASH_MODES_H
#define SHMQ_CRASH_MODES_H

#include "proof.h"

/* Crash states of one configuration: files of which everybody is dead, and
 * what their recovery must give. */
struct pool {
    uint8_t *files; /* cap snapshots */
    size_t bytes; /* of one */
    uint32_t cnt, cap;
    uint32_t seen; /* states met, of which these are a sample */
};
void pool_add(struct pool *pool, const struct world *w);

/* Index of the k-th of `cnt` points spread over the trace: in each part one
 * whose instruction was not yet the place of such an experiment, if any. */
uint32_t point_of(
    const struct trace *trace, uint32_t k, uint32_t cnt, enum mark kind);

/* Steps through the operation once. scene.mode is set by the caller. */
void mode_s(
    struct world *w, struct tracer *t, struct trace *trace, struct pool *pool);
/* `cnt` runs, each held at one point of the trace, spread over all of it. */
void mode_z(
    struct world *w, struct tracer *t, const struct trace *trace, uint32_t cnt);
/* `cnt` victims killed, likewise. */
void mode_k(struct world *w, const struct trace *trace, uint32_t cnt);
/* All of it for operations on files. */
void mode_f(struct world *w, struct tracer *t, struct trace *trace,
    const char *modes, uint32_t resumes, uint32_t kills);
/* How many instructions others need beside a held victim, at `cnt` points. */
void mode_w(
    struct world *w, struct tracer *t, const struct trace *trace, uint32_t cnt);
/* A sleeper whose waker is killed; for publishes on an empty ring. */
void mode_wake(struct world *w, const struct trace *trace);
void mode_w_stop(void);
/* For crash states of the pool: recoveries that are themselves stepped, held
 * and killed. */
void mode_r(struct world *w, struct tracer *t, struct pool *pool,
    uint32_t states, uint32_t resumes, uint32_t kills);

/* Runs the operation, as `prepare` makes the state, with everything stepped,
 * and compares with what mode S has stepped to; sometimes. */
void coverage_run(
    struct world *w, struct tracer *t, void (*prepare)(struct world *w));
/* Every exported function was stepped, or is listed with a reason. */
bool coverage_exports(void);

/* Before verdicts are compared. */
void verdict_trim(struct verdict *v);
/* The operation's last result is one that it may have. */
bool rc_allowed(int rc);
/* The lists of page as they are when the operation is through. */
void lists_after(struct tags after[GROUPS]);

/* Where the effects of operations appear. */
void flip_note(const struct op *op, uint64_t rip);
void flip_print(void);

#endif
