#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64
#define MS UINT64_C(1000000)
#define SLEEP_MAX_MS 1000

struct shmqz_loop {
    int epoll_fd;
    uint64_t now_ns;
    struct shmqz_task *first, *last;
    uint64_t turn;
    struct shmqz_timer *timers;
};

uint64_t shmqz_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

struct shmqz_loop *shmqz_loop_open(void)
{
    struct shmqz_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    loop->now_ns = shmqz_clock();
    return loop;
}

void shmqz_loop_close(struct shmqz_loop *loop)
{
    if (!loop)
        return;
    close(loop->epoll_fd);
    free(loop);
}

uint64_t shmqz_loop_now(const struct shmqz_loop *loop)
{
    return loop->now_ns;
}

/* -- tasks ------------------------------------------------------------------
 */

void shmqz_task_wake(struct shmqz_loop *loop, struct shmqz_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    task->turn = loop->turn;
    task->next = NULL;
    task->previous = loop->last;
    if (loop->last)
        loop->last->next = task;
    else
        loop->first = task;
    loop->last = task;
}

void shmqz_task_drop(struct shmqz_loop *loop, struct shmqz_task *task)
{
    if (!task->queued)
        return;
    task->queued = false;
    if (task->previous)
        task->previous->next = task->next;
    else
        loop->first = task->next;
    if (task->next)
        task->next->previous = task->previous;
    else
        loop->last = task->previous;
}

/* Each task that was queued when the turn began gets one run; those that have
 * more to do, and new ones, come behind them. */
static void run_tasks(struct shmqz_loop *loop)
{
    loop->turn++;
    while (loop->first && loop->first->turn != loop->turn) {
        struct shmqz_task *task = loop->first;
        shmqz_task_drop(loop, task);
        /* Owners that drop or free a task in its own run return false. */
        if (task->run(task->ctx))
            shmqz_task_wake(loop, task);
    }
}

/* -- descriptors ------------------------------------------------------------
 */

static int control(struct shmqz_loop *loop, struct shmqz_source *source, int op)
{
    struct epoll_event event = {0};
    event.events = EPOLLIN | (source->once ? (uint32_t)EPOLLONESHOT : 0u);
    event.data.ptr = source;
    return epoll_ctl(loop->epoll_fd, op, source->fd, &event);
}

int shmqz_source_watch(struct shmqz_loop *loop, struct shmqz_source *source)
{
    if (control(loop, source, EPOLL_CTL_ADD))
        return -1;
    source->watched = true;
    return 0;
}

void shmqz_source_arm(struct shmqz_loop *loop, struct shmqz_source *source)
{
    if (source->watched)
        (void)control(loop, source, EPOLL_CTL_MOD);
}

void shmqz_source_drop(struct shmqz_loop *loop, struct shmqz_source *source)
{
    if (source->watched)
        (void)control(loop, source, EPOLL_CTL_DEL);
    source->watched = false;
}

/* -- timers and turns -------------------------------------------------------
 */

void shmqz_timer_add(struct shmqz_loop *loop, struct shmqz_timer *timer)
{
    timer->next = loop->timers;
    loop->timers = timer;
}

static void run_timers(struct shmqz_loop *loop)
{
    for (struct shmqz_timer *t = loop->timers; t; t = t->next) {
        if (t->due_ns > loop->now_ns)
            continue;
        t->due_ns = SHMQZ_NEVER;
        t->expired(t->ctx);
    }
}

static int sleep_ms(const struct shmqz_loop *loop)
{
    uint64_t due = SHMQZ_NEVER;
    if (loop->first)
        return 0;
    for (const struct shmqz_timer *t = loop->timers; t; t = t->next)
        due = t->due_ns < due ? t->due_ns : due;
    uint64_t now = shmqz_clock();
    if (due <= now)
        return 0;
    uint64_t left = (due - now + MS - 1) / MS;
    return left < SLEEP_MAX_MS ? (int)left : SLEEP_MAX_MS;
}

void shmqz_loop_turn(struct shmqz_loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, sleep_ms(loop));
    loop->now_ns = shmqz_clock();
    for (int i = 0; i < n; i++) {
        struct shmqz_source *source = events[i].data.ptr;
        shmqz_task_wake(loop, source->task);
    }
    run_tasks(loop);
    run_timers(loop);
}
