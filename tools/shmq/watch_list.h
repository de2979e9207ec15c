/* watch_list.h - the topics of a namespace, looked at again and again by `top`
 * and `events`.
 *
 * The topics that came and went are learnt from inotify on /dev/shm, so one
 * that lived for an instant is told, too; without inotify, or after it lost
 * count, from listings. A look that takes long makes the next one come later:
 * looking never takes more than a tenth of a core. */
#ifndef SHMQ_CLI_WATCH_LIST_H
#define SHMQ_CLI_WATCH_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topic_view.h"

struct watch_topic {
    char *name;
    struct topic_view now;
    struct topic_view before; /* its topic is not its own */
    uint64_t now_ns; /* CLOCK_MONOTONIC of the looks */
    uint64_t before_ns;
    bool is_open; /* else: not there yet, or not readable */
    int open_rc; /* why not */
};

struct watch_list {
    const char *ns;
    const char *const *only; /* names to watch; NULL: all */
    uint32_t only_cnt;
    struct watch_topic **topics; /* in the order of their names */
    size_t cnt, cap;
    int inotify_fd; /* -1: none */
    char prefix[64];
    uint64_t interval_ns;
    uint64_t next_ns; /* of the next look */

    /* Called as topics come and go after watch_list_begin(), and after each
     * look at one; may be NULL. */
    void (*appeared)(void *ctx, const char *name);
    void (*vanished)(void *ctx, const struct watch_topic *topic);
    void (*looked)(void *ctx, const struct watch_topic *topic);
    void *ctx;
};

/* Whether all that was asked for may be names of topics, whether they are there
 * or not. Returns an exit status and has told a failure. */
int watch_list_check(const struct watch_list *list);

/* Whether topic `name` is there and looked at. */
bool watch_list_has(const struct watch_list *list, const char *name);

/* Starts watching and looks once, without calling anybody. Returns an exit
 * status and has told a failure; end in any case. */
int watch_list_begin(struct watch_list *list);
void watch_list_end(struct watch_list *list);

/* Looks at everything now. Returns an exit status. */
int watch_list_look(struct watch_list *list);

/* Waits until the next look is due, a topic comes or goes, `deadline_ns`, or a
 * signal. */
void watch_list_wait(struct watch_list *list, uint64_t deadline_ns);

#endif
