/* daemon.h - what shmqd is made of: one thread, one run loop, bounded work per
 * turn.
 *
 *     ring --drain--> staging --store--> segment files
 *                                 |
 *     watermarks <----------------+--> journal of groups
 *
 * Parts: topics.c (which there are), topics_config.c (those of the settings),
 * topic.c (one: from log and ring to serving), topic_drain.c (its records),
 * topic_groups.c (its groups' places), topic_keep.c (its history's length),
 * journal.c (the log of places), control_socket.c and control_ask.c (what
 * clients ask), reaper.c (the dead), loop.c (whose turn it is), confine.c (what
 * it may not do).
 *
 * Killed anywhere: the ring keeps what was published, the log what was
 * acknowledged; the next daemon goes on. Stopped: producers go on until the
 * ring is full. */
#ifndef SHMQD_DAEMON_H
#define SHMQD_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "drain.h"
#include "service/settings.h"
#include "storage/topic_log.h"

struct shmqd_topic;
struct shmqd_control;
struct shmqd_reaper;
struct shmqd_journal;

enum {
    SHMQD_PATH_MAX = 1024,
    SHMQD_TOPICS_MAX = 4096,
};

/* The daemon. Belongs to the run loop's thread. */
struct shmqd {
    const struct shmqs_settings *settings;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    char dir[SHMQD_PATH_MAX];
    struct shmqd_store *store;
    struct shmqd_topic **topics; /* in order of their names */
    uint32_t topic_cnt;
    const char **unmade; /* names of the settings' topics that could not be
                            made at start */
    uint32_t unmade_cnt;
    struct shmqd_control *control;
    struct shmqd_reaper *reaper;
    struct shmqd_journal *journal;
    int epoll_fd;
    int signal_fd;
    int space_lock_fd; /* of the namespace */
    uint64_t started_ns;
    bool stopping;
    uint64_t fed_ns; /* last look at the rings */
    uint64_t fed_records; /* taken in that look */
    uint32_t fed_first; /* topic that it began with */
    bool crowded; /* more than a few were taken when some were */
};

/* CLOCK_MONOTONIC in ns. */
uint64_t shmqd_clock_ns(void);

/* What an epoll event is about: the kind in the upper half of its data, a
 * number of the kind's own in the lower one. */
enum shmqd_event {
    SHMQD_EVENT_SIGNAL = 1,
    SHMQD_EVENT_STORE = 2,
    SHMQD_EVENT_LISTEN = 3,
    SHMQD_EVENT_ASKER = 4,
    SHMQD_EVENT_TOPIC = 5,
    SHMQD_EVENT_DEATH = 6,
};
/* Watches `fd` for input; returns 0 or -1 with errno. */
int shmqd_watch(
    struct shmqd *daemon, int fd, enum shmqd_event kind, uint32_t number);
void shmqd_unwatch(struct shmqd *daemon, int fd);

#endif
