/* topic_view.c - snapshots of a topic, its groups and its endpoints. */
#include "topic_view.h"

#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"
#include "lib.h"

enum { ROOM = 32, TRIES = 8 };

/* Groups and endpoints come and go while we look: try with what the last call
 * said there are, a bounded number of times. */
static int load_groups(struct topic_view *view)
{
    uint32_t cap = ROOM, cnt = 0;
    struct shmq_group_stat *groups = NULL;
    int rc = SHMQ_OK;
    for (int i = 0; i < TRIES; i++) {
        groups = cli_alloc(cap, sizeof(*groups));
        rc = lib_topic_groups(view->topic, groups, cap, &cnt);
        if (rc != SHMQ_OK || cnt <= cap || i == TRIES - 1)
            break;
        free(groups);
        cap = cnt;
    }
    if (rc != SHMQ_OK) {
        free(groups);
        return rc;
    }
    free(view->groups);
    view->groups = groups;
    view->group_cnt = cnt < cap ? cnt : cap;
    return rc;
}

static int load_endpoints(struct topic_view *view)
{
    uint32_t cap = ROOM, cnt = 0;
    struct shmq_endpoint_stat *endpoints = NULL;
    int rc = SHMQ_OK;
    for (int i = 0; i < TRIES; i++) {
        endpoints = cli_alloc(cap, sizeof(*endpoints));
        rc = lib_topic_endpoints(view->topic, endpoints, cap, &cnt);
        if (rc != SHMQ_OK || cnt <= cap || i == TRIES - 1)
            break;
        free(endpoints);
        cap = cnt;
    }
    if (rc != SHMQ_OK) {
        free(endpoints);
        return rc;
    }
    free(view->endpoints);
    view->endpoints = endpoints;
    view->endpoint_cnt = cnt < cap ? cnt : cap;
    return rc;
}

int topic_view_attach(const char *ns, const char *name, struct topic_view *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->attrs.struct_bytes = sizeof(ret->attrs);
    ret->stat.struct_bytes = sizeof(ret->stat);
    int rc = lib_topic_open(ns, name, &ret->topic);
    if (rc == SHMQ_OK)
        rc = lib_topic_attrs(ret->topic, &ret->attrs);
    return rc;
}

int topic_view_look(struct topic_view *view)
{
    int rc = lib_topic_stat(view->topic, &view->stat);
    view->durable =
        !lib_is_remote() && view->attrs.durability != SHMQ_DURABILITY_NONE;
    view->marks.struct_bytes = sizeof(view->marks);
    if (rc == SHMQ_OK && view->durable)
        rc = shmq_topic_watermarks(view->topic, &view->marks);
    view->far_marks =
        lib_is_remote() && view->attrs.durability != SHMQ_DURABILITY_NONE;
    if (rc == SHMQ_OK && view->far_marks)
        rc = lib_topic_marks(
            view->topic, &view->marks.written, &view->marks.durable);
    if (rc == SHMQ_OK)
        rc = load_groups(view);
    if (rc == SHMQ_OK)
        rc = load_endpoints(view);
    return rc;
}

int topic_view_open(const char *ns, const char *name, struct topic_view *ret)
{
    int rc = topic_view_attach(ns, name, ret);
    if (rc == SHMQ_OK)
        rc = topic_view_look(ret);
    return rc == SHMQ_OK ? CLI_DONE : cli_fail_rc(rc, name);
}

void topic_view_close(struct topic_view *view)
{
    free(view->groups);
    free(view->endpoints);
    lib_topic_close(view->topic);
    memset(view, 0, sizeof(*view));
}

const char *topic_view_state(uint32_t state)
{
    static const char *const names[] = {
        "ok", "low_space", "no_space", "read_only", "failed", "degraded"};
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
