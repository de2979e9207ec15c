/* watch_list.c - topics that are looked at again and again. */
#include "watch_list.h"

#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cli_clock.h"
#include "cli_mem.h"

#define DIR_SHM "/dev/shm"
enum { BUSY_FACTOR = 10, EVENT_BUF = 16 * 1024 };

static bool wanted(const struct watch_list *list, const char *name)
{
    if (list->only == NULL)
        return true;
    for (uint32_t i = 0; i < list->only_cnt; i++) {
        if (strcmp(list->only[i], name) == 0)
            return true;
    }
    return false;
}

/* Where `name` is, or would have to be put in. */
static size_t find(
    const struct watch_list *list, const char *name, bool *ret_there)
{
    size_t i = 0;
    while (i < list->cnt && strcmp(list->topics[i]->name, name) < 0)
        i++;
    *ret_there = i < list->cnt && strcmp(list->topics[i]->name, name) == 0;
    return i;
}

static void free_before(struct topic_view *before)
{
    before->topic = NULL; /* shared with `now` */
    topic_view_close(before);
}

static void topic_close(struct watch_topic *topic)
{
    free_before(&topic->before);
    topic_view_close(&topic->now);
    topic->is_open = false;
}

static struct watch_topic *put_in(
    struct watch_list *list, size_t at, const char *name)
{
    struct watch_topic *topic = cli_alloc(1, sizeof(*topic));
    size_t len = strlen(name) + 1;
    topic->name = cli_alloc(len, 1);
    memcpy(topic->name, name, len);
    cli_grow(&list->topics, &list->cap, list->cnt + 1, sizeof(*list->topics));
    memmove(&list->topics[at + 1], &list->topics[at],
        (list->cnt - at) * sizeof(*list->topics));
    list->topics[at] = topic;
    list->cnt++;
    return topic;
}

static void take_out(struct watch_list *list, size_t at)
{
    struct watch_topic *topic = list->topics[at];
    topic_close(topic);
    free(topic->name);
    free(topic);
    list->cnt--;
    memmove(&list->topics[at], &list->topics[at + 1],
        (list->cnt - at) * sizeof(*list->topics));
}

/* A look at one topic: what was seen last time is kept for comparing. The
 * first look compares with nothing at all. */
static void look_at(struct watch_list *list, struct watch_topic *topic)
{
    struct topic_view next;
    if (!topic->is_open) {
        topic->open_rc = topic_view_attach(list->ns, topic->name, &topic->now);
        topic->is_open = topic->open_rc == SHMQ_OK;
        topic->now_ns = 0;
        if (!topic->is_open) {
            topic_view_close(&topic->now);
            return;
        }
    }
    memset(&next, 0, sizeof(next));
    next.topic = topic->now.topic;
    next.attrs = topic->now.attrs;
    next.stat.struct_bytes = sizeof(next.stat);
    if (topic_view_look(&next) != SHMQ_OK) {
        free_before(&next);
        return; /* damaged, or out of memory: shown as it was */
    }
    free_before(&topic->before);
    topic->before = topic->now;
    topic->before_ns = topic->now_ns;
    topic->now = next;
    topic->now_ns = cli_now_ns();
    if (list->looked != NULL)
        list->looked(list->ctx, topic);
}

static void appear(struct watch_list *list, const char *name)
{
    bool there;
    size_t at = find(list, name, &there);
    if (there)
        return;
    struct watch_topic *topic = put_in(list, at, name);
    if (list->appeared != NULL)
        list->appeared(list->ctx, name);
    look_at(list, topic);
}

/* Its memory is still mapped: what happened to the last is seen. */
static void vanish(struct watch_list *list, const char *name)
{
    bool there;
    size_t at = find(list, name, &there);
    if (!there)
        return;
    if (list->topics[at]->is_open)
        look_at(list, list->topics[at]);
    if (list->vanished != NULL)
        list->vanished(list->ctx, list->topics[at]);
    take_out(list, at);
}

static int collect(void *ctx, const char *name)
{
    struct watch_list *list = ctx;
    if (wanted(list, name))
        appear(list, name);
    return 0;
}

static int find_name(void *ctx, const char *name)
{
    return strcmp(ctx, name) == 0;
}

/* Compares with what is there now. */
static int list_topics(struct watch_list *list)
{
    for (size_t i = list->cnt; i > 0; i--) {
        struct watch_topic *t = list->topics[i - 1];
        if (shmq_topic_list(list->ns, find_name, t->name) == 0 ||
            (t->is_open && shmq_topic_check(t->now.topic) != SHMQ_OK))
            vanish(list, t->name);
    }
    int rc = shmq_topic_list(list->ns, collect, list);
    return rc < 0 ? cli_fail_rc(rc, "topics") : CLI_DONE;
}

/* -- inotify --------------------------------------------------------------- */

/* The first listing may know already what inotify tells now. */
static bool is_listed(const struct watch_list *list, const char *name)
{
    bool there;
    (void)find(list, name, &there);
    return there;
}

static bool take_event(
    struct watch_list *list, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        return false;
    size_t len = strlen(list->prefix);
    if (event->len == 0 || strncmp(event->name, list->prefix, len) != 0 ||
        !wanted(list, event->name + len))
        return true;
    if (event->mask & (IN_DELETE | IN_MOVED_FROM))
        vanish(list, event->name + len);
    else if (!is_listed(list, event->name + len))
        appear(list, event->name + len);
    return true;
}

/* False: it lost count, or there is none. */
static bool drain_inotify(struct watch_list *list)
{
    alignas(struct inotify_event) char buf[EVENT_BUF];
    bool good = list->inotify_fd >= 0;
    while (good) {
        ssize_t got = read(list->inotify_fd, buf, sizeof(buf));
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const void *)(buf + at);
            good &= take_event(list, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    return good;
}

static void open_inotify(struct watch_list *list)
{
    list->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (list->inotify_fd >= 0 &&
        inotify_add_watch(list->inotify_fd, DIR_SHM,
            IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO) < 0) {
        close(list->inotify_fd);
        list->inotify_fd = -1;
    }
}

/* -- public ---------------------------------------------------------------- */

/* The library checks the namespace; without one it is the environment's. */
static void make_prefix(struct watch_list *list)
{
    const char *ns = list->ns;
    if (ns == NULL)
        ns = getenv("SHMQ_NAMESPACE");
    if (ns == NULL || ns[0] == '\0')
        ns = "default";
    snprintf(list->prefix, sizeof(list->prefix), "shmq.%s.d.", ns);
}

int watch_list_begin(struct watch_list *list)
{
    void (*appeared)(void *, const char *) = list->appeared;
    void (*looked)(void *, const struct watch_topic *) = list->looked;
    make_prefix(list);
    open_inotify(list);
    list->appeared = NULL;
    list->looked = NULL;
    int status = list_topics(list);
    list->appeared = appeared;
    list->looked = looked;
    list->next_ns = cli_now_ns() + list->interval_ns;
    return status;
}

int watch_list_check(const struct watch_list *list)
{
    int status = CLI_DONE;
    for (uint32_t i = 0; status == CLI_DONE && i < list->only_cnt; i++) {
        struct shmq_topic *topic = NULL;
        int rc = shmq_topic_open(list->ns, list->only[i], &topic);
        if (rc == SHMQ_ERR_INVAL)
            status = cli_fail_rc(rc, list->only[i]);
        shmq_topic_close(topic);
    }
    return status;
}

bool watch_list_has(const struct watch_list *list, const char *name)
{
    bool there;
    (void)find(list, name, &there);
    return there;
}

void watch_list_end(struct watch_list *list)
{
    while (list->cnt > 0)
        take_out(list, list->cnt - 1);
    free(list->topics);
    if (list->inotify_fd >= 0)
        close(list->inotify_fd);
    list->topics = NULL;
    list->inotify_fd = -1;
}

int watch_list_look(struct watch_list *list)
{
    uint64_t begin = cli_now_ns();
    int status = CLI_DONE;
    if (!drain_inotify(list))
        status = list_topics(list);
    for (size_t i = 0; i < list->cnt; i++)
        look_at(list, list->topics[i]);
    uint64_t now = cli_now_ns(), pause = (now - begin) * BUSY_FACTOR;
    list->next_ns =
        now + (pause > list->interval_ns ? pause : list->interval_ns);
    return status;
}

void watch_list_wait(struct watch_list *list, uint64_t deadline_ns)
{
    struct pollfd pfd = {list->inotify_fd, POLLIN, 0};
    uint64_t now = cli_now_ns();
    uint64_t until = cli_sooner(list->next_ns, deadline_ns);
    if (now >= until)
        return;
    struct timespec ts = {(time_t)((until - now) / 1000000000),
        (long)((until - now) % 1000000000)};
    if (ppoll(&pfd, list->inotify_fd >= 0 ? 1 : 0, &ts, NULL) > 0)
        (void)drain_inotify(list);
}
