/* waitset.c - one wait for many consumers: the set, and the look at all of
 * them. How it sleeps: waitset_sleep.c. */
#include "waitset_impl.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "process.h"

#define SPIN_DEFAULT_NS 20000u

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
    shmqi_waitset_sleep_init(w);
    w->spin_ns =
        options && options->spin_ns ? options->spin_ns : SPIN_DEFAULT_NS;
    w->by_bells = options && (options->flags & SHMQ_WAITSET_DESCRIPTORS);
    *ret = w;
    return SHMQ_OK;
}

void shmq_waitset_close(struct shmq_waitset *w)
{
    if (!w)
        return;
    shmqi_waitset_sleep_close(w);
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
    if (rc == SHMQ_OK && w->bells_fd >= 0)
        rc = shmqi_bells_join(w, c);
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
    shmqi_bells_leave(w, c);
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
    if (rc == SHMQ_OK && w->epoll_fd < 0)
        rc = shmqi_waitset_fd_open(w);
    if (rc == SHMQ_OK)
        *ret_fd = w->epoll_fd;
    return rc;
}

/* -- receiving
 * -------------------------------------------------------------------
 */

int shmqi_waitset_look(struct shmq_waitset *w, struct shmq_message *ret,
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
    if (w->epoll_fd >= 0)
        shmqi_waitset_fd_heard(w);
    rc = shmqi_waitset_look(w, &msg, ret_from);
    if ((rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_LIMIT) && w->epoll_fd >= 0)
        rc = shmqi_waitset_fd_arm(w, rc, &msg, ret_from);
    if (rc == SHMQ_OK)
        *ret = msg;
    return rc;
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
        rc = shmqi_waitset_look(w, &msg, ret_from);
        if (rc != SHMQ_ERR_EMPTY && rc != SHMQ_ERR_LIMIT)
            goto done;
        now = shmqi_now_monotonic();
        if (now >= deadline_ns)
            return shmqi_fail(SHMQ_ERR_TIMEOUT,
                "wait set: nothing arrived before the deadline");
    }
    rc = shmqi_waitset_sleep(w, deadline_ns, &msg, ret_from);
done:
    if (rc == SHMQ_OK)
        *ret = msg;
    return rc;
}
