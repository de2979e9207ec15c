/* waitset.c - one wait for many consumers.
 *
 * Sleeping: every consumer announces itself, then all are looked at once more,
 * then futex_waitv(2) on all their futex words, which were read before. The
 * argument against lost wakes is that of one consumer (wait.h), for each; and
 * every sleep is bounded. Without futex_waitv the consumers' descriptors are
 * polled. */
#define _GNU_SOURCE
#include <shmq/waitset.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "consumer_impl.h"
#include "error.h"
#include "process.h"
#include "reap.h"

#define SPIN_DEFAULT_NS 20000u
#define REAP_NAPS 16u

struct shmq_waitset {
    struct shmq_consumer **all;
    struct shmqi_sleep *sleeps; /* one for each */
    uint32_t cnt, cap;
    uint32_t next; /* who is asked first */
    uint32_t generation;
    bool by_descriptors;
    int epoll_fd; /* -1: not asked for */
    uint64_t spin_ns;
};

int shmq_waitset_open(
    const struct shmq_waitset_options *options, struct shmq_waitset **ret)
{
    if (!ret ||
        (options &&
            (options->struct_bytes != sizeof *options ||
                (options->flags & ~(uint32_t)SHMQ_WAITSET_DESCRIPTORS))))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "wait set: no place for it, or options are not legal");
    struct shmq_waitset *w = calloc(1, sizeof *w);
    if (!w || !shmqi_generation()) {
        free(w);
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    }
    w->generation = shmqi_generation();
    w->epoll_fd = -1;
    w->spin_ns =
        options && options->spin_ns ? options->spin_ns : SPIN_DEFAULT_NS;
    w->by_descriptors = options && (options->flags & SHMQ_WAITSET_DESCRIPTORS);
    *ret = w;
    return SHMQ_OK;
}

void shmq_waitset_close(struct shmq_waitset *w)
{
    if (!w)
        return;
    if (w->epoll_fd >= 0)
        (void)close(w->epoll_fd);
    free(w->all);
    free(w->sleeps);
    free(w);
}

static int usable(const struct shmq_waitset *w)
{
    if (!w)
        return shmqi_fail(SHMQ_ERR_INVAL, "wait set: none given");
    return shmqi_same_process(w->generation)
        ? SHMQ_OK
        : shmqi_fail(SHMQ_ERR_FORKED,
              "wait set: it belongs to the parent process; open one in the "
              "child");
}

/* -- members of the set
 * ---------------------------------------------------------
 */

static uint32_t find(
    const struct shmq_waitset *w, const struct shmq_consumer *c)
{
    uint32_t i = 0;
    while (i < w->cnt && w->all[i] != c)
        i++;
    return i;
}

static int reserve(struct shmq_waitset *w)
{
    if (w->cnt < w->cap)
        return SHMQ_OK;
    uint32_t cap = w->cap ? w->cap * 2 : 8;
    struct shmq_consumer **all = realloc(w->all, cap * sizeof *all);
    if (all)
        w->all = all;
    struct shmqi_sleep *sleeps = realloc(w->sleeps, cap * sizeof *sleeps);
    if (sleeps)
        w->sleeps = sleeps;
    if (!all || !sleeps)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    w->cap = cap;
    return SHMQ_OK;
}

/* Puts a consumer's descriptor under the set's. */
static int join_descriptor(struct shmq_waitset *w, struct shmq_consumer *c)
{
    struct epoll_event ev;
    int fd;
    int rc = shmq_consumer_fd(c, &fd);
    if (rc)
        return rc;
    memset(&ev, 0, sizeof ev);
    ev.events = EPOLLIN;
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        return shmqi_fail_sys(errno, "wait set: cannot wait for a descriptor");
    return SHMQ_OK;
}

int shmq_waitset_add(struct shmq_waitset *w, struct shmq_consumer *c)
{
    int rc = usable(w);
    if (rc == SHMQ_OK && !c)
        rc = shmqi_fail(SHMQ_ERR_INVAL, "wait set: no consumer given");
    if (rc == SHMQ_OK && find(w, c) < w->cnt)
        rc = shmqi_fail(
            SHMQ_ERR_EXISTS, "wait set: the consumer is in it already");
    if (rc == SHMQ_OK)
        rc = reserve(w);
    if (rc == SHMQ_OK && w->epoll_fd >= 0)
        rc = join_descriptor(w, c);
    if (rc)
        return rc;
    w->all[w->cnt++] = c;
    return SHMQ_OK;
}

int shmq_waitset_remove(struct shmq_waitset *w, struct shmq_consumer *c)
{
    int rc = usable(w);
    if (rc)
        return rc;
    uint32_t i = find(w, c);
    if (i == w->cnt)
        return shmqi_fail(
            SHMQ_ERR_NOENT, "wait set: the consumer is not in it");
    if (w->epoll_fd >= 0 && c->has_poll)
        (void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, c->poll.epoll_fd, NULL);
    w->cnt--;
    memmove(&w->all[i], &w->all[i + 1], (w->cnt - i) * sizeof *w->all);
    w->next = w->next > i ? w->next - 1 : w->next;
    return SHMQ_OK;
}

uint32_t shmq_waitset_count(const struct shmq_waitset *w)
{
    return w ? w->cnt : 0;
}

int shmq_waitset_fd(struct shmq_waitset *w, int *ret_fd)
{
    int rc = usable(w);
    if (rc == SHMQ_OK && !ret_fd)
        rc = shmqi_fail(SHMQ_ERR_INVAL, "wait set: no place for the fd");
    if (rc == SHMQ_OK && w->epoll_fd < 0) {
        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (w->epoll_fd < 0)
            rc = shmqi_fail_sys(errno, "wait set: cannot make a descriptor");
        for (uint32_t i = 0; rc == SHMQ_OK && i < w->cnt; i++)
            rc = join_descriptor(w, w->all[i]);
        if (rc && w->epoll_fd >= 0) {
            (void)close(w->epoll_fd);
            w->epoll_fd = -1;
        }
    }
    if (rc == SHMQ_OK)
        *ret_fd = w->epoll_fd;
    return rc;
}

/* -- receiving
 * -------------------------------------------------------------------
 */

/* Each is asked once; who gave a record is asked last next time. */
static int look(struct shmq_waitset *w, struct shmq_message *ret,
    struct shmq_consumer **ret_from)
{
    int result = SHMQ_ERR_EMPTY;
    for (uint32_t i = 0; i < w->cnt; i++) {
        uint32_t at = (w->next + i) % w->cnt;
        int rc = shmq_consumer_receive(w->all[at], ret);
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        if (rc == SHMQ_ERR_LIMIT) {
            result = rc;
            continue;
        }
        w->next = (at + 1) % w->cnt;
        *ret_from = w->all[at];
        return rc;
    }
    return result;
}

int shmq_waitset_receive(struct shmq_waitset *w, struct shmq_message *ret,
    struct shmq_consumer **ret_from)
{
    struct shmq_message msg;
    int rc = usable(w);
    if (rc)
        return rc;
    if (!ret || !ret_from)
        return shmqi_fail(SHMQ_ERR_INVAL, "wait set: no place for a record");
    rc = look(w, &msg, ret_from);
    if (rc == SHMQ_OK)
        *ret = msg;
    return rc;
}

/* -- sleeping
 * --------------------------------------------------------------------
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
        rc = look(w, ret, ret_from);
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

static int poll_all(struct shmq_waitset *w, uint64_t ns, uint64_t deadline)
{
    struct pollfd pfd = {w->epoll_fd, POLLIN, 0};
    uint64_t now = shmqi_now_monotonic();
    uint64_t left = deadline > now ? deadline - now : 0;
    if (left < ns)
        ns = left;
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return ppoll(&pfd, 1, &ts, NULL) < 0 && errno == EINTR ? SHMQ_ERR_INTR
                                                           : SHMQ_OK;
}

/* One sleep with the looks around it. EMPTY: nothing yet. */
static int nap(struct shmq_waitset *w, uint32_t naps, uint64_t deadline,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    uint64_t ns = nap_of_all(w, naps, shmqi_now_monotonic());
    int rc;
    if (w->by_descriptors) {
        rc = look(w, ret, ret_from); /* arms them */
        if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_LIMIT)
            rc = poll_all(w, ns, deadline) ? SHMQ_ERR_INTR : SHMQ_ERR_EMPTY;
        return rc;
    }
    bool settle = announce(w);
    rc = last_look(w, settle, ret, ret_from);
    if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_LIMIT) {
        rc = shmqi_sleep_commit_any(w->sleeps, w->cnt, ns, deadline);
        w->by_descriptors = rc == SHMQ_ERR_SYS;
        rc = rc == SHMQ_ERR_INTR ? rc : SHMQ_ERR_EMPTY;
    }
    return rc;
}

static int sleep_until(struct shmq_waitset *w, uint64_t deadline,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    int rc = SHMQ_ERR_EMPTY, fd;
    if (w->cnt > SHMQI_SLEEP_ANY_MAX)
        w->by_descriptors = true;
    for (uint32_t naps = 0; rc == SHMQ_ERR_EMPTY; naps++) {
        if (w->by_descriptors && (rc = shmq_waitset_fd(w, &fd)) != SHMQ_OK)
            return rc;
        if (shmqi_now_monotonic() >= deadline)
            return shmqi_fail(SHMQ_ERR_TIMEOUT,
                "wait set: nothing arrived before the deadline");
        rc = nap(w, naps, deadline, ret, ret_from);
        if (rc == SHMQ_ERR_EMPTY) {
            rc = look(w, ret, ret_from);
            rc = rc == SHMQ_ERR_LIMIT ? SHMQ_ERR_EMPTY : rc;
        }
        if (naps % REAP_NAPS == REAP_NAPS - 1 && w->cnt > 0) {
            struct shmq_consumer *c = w->all[naps / REAP_NAPS % w->cnt];
            (void)shmqi_reap_all(c->segment, c->idx);
        }
    }
    return rc == SHMQ_ERR_INTR
        ? shmqi_fail(rc, "wait set: interrupted by a signal")
        : rc;
}

int shmq_waitset_receive_wait(struct shmq_waitset *w, uint64_t deadline_ns,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    struct shmq_message msg;
    int rc = shmq_waitset_receive(w, &msg, ret_from);
    if (rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_LIMIT)
        goto done;
    uint64_t start = shmqi_now_monotonic(), now = start;
    while (w->spin_ns == SHMQ_FOREVER || now - start < w->spin_ns) {
        rc = look(w, &msg, ret_from);
        if (rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_LIMIT)
            goto done;
        now = shmqi_now_monotonic();
        if (now >= deadline_ns)
            return shmqi_fail(SHMQ_ERR_TIMEOUT,
                "wait set: nothing arrived before the deadline");
    }
    rc = sleep_until(w, deadline_ns, &msg, ret_from);
    awake(w);
done:
    if (rc == SHMQ_OK)
        *ret = msg;
    return rc;
}
