/* topic_keep.c - how much history a topic keeps. */
#include "topic.h"

#include <stdio.h>
#include <string.h>

#include <shmq.h>

#include "control.h"
#include "service/service_log.h"

/* Is `name` one of the words of "a,b,c", or is that "all"? */
static bool is_listed(const char *list, const char *name)
{
    if (strcmp(list, "all") == 0)
        return true;
    size_t name_len = strlen(name);
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        if (len == name_len && memcmp(list, name, len) == 0)
            return true;
        list += len;
        list += *list == ',';
    }
    return false;
}

static size_t listed_cnt(const char *list)
{
    size_t cnt = list[0] != '\0';
    for (; *list != '\0'; list++)
        cnt += *list == ',';
    return cnt;
}

/* What the groups that count have left behind them. */
struct floors {
    const char *list; /* "": all of them */
    uint64_t lowest;
    size_t cnt;
};

static void take_floor(void *ctx, const struct shmqi_group_place *place)
{
    struct floors *floors = ctx;
    if (floors->list[0] != '\0' && !is_listed(floors->list, place->name))
        return;
    floors->cnt++;
    if (place->floor < floors->lowest)
        floors->lowest = place->floor;
}

/* A listed group that does not exist yet has read nothing. False: nobody knows
 * just now. */
static bool look_at_floors(struct shmqd_topic *topic, struct floors *ret)
{
    ret->list = topic->meta.consumed;
    ret->lowest = UINT64_MAX;
    ret->cnt = 0;
    if (!shmqd_topic_each_group(topic, take_floor, ret))
        return false;
    bool all = ret->list[0] == '\0' || strcmp(ret->list, "all") == 0;
    if (!all && ret->cnt < listed_cnt(ret->list))
        ret->lowest = 0;
    return true;
}

bool shmqd_topic_keep(struct shmqd_topic *topic)
{
    const struct shmq_retention *retain = &topic->meta.retain;
    bool by_groups =
        topic->meta.consumed[0] != '\0' || retain->max_lag_bytes != 0;
    struct floors floors;
    struct shmqd_retention policy = {
        .bytes = retain->retain_bytes,
        .age_ns = retain->retain_age_ns,
    };
    if (by_groups && look_at_floors(topic, &floors)) {
        bool some = floors.lowest != UINT64_MAX;
        policy.consumed = some && topic->meta.consumed[0] != '\0';
        policy.max_lag_bytes = some ? retain->max_lag_bytes : 0;
        policy.consumed_pos = floors.lowest;
    }
    if (policy.bytes == 0 && policy.age_ns == 0 && policy.max_lag_bytes == 0 &&
        !policy.consumed)
        return false;
    return shmqd_log_retain(topic->log, &policy) == 1;
}

int shmqd_topic_set_retention(struct shmqd_topic *topic,
    const struct shmq_retention *change, char *text, size_t text_room)
{
    char written[4096];
    struct shmqd_meta meta;
    /* Writing what we know of it would be the end of its description. */
    if (!shmqd_topic_is_known(topic)) {
        snprintf(text, text_room, "%s: %s", topic->name, topic->why);
        return SHMQ_ERR_LAYOUT;
    }
    int rc = shmqi_retention_check(change);
    if (rc != 0) {
        snprintf(text, text_room, "%s: %s", topic->name, shmq_error_text());
        return rc;
    }
    shmqd_meta_copy(&meta, &topic->meta);
    shmqd_meta_retain(&meta, change);
    size_t len = shmqd_meta_encode(&meta, written, sizeof(written));
    if (len == 0) {
        snprintf(text, text_room, "%s: cannot be described", topic->name);
        return SHMQ_ERR_INVAL;
    }
    rc = shmqd_meta_write(
        topic->daemon->store, topic->uuid, topic->name, written, len);
    if (rc != 0) {
        snprintf(text, text_room, "%s: %s", topic->name,
            shmqd_store_error(topic->daemon->store));
        return rc;
    }
    shmqd_meta_retain(&topic->meta, change);
    topic->look_ns = 0; /* applied in the next turn */
    return 0;
}

void shmqd_topic_figures(struct shmqd_topic *topic)
{
    struct shmqd_log_status status;
    uint64_t free_bytes = 0, total_bytes;
    shmqd_log_status(topic->log, &status);
    (void)shmqd_store_space(topic->daemon->store, &free_bytes, &total_bytes);
    struct shmqi_drain_figures figures = {
        .disk_bytes = status.log_bytes,
        .segments = status.segment_cnt,
        .io_errors = status.io_error_cnt,
        .free_bytes = free_bytes,
        .retain = topic->meta.retain,
    };
    shmqi_drain_set_figures(topic->drain, &figures);
}
