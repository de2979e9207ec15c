/* loop.h - the bridge's run loop: descriptors, tasks, timers.
 *
 * One thread, at its own pace: what becomes ready is marked; then each task
 * that has something to do does a bounded piece of it, in turn; then timers.
 * The loop sleeps only when no task has anything to do. */
#ifndef SHMQZ_LOOP_H
#define SHMQZ_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct shmqz_loop;

/* Work in pieces. `run` does one and returns whether there is more. The memory
 * is the owner's; a task may be dropped from inside its own run. */
struct shmqz_task {
    bool (*run)(void *ctx);
    void *ctx;
    struct shmqz_task *next, *previous; /* the loop's */
    uint64_t turn;
    bool queued;
};

/* A descriptor that wakes a task when it is readable. `once`: it does so one
 * time, until it is armed again. */
struct shmqz_source {
    int fd;
    bool once, watched;
    struct shmqz_task *task;
};

#define SHMQZ_NEVER UINT64_MAX

struct shmqz_timer {
    uint64_t due_ns; /* CLOCK_MONOTONIC, or SHMQZ_NEVER */
    void (*expired)(void *ctx); /* due_ns is SHMQZ_NEVER again by then */
    void *ctx;
    struct shmqz_timer *next; /* the loop's */
};

/* NULL: no memory or no descriptor (errno). */
struct shmqz_loop *shmqz_loop_open(void);
void shmqz_loop_close(struct shmqz_loop *loop);

/* One turn. Sleeps until a descriptor is readable or a timer is due, unless a
 * task is queued. */
void shmqz_loop_turn(struct shmqz_loop *loop);

/* Queues a task; nothing when it is queued already. */
void shmqz_task_wake(struct shmqz_loop *loop, struct shmqz_task *task);
void shmqz_task_drop(struct shmqz_loop *loop, struct shmqz_task *task);

/* Watches source->fd, armed. 0, or -1 with errno. */
int shmqz_source_watch(struct shmqz_loop *loop, struct shmqz_source *source);
void shmqz_source_arm(struct shmqz_loop *loop, struct shmqz_source *source);
void shmqz_source_drop(struct shmqz_loop *loop, struct shmqz_source *source);

/* Timers stay for good; they are few. */
void shmqz_timer_add(struct shmqz_loop *loop, struct shmqz_timer *timer);

/* Time of this turn (of its wake-up), and of now. CLOCK_MONOTONIC. */
uint64_t shmqz_loop_now(const struct shmqz_loop *loop);
uint64_t shmqz_clock(void);

#endif
