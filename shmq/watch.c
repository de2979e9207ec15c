/* watch.c - topics that come and go, by inotify on /dev/shm.
 *
 * The list of what was told is private; after an overflow of the kernel's
 * queue it is compared with a listing. A file that is just being made has a
 * name only when it is complete, so what is told can be opened. */
#define _GNU_SOURCE
#include <shmq/waitset.h>

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "error.h"
#include "files.h"
#include "process.h"

#define EVENTS_BYTES 16384

struct shmq_watch {
    char ns[SHMQ_NAMESPACE_MAX + 1];
    char prefix[SHMQ_NAMESPACE_MAX + 16];
    char pattern[SHMQ_TOPIC_MAX + 12];
    uint32_t generation;
    int fd;
    /* to be told */
    struct shmq_watch_event *queue;
    size_t first, cnt, cap;
    /* told to be there, or to be told so */
    char **there;
    size_t there_cnt, there_cap;
};

int shmq_pattern_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *back = NULL;
    if (!pattern || !name || (name[0] == '@' && pattern[0] != '@'))
        return 0;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            back = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++back;
        } else {
            return 0;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* -- what is known
 * -------------------------------------------------------------
 */

static int push(struct shmq_watch *w, uint32_t kind, const char *topic)
{
    if (w->cnt == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 32;
        struct shmq_watch_event *q = realloc(w->queue, cap * sizeof *q);
        if (!q)
            return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
        w->queue = q;
        w->cap = cap;
    }
    struct shmq_watch_event *e = &w->queue[w->cnt++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    (void)snprintf(e->topic, sizeof e->topic, "%s", topic);
    return SHMQ_OK;
}

static size_t find(const struct shmq_watch *w, const char *topic)
{
    size_t i = 0;
    while (i < w->there_cnt && strcmp(w->there[i], topic) != 0)
        i++;
    return i;
}

static int come(struct shmq_watch *w, const char *topic)
{
    if (!shmq_pattern_matches(w->pattern, topic) ||
        find(w, topic) < w->there_cnt)
        return SHMQ_OK;
    if (w->there_cnt == w->there_cap) {
        size_t cap = w->there_cap ? w->there_cap * 2 : 32;
        char **more = realloc(w->there, cap * sizeof *more);
        if (!more)
            return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
        w->there = more;
        w->there_cap = cap;
    }
    char *copy = strdup(topic);
    if (!copy)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    w->there[w->there_cnt++] = copy;
    return push(w, SHMQ_WATCH_THERE, topic);
}

static int go(struct shmq_watch *w, const char *topic)
{
    size_t i = find(w, topic);
    if (i == w->there_cnt)
        return SHMQ_OK;
    int rc = push(w, SHMQ_WATCH_GONE, topic);
    if (rc)
        return rc;
    free(w->there[i]);
    w->there[i] = w->there[--w->there_cnt];
    return SHMQ_OK;
}

static int visit(void *ctx, const char *topic)
{
    return come(ctx, topic);
}

static int same_name(void *ctx, const char *topic)
{
    return strcmp(ctx, topic) == 0;
}

/* Compares with what is there. */
static int list(struct shmq_watch *w)
{
    int rc = SHMQ_OK;
    for (size_t i = w->there_cnt; rc == SHMQ_OK && i > 0; i--)
        if (shmq_topic_list(w->ns, same_name, w->there[i - 1]) == 0)
            rc = go(w, w->there[i - 1]);
    return rc ? rc : shmq_topic_list(w->ns, visit, w);
}

/* -- inotify
 * ---------------------------------------------------------------------
 */

static int take_event(struct shmq_watch *w, const struct inotify_event *e)
{
    size_t n = strlen(w->prefix);
    if (e->mask & IN_Q_OVERFLOW)
        return list(w);
    if (e->len == 0 || strncmp(e->name, w->prefix, n) != 0 ||
        shmqi_topic_name_check(e->name + n, true) != SHMQ_OK)
        return SHMQ_OK;
    return e->mask & (IN_DELETE | IN_MOVED_FROM) ? go(w, e->name + n)
                                                 : come(w, e->name + n);
}

static int drain(struct shmq_watch *w)
{
    alignas(struct inotify_event) char buf[EVENTS_BYTES];
    for (;;) {
        ssize_t got = read(w->fd, buf, sizeof buf);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 && errno != EAGAIN
                ? shmqi_fail_sys(errno, "watch: cannot read")
                : SHMQ_OK;
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *e = (const void *)(buf + at);
            int rc = take_event(w, e);
            if (rc)
                return rc;
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
}

/* -- public
 * ----------------------------------------------------------------------
 */

static int start(struct shmq_watch *w)
{
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0 ||
        inotify_add_watch(w->fd, SHMQI_DIR,
            IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO) < 0)
        return shmqi_fail_sys(errno,
            "watch: no inotify; see sysctl "
            "fs.inotify.max_user_instances");
    return list(w);
}

int shmq_watch_open(
    const char *ns, const char *pattern, struct shmq_watch **ret)
{
    if (!ret || !pattern)
        return shmqi_fail(SHMQ_ERR_INVAL, "watch: no pattern, or no place");
    if (!*pattern || strlen(pattern) > SHMQ_TOPIC_MAX || strchr(pattern, '/'))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "pattern '%.40s': no topic can match it; use * and A-Z a-z 0-9 . "
            "_ -",
            pattern);
    struct shmq_watch *w = calloc(1, sizeof *w);
    if (!w || !shmqi_generation()) {
        free(w);
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    }
    w->generation = shmqi_generation();
    w->fd = -1;
    int rc = shmqi_namespace(ns, w->ns);
    if (rc == SHMQ_OK) {
        (void)snprintf(w->prefix, sizeof w->prefix, "shmq.%s.d.", w->ns);
        (void)strcpy(w->pattern, pattern);
        rc = start(w);
    }
    if (rc) {
        shmq_watch_close(w);
        return rc;
    }
    *ret = w;
    return SHMQ_OK;
}

void shmq_watch_close(struct shmq_watch *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    for (size_t i = 0; i < w->there_cnt; i++)
        free(w->there[i]);
    free(w->there);
    free(w->queue);
    free(w);
}

static int usable(const struct shmq_watch *w)
{
    if (!w)
        return shmqi_fail(SHMQ_ERR_INVAL, "watch: none given");
    return shmqi_same_process(w->generation)
        ? SHMQ_OK
        : shmqi_fail(
              SHMQ_ERR_FORKED, "watch: it belongs to the parent process");
}

int shmq_watch_next(struct shmq_watch *w, struct shmq_watch_event *ret)
{
    int rc = usable(w);
    if (rc == SHMQ_OK && !ret)
        rc = shmqi_fail(SHMQ_ERR_INVAL, "watch: no place for an event");
    if (rc == SHMQ_OK && w->first == w->cnt) {
        w->first = w->cnt = 0;
        rc = drain(w);
    }
    if (rc)
        return rc;
    if (w->first == w->cnt)
        return SHMQ_ERR_EMPTY;
    *ret = w->queue[w->first++];
    return SHMQ_OK;
}

int shmq_watch_fd(struct shmq_watch *w, int *ret_fd)
{
    int rc = usable(w);
    if (rc == SHMQ_OK && !ret_fd)
        rc = shmqi_fail(SHMQ_ERR_INVAL, "watch: no place for the fd");
    if (rc == SHMQ_OK)
        *ret_fd = w->fd;
    return rc;
}
