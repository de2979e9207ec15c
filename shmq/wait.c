#define _GNU_SOURCE
#include "wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "files.h"

/* -- system calls ------------------------------------------------------------
 */

static int futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    if (syscall(SYS_futex, word, FUTEX_WAIT, value, &ts, NULL, 0) == 0)
        return 0;
    return errno;
}

static void futex_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int membarrier(int cmd)
{
    return (int)syscall(SYS_membarrier, cmd, 0, 0);
}

int shmqi_asymmetric_register(void)
{
    if (membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) != 0)
        return shmqi_fail_sys(errno,
            "asymmetric topic: this kernel has no "
            "expedited membarrier; create it without "
            "--asymmetric");
    return SHMQ_OK;
}

/* -- waking
 * -------------------------------------------------------------------*/

/* Rings a FIFO. Opened for reading, too, so that a reader that has just died
 * does not cost us a SIGPIPE. */
static void ring_doorbell(struct shmqi_segment *s, uint64_t identity)
{
    char path[256];
    struct stat st;
    shmqi_doorbell_path(path, s, identity);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
        (shmqi_owner_trusted(st.st_uid) || st.st_uid == s->owner)) {
        ssize_t n = write(fd, "", 1);
        (void)n; /* full: then it is readable already */
    }
    (void)close(fd);
}

static void wake_one(struct shmqi_segment *s, uint32_t idx)
{
    uint64_t identity = shmqi_identity_at(&s->ring, idx);
    if (identity == 0 || (identity & SHMQI_IDENTITY_INIT))
        return;
    unsigned how = shmqi_wake_word(&s->ring, idx);
    if (how & SHMQI_WAKE_FUTEX)
        futex_wake(&s->ring.endpoints[idx].wake);
    if (how & SHMQI_WAKE_BELL)
        ring_doorbell(s, identity);
}

static void wake_range(
    struct shmqi_segment *s, uint32_t from, uint32_t to, uint64_t bits)
{
    for (uint32_t i = from; i < to; i++)
        if (bits & shmqi_armed_bit(&s->ring, i))
            wake_one(s, i);
}

void shmqi_wake_members_slow(struct shmqi_segment *s)
{
    const struct shmqi_ring *r = &s->ring;
    uint64_t bits = shmqi_members_disarm(r);
    wake_range(s, r->producer_cnt, r->endpoint_cnt, bits); /* shmqd, too */
}

void shmqi_wake_producers_slow(struct shmqi_segment *s)
{
    const struct shmqi_ring *r = &s->ring;
    uint64_t bits = shmqi_producers_disarm(r);
    wake_range(s, 0, r->producer_cnt, bits);
}

void shmqi_wake_all(struct shmqi_segment *s)
{
    (void)shmqi_members_disarm(&s->ring);
    (void)shmqi_producers_disarm(&s->ring);
    wake_range(s, 0, s->ring.endpoint_cnt, UINT64_MAX);
}

/* -- sleeping ----------------------------------------------------------------
 */

/* After arming. True: settle (wait.h). */
static bool must_settle(const struct shmqi_segment *s)
{
    if (s->ring.flags & SHMQ_TOPIC_ASYMMETRIC) {
        (void)membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
        return false;
    }
    return s->ring.ring == SHMQ_RING_SPSC;
}

void shmqi_sleep_begin(struct shmqi_sleep *sl, struct shmqi_segment *s,
    uint32_t idx, enum shmqi_waiting what)
{
    sl->segment = s;
    sl->idx = idx;
    sl->value = shmqi_sleep_announce(&s->ring, idx, what);
    sl->settle = must_settle(s);
}

int shmqi_sleep_commit(struct shmqi_sleep *sl, uint64_t ns, uint64_t deadline)
{
    struct shmqi_endpoint_shm *e = &sl->segment->ring.endpoints[sl->idx];
    if (ns > SHMQI_NAP_MAX_NS)
        ns = SHMQI_NAP_MAX_NS;
    if (deadline != SHMQ_FOREVER) {
        uint64_t now = shmqi_now_monotonic();
        uint64_t left = deadline > now ? deadline - now : 0;
        if (left < ns)
            ns = left;
    }
    int err = ns ? futex_wait(&e->wake, sl->value, ns) : 0;
    return err == EINTR ? SHMQ_ERR_INTR : SHMQ_OK;
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef FUTEX_32
#define FUTEX_32 2
struct futex_waitv {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};
#endif

int shmqi_sleep_commit_any(
    struct shmqi_sleep *sl, uint32_t cnt, uint64_t ns, uint64_t deadline)
{
    struct futex_waitv all[SHMQI_SLEEP_ANY_MAX];
    uint64_t until =
        shmqi_now_monotonic() + (ns < SHMQI_NAP_MAX_NS ? ns : SHMQI_NAP_MAX_NS);
    if (until > deadline)
        until = deadline;
    struct timespec ts = {
        (time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    memset(all, 0, cnt * sizeof *all);
    for (uint32_t i = 0; i < cnt; i++) {
        all[i].val = sl[i].value;
        all[i].uaddr =
            (uintptr_t)&sl[i].segment->ring.endpoints[sl[i].idx].wake;
        all[i].flags = FUTEX_32;
    }
    if (cnt == 0) {
        int err = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        return err == EINTR ? SHMQ_ERR_INTR : SHMQ_OK;
    }
    if (syscall(SYS_futex_waitv, all, cnt, 0, &ts, CLOCK_MONOTONIC) >= 0 ||
        errno == EAGAIN || errno == ETIMEDOUT)
        return SHMQ_OK;
    return errno == EINTR ? SHMQ_ERR_INTR : SHMQ_ERR_SYS;
}

void shmqi_sleep_end(struct shmqi_segment *s, uint32_t idx)
{
    shmqi_sleep_over(&s->ring, idx);
}

/* -- pollable descriptor
 * ------------------------------------------------------*/

static int poll_add(int epoll_fd, int fd)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof ev);
    ev.events = EPOLLIN;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* The timer, and the descriptor above both. */
static int poll_open_fds(struct shmqi_poll *p)
{
    p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->timer_fd < 0 || p->epoll_fd < 0)
        return -1;
    if (poll_add(p->epoll_fd, p->fifo_fd) != 0)
        return -1;
    return poll_add(p->epoll_fd, p->timer_fd);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int shmqi_bell_open(
    struct shmqi_poll *p, struct shmqi_segment *s, uint64_t identity)
{
    char path[256];
    shmqi_doorbell_path(path, s, identity);
    p->epoll_fd = p->fifo_fd = p->timer_fd = -1;
    p->armed = false;
    if (mkfifo(path, 0600) == 0) {
        p->fifo_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (p->fifo_fd >= 0 && fchmod(p->fifo_fd, s->control_mode) == 0)
            return SHMQ_OK;
    }
    int err = errno;
    shmqi_poll_close(p, s, identity);
    return shmqi_fail_sys(err, "%s: cannot make a doorbell", s->topic);
}

int shmqi_poll_open(struct shmqi_poll *p, struct shmqi_segment *s)
{
    if (p->epoll_fd >= 0 || poll_open_fds(p) == 0)
        return SHMQ_OK;
    int err = errno;
    close_fd(&p->epoll_fd);
    close_fd(&p->timer_fd);
    return shmqi_fail_sys(err, "%s: cannot make a descriptor", s->topic);
}

void shmqi_poll_close(
    struct shmqi_poll *p, struct shmqi_segment *s, uint64_t identity)
{
    char path[256];
    shmqi_doorbell_path(path, s, identity);
    close_fd(&p->epoll_fd);
    close_fd(&p->timer_fd);
    close_fd(&p->fifo_fd);
    (void)unlink(path);
}

static void set_timer(int fd, uint64_t ns)
{
    struct itimerspec t;
    memset(&t, 0, sizeof t);
    t.it_value.tv_sec = (time_t)(ns / 1000000000u);
    t.it_value.tv_nsec = (long)(ns % 1000000000u);
    (void)timerfd_settime(fd, 0, &t, NULL);
}

bool shmqi_bell_arm(struct shmqi_segment *s, uint32_t idx)
{
    shmqi_poll_announce(&s->ring, idx);
    return must_settle(s);
}

void shmqi_bell_heard(const struct shmqi_poll *p)
{
    char drop[64];
    while (read(p->fifo_fd, drop, sizeof drop) == (ssize_t)sizeof drop)
        ;
}

bool shmqi_poll_arm(
    struct shmqi_poll *p, struct shmqi_segment *s, uint32_t idx, uint64_t ns)
{
    bool settle = shmqi_bell_arm(s, idx);
    set_timer(p->timer_fd, ns);
    p->armed = true;
    return settle;
}

int shmqi_poll_wait(struct shmqi_poll *p, int pidfd, uint64_t deadline)
{
    struct pollfd fds[2] = {{p->epoll_fd, POLLIN, 0}, {pidfd, POLLIN, 0}};
    uint64_t ns = SHMQI_NAP_MAX_NS, now = shmqi_now_monotonic();
    if (deadline < now + ns)
        ns = deadline > now ? deadline - now : 0;
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    if (ppoll(fds, 2, &ts, NULL) < 0 && errno == EINTR)
        return SHMQ_ERR_INTR;
    return SHMQ_OK;
}

void shmqi_poll_disarm(
    struct shmqi_poll *p, struct shmqi_segment *s, uint32_t idx)
{
    (void)shmqi_bell_take(&s->ring, idx);
    shmqi_bell_heard(p);
    set_timer(p->timer_fd, 0);
    p->armed = false;
}
