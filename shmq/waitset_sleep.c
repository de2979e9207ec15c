/* waitset_sleep.c - one sleep for many consumers.
 *
 * At first by futex_waitv(2): every consumer announces itself, all are looked
 * at once more, then one system call waits for all their futex words, which
 * were read before. That costs publishers least, but the kernel some
 * microsecond a word and sleep. So a set of several consumers that stays idle
 * goes over to their doorbells, under one descriptor: a bell is asked for once
 * and stays asked for until it is rung, and a sleep costs what that of one
 * consumer costs. Without futex_waitv: by bells from the beginning.
 *
 * The argument against lost wakes is that of one consumer (wait.h), for each:
 * each is announced before a look that finds nothing. And every sleep is
 * bounded. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "process.h"
#include "reap.h"
#include "waitset_impl.h"

#define REAP_NAPS 16u
#define FUTEX_NAPS 3u /* then by bells: idle for 100 ms */
#define FUTEX_CNT 4u /* with so few consumers never */
#define HEAR_MAX 64

void shmqi_waitset_sleep_init(struct shmq_waitset *w)
{
    w->bells_fd = w->timer_fd = w->epoll_fd = -1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_app_fds(struct shmq_waitset *w)
{
    close_fd(&w->epoll_fd);
    close_fd(&w->timer_fd);
}

void shmqi_waitset_sleep_close(struct shmq_waitset *w)
{
    close_app_fds(w);
    close_fd(&w->bells_fd);
}

/* -- bells -------------------------------------------------------------------
 */

static int no_descriptor(int err)
{
    return shmqi_fail_sys(err, "wait set: cannot make a descriptor");
}

static int watch_fd(int epoll_fd, int fd, void *ptr)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof ev);
    ev.events = EPOLLIN;
    ev.data.ptr = ptr;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : errno;
}

int shmqi_bells_join(struct shmq_waitset *w, struct shmq_consumer *c)
{
    int rc = shmqi_consumer_bell(c);
    if (rc)
        return rc;
    int err = watch_fd(w->bells_fd, c->poll.fifo_fd, c);
    return err && err != EEXIST ? no_descriptor(err) : SHMQ_OK;
}

void shmqi_bells_leave(struct shmq_waitset *w, struct shmq_consumer *c)
{
    if (w->bells_fd >= 0 && c->has_bell)
        (void)epoll_ctl(w->bells_fd, EPOLL_CTL_DEL, c->poll.fifo_fd, NULL);
}

int shmqi_bells_open(struct shmq_waitset *w)
{
    if (w->bells_fd >= 0)
        return SHMQ_OK;
    w->bells_fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->bells_fd < 0)
        return no_descriptor(errno);
    int rc = SHMQ_OK;
    for (uint32_t i = 0; rc == SHMQ_OK && i < w->cnt; i++)
        rc = shmqi_bells_join(w, w->all[i]);
    if (rc)
        close_fd(&w->bells_fd);
    return rc;
}

/* Takes what was rung; those consumers have to ask again. */
static void hear(struct shmq_waitset *w)
{
    struct epoll_event rung[HEAR_MAX];
    int cnt = epoll_wait(w->bells_fd, rung, HEAR_MAX, 0);
    for (int i = 0; i < cnt; i++) {
        const struct shmq_consumer *c = rung[i].data.ptr;
        shmqi_bell_heard(&c->poll);
    }
}

/* Asks for the bells that are not asked for. True: some were not, look again;
 * *settle: for a moment. */
static bool ask(struct shmq_waitset *w, bool *settle)
{
    bool any = false;
    for (uint32_t i = 0; i < w->cnt; i++) {
        struct shmq_consumer *c = w->all[i];
        if (shmqi_poll_announced(c->ring, c->idx))
            continue;
        any = true;
        *settle |= shmqi_bell_arm(c->segment, c->idx);
        c->empties |= 0xff; /* the last look is a full one */
    }
    return any;
}

/* -- looking, sleeping -------------------------------------------------------
 */

/* Announces all; true when the last look must go on for a moment. */
static bool announce(struct shmq_waitset *w)
{
    bool settle = false;
    for (uint32_t i = 0; i < w->cnt; i++) {
        struct shmq_consumer *c = w->all[i];
        shmqi_sleep_begin(&w->sleeps[i], c->segment, c->idx, SHMQI_WAITS_DATA);
        settle |= w->sleeps[i].settle;
        c->empties |= 0xff; /* the last look is a full one */
    }
    return settle;
}

static void awake(struct shmq_waitset *w)
{
    for (uint32_t i = 0; i < w->cnt; i++)
        shmqi_sleep_end(w->all[i]->segment, w->all[i]->idx);
}

static int last_look(struct shmq_waitset *w, bool settle,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    uint64_t until = settle ? shmqi_now_monotonic() + SHMQI_SETTLE_NS : 0;
    int rc;
    do
        rc = shmqi_waitset_look(w, ret, ret_from);
    while (rc == SHMQ_ERR_EMPTY && settle && shmqi_now_monotonic() < until);
    return rc;
}

/* How long to sleep: the least of all. Asleep nobody looks at ring memory. */
static uint64_t nap_of_all(struct shmq_waitset *w, uint32_t naps, uint64_t now)
{
    uint64_t least = SHMQI_NAP_MAX_NS;
    for (uint32_t i = 0; i < w->cnt; i++) {
        struct shmq_consumer *c = w->all[i];
        uint64_t ns = shmqi_consumer_nap(c, naps, now);
        least = ns < least ? ns : least;
        if (c->held_cnt == 0)
            shmqi_view_end(c);
    }
    return least;
}

static int nap_by_futexes(struct shmq_waitset *w, uint64_t ns,
    uint64_t deadline, struct shmq_message *ret,
    struct shmq_consumer **ret_from)
{
    bool settle = announce(w);
    int rc = last_look(w, settle, ret, ret_from);
    if (rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_LIMIT)
        return rc;
    rc = shmqi_sleep_commit_any(w->sleeps, w->cnt, ns, deadline);
    w->by_bells |= rc == SHMQ_ERR_SYS; /* no futex_waitv here */
    return rc == SHMQ_ERR_INTR ? rc : SHMQ_ERR_EMPTY;
}

static int wait_for_bells(
    struct shmq_waitset *w, uint64_t ns, uint64_t deadline)
{
    struct pollfd pfd = {w->bells_fd, POLLIN, 0};
    uint64_t now = shmqi_now_monotonic();
    uint64_t left = deadline > now ? deadline - now : 0;
    if (left < ns)
        ns = left;
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    int cnt = ppoll(&pfd, 1, &ts, NULL);
    if (cnt > 0)
        hear(w);
    return cnt < 0 && errno == EINTR ? SHMQ_ERR_INTR : SHMQ_ERR_EMPTY;
}

static int nap_by_bells(struct shmq_waitset *w, uint64_t ns, uint64_t deadline,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    bool settle = false;
    int rc = SHMQ_ERR_EMPTY;
    if (ask(w, &settle))
        rc = last_look(w, settle, ret, ret_from);
    return rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_LIMIT
        ? wait_for_bells(w, ns, deadline)
        : rc;
}

/* By bells? Opens them. Where there are none to be had, futexes must do. */
static int choose(struct shmq_waitset *w, uint32_t naps)
{
    bool must = w->by_bells || w->cnt > SHMQI_SLEEP_ANY_MAX;
    if (!must && (w->no_bells || w->cnt <= FUTEX_CNT || naps < FUTEX_NAPS))
        return 0;
    int rc = shmqi_bells_open(w);
    w->no_bells = rc != SHMQ_OK;
    return rc ? (must ? rc : 0) : 1;
}

static int nap(struct shmq_waitset *w, uint32_t naps, uint64_t deadline,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    int bells = choose(w, naps);
    if (bells < 0)
        return bells;
    uint64_t ns = nap_of_all(w, naps, shmqi_now_monotonic());
    int rc = bells ? nap_by_bells(w, ns, deadline, ret, ret_from)
                   : nap_by_futexes(w, ns, deadline, ret, ret_from);
    if (rc == SHMQ_ERR_EMPTY)
        rc = shmqi_waitset_look(w, ret, ret_from);
    return rc == SHMQ_ERR_LIMIT ? SHMQ_ERR_EMPTY : rc;
}

int shmqi_waitset_sleep(struct shmq_waitset *w, uint64_t deadline,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    int rc = SHMQ_ERR_EMPTY;
    (void)announce(w); /* for `stat`, however it sleeps */
    for (uint32_t naps = 0; rc == SHMQ_ERR_EMPTY; naps++) {
        if (shmqi_now_monotonic() >= deadline) {
            rc = SHMQ_ERR_TIMEOUT;
            break;
        }
        rc = nap(w, naps, deadline, ret, ret_from);
        if (naps % REAP_NAPS == REAP_NAPS - 1 && w->cnt > 0) {
            struct shmq_consumer *c = w->all[naps / REAP_NAPS % w->cnt];
            (void)shmqi_reap_all(c->segment, c->idx);
        }
    }
    awake(w);
    if (rc == SHMQ_ERR_TIMEOUT)
        return shmqi_fail(rc, "wait set: nothing arrived before the deadline");
    return rc == SHMQ_ERR_INTR
        ? shmqi_fail(rc, "wait set: interrupted by a signal")
        : rc;
}

/* -- the application's descriptor --------------------------------------------
 */

static void set_timer(const struct shmq_waitset *w, uint64_t ns)
{
    struct itimerspec t;
    memset(&t, 0, sizeof t);
    t.it_value.tv_sec = (time_t)(ns / 1000000000u);
    t.it_value.tv_nsec = (long)(ns % 1000000000u);
    (void)timerfd_settime(w->timer_fd, 0, &t, NULL);
}

static int open_app_fds(struct shmq_waitset *w)
{
    w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->timer_fd < 0 || w->epoll_fd < 0)
        return errno;
    int err = watch_fd(w->epoll_fd, w->timer_fd, NULL);
    return err ? err : watch_fd(w->epoll_fd, w->bells_fd, NULL);
}

int shmqi_waitset_fd_open(struct shmq_waitset *w)
{
    int rc = shmqi_bells_open(w);
    if (rc)
        return rc;
    int err = open_app_fds(w);
    if (err) {
        close_app_fds(w);
        return no_descriptor(err);
    }
    set_timer(w, 1); /* the caller's first receive finds out */
    return SHMQ_OK;
}

void shmqi_waitset_fd_heard(struct shmq_waitset *w)
{
    hear(w);
}

int shmqi_waitset_fd_arm(struct shmq_waitset *w, int empty,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    bool settle = false;
    set_timer(w, nap_of_all(w, 0, shmqi_now_monotonic()));
    return ask(w, &settle) ? last_look(w, settle, ret, ret_from) : empty;
}
