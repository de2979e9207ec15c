/* reaper.c - pidfds of attached processes. */
#include "reaper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "service/service_log.h"

enum { WATCHED_MAX = 1024, PIDS_MAX = 1024 };

/* Of all descriptors that we may have, at most one in so many watches a client:
 * logs, rings and askers need some, too. */
enum { SHARE = 4 };

struct watched {
    int32_t pid; /* 0: free */
    int fd;
};

struct shmqd_reaper {
    struct watched watched[WATCHED_MAX];
    uint32_t cnt; /* entries in use or used before */
    uint32_t max;
};

int shmqd_reaper_open(struct shmqd *daemon)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    daemon->reaper = calloc(1, sizeof(*daemon->reaper));
    if (daemon->reaper == NULL)
        return -1;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    daemon->reaper->max = limit.rlim_cur / SHARE < WATCHED_MAX
        ? (uint32_t)(limit.rlim_cur / SHARE)
        : WATCHED_MAX;
    return 0;
}

static void forget(struct shmqd *daemon, struct watched *watched)
{
    shmqd_unwatch(daemon, watched->fd);
    close(watched->fd);
    watched->pid = 0;
}

void shmqd_reaper_close(struct shmqd *daemon)
{
    struct shmqd_reaper *reaper = daemon->reaper;
    if (reaper == NULL)
        return;
    for (uint32_t i = 0; i < reaper->cnt; i++) {
        if (reaper->watched[i].pid != 0)
            forget(daemon, &reaper->watched[i]);
    }
    free(reaper);
    daemon->reaper = NULL;
}

static void watch(struct shmqd *daemon, int32_t pid)
{
    struct shmqd_reaper *reaper = daemon->reaper;
    uint32_t place = reaper->cnt;
    for (uint32_t i = 0; i < reaper->cnt; i++) {
        if (reaper->watched[i].pid == pid)
            return;
        if (reaper->watched[i].pid == 0)
            place = i;
    }
    if (place >= reaper->max)
        return; /* the look each second finds them */
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    if (shmqd_watch(daemon, fd, SHMQD_EVENT_DEATH, place) != 0) {
        close(fd);
        return;
    }
    reaper->watched[place].pid = pid;
    reaper->watched[place].fd = fd;
    if (place == reaper->cnt)
        reaper->cnt++;
}

static void reap(struct shmqd_topic *topic)
{
    uint32_t cnt = shmqi_drain_reap(topic->drain);
    if (cnt != 0)
        shmqs_log_about(SHMQS_INFO, "topic", topic->name,
            "cleared away after %u dead endpoints", cnt);
}

void shmqd_reaper_look(struct shmqd *daemon, struct shmqd_topic *topic)
{
    static int32_t pids[PIDS_MAX];
    uint32_t cnt = shmqi_drain_pids(topic->drain, pids, PIDS_MAX);
    int32_t self = (int32_t)getpid();
    for (uint32_t i = 0; i < cnt; i++) {
        if (pids[i] != self)
            watch(daemon, pids[i]);
    }
    reap(topic);
}

/* The kernel frees a dead process's locks a little after its pidfd tells: what
 * cannot be reaped yet is found by the next look, which is made soon. */
void shmqd_reaper_death(struct shmqd *daemon, uint32_t number)
{
    if (number >= daemon->reaper->cnt ||
        daemon->reaper->watched[number].pid == 0)
        return;
    forget(daemon, &daemon->reaper->watched[number]);
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        if (topic->state != SHMQD_TOPIC_SERVED)
            continue;
        reap(topic);
        topic->look_ns = 0;
    }
}
