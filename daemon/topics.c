/* topics.c - which topics there are; making and removing them. */
#include "topics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <shmq.h>

#include "journal.h"
#include "service/service_log.h"

enum { META_ROOM = 4096 };
#define SETTLE_NS 10000000000ull /* longest wait of a start for a slow disk */

static struct shmqd_topic *add(struct shmqd *daemon, const char *name,
    const uint8_t uuid[16], const struct shmqd_meta *meta)
{
    static uint32_t last_number;
    if (daemon->topic_cnt == SHMQD_TOPICS_MAX)
        return NULL;
    struct shmqd_topic *topic = calloc(1, sizeof(*topic));
    struct shmqd_topic **list = realloc(
        daemon->topics, (daemon->topic_cnt + 1) * sizeof(struct shmqd_topic *));
    if (list != NULL)
        daemon->topics = list;
    if (topic == NULL || list == NULL) {
        free(topic);
        return NULL;
    }
    topic->daemon = daemon;
    topic->drain_fd = -1;
    topic->number = ++last_number;
    memcpy(topic->uuid, uuid, sizeof(topic->uuid));
    snprintf(topic->name, sizeof(topic->name), "%s", name);
    if (meta != NULL)
        shmqd_meta_copy(&topic->meta, meta);
    uint32_t at = daemon->topic_cnt++;
    for (; at > 0 && strcmp(list[at - 1]->name, name) > 0; at--)
        list[at] = list[at - 1];
    list[at] = topic;
    return topic;
}

static void drop(struct shmqd_topic *topic)
{
    struct shmqd *daemon = topic->daemon;
    uint32_t at = 0;
    while (daemon->topics[at] != topic)
        at++;
    daemon->topic_cnt--;
    for (; at < daemon->topic_cnt; at++)
        daemon->topics[at] = daemon->topics[at + 1];
    shmqd_topic_places_free(topic);
    free(topic);
}

struct shmqd_topic *shmqd_topics_find(struct shmqd *daemon, const char *name)
{
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        if (strcmp(daemon->topics[i]->name, name) == 0)
            return daemon->topics[i];
    }
    return NULL;
}

static void take_meta(void *ctx, const uint8_t uuid[16], const char *name,
    const char *text, size_t len)
{
    struct shmqd *daemon = ctx;
    struct shmqd_meta meta;
    if (shmqd_topics_find(daemon, name) != NULL) {
        shmqs_log_about(SHMQS_ERROR, "topic", name,
            "the data directory holds two topics of this name; one is served");
        return;
    }
    bool known = shmqd_meta_decode(text, len, &meta) == 0 &&
        meta.attrs.durability != SHMQ_DURABILITY_NONE;
    struct shmqd_topic *topic = add(daemon, name, uuid, known ? &meta : NULL);
    if (topic == NULL)
        shmqs_log_about(
            SHMQS_ERROR, "topic", name, "not served: too many, or no memory");
    else if (!known)
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            "its description is of a later version of shmqd");
}

static void tell_damaged(void *ctx, const char *dir_name, bool without)
{
    (void)ctx;
    if (without) {
        shmqs_log(SHMQS_WARNING,
            "topics/%s of the data directory holds segments and no "
            "description: what is left of a topic whose removal was cut short, "
            "or of one that lost its description; shmq log dump reads it, rm "
            "-r "
            "frees its space",
            dir_name);
        return;
    }
    shmqs_log(SHMQS_ERROR,
        "topics/%s of the data directory has a damaged description and is not "
        "served; see shmq log",
        dir_name);
}

int shmqd_topics_open(struct shmqd *daemon)
{
    int rc = shmqd_meta_list(daemon->store, take_meta, tell_damaged, daemon);
    if (rc != 0)
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_FAILED,
            daemon->dir, "%s", shmqd_store_error(daemon->store));
    shmqd_journal_prune(daemon->journal);
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        if (shmqd_topic_is_known(daemon->topics[i]))
            shmqd_topic_open(daemon->topics[i]);
    }
    return 0;
}

/* Some topic gets there by itself: no room is missing, its disk is at work. */
static bool some_begin(struct shmqd *daemon)
{
    bool some = false;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        struct shmqd_log_status status;
        if (topic->state != SHMQD_TOPIC_BEGINS)
            continue;
        shmqd_topic_go_on(topic);
        if (topic->state != SHMQD_TOPIC_BEGINS)
            continue;
        shmqd_log_status(topic->log, &status);
        some |= !status.ready && status.state != SHMQD_LOG_NO_SPACE;
    }
    return some;
}

void shmqd_topics_settle(struct shmqd *daemon)
{
    uint64_t end_ns = shmqd_clock_ns() + SETTLE_NS;
    while (some_begin(daemon) && shmqd_clock_ns() < end_ns)
        (void)shmqd_store_turn(daemon->store, 1000000);
}

/* Files of other users it can neither make nor lock, sandbox or not. */
static bool tell_owner(const char *name, const struct shmq_topic_attrs *attrs,
    char *text, size_t text_room)
{
    if ((attrs->flags & SHMQ_TOPIC_OWNER) && attrs->owner != geteuid())
        snprintf(text, text_room,
            "%s: the files of a durable topic belong to the user that shmqd "
            "runs as (uid %u); leave --owner out and let others in by --mode "
            "and --group-owner, or run shmqd as that user",
            name, (unsigned)geteuid());
    else if (attrs->flags & SHMQ_TOPIC_GROUP_OWNER)
        snprintf(text, text_room,
            "%s: the user that shmqd runs as (uid %u) is not in group %u; add "
            "it to that group and restart shmqd, or leave --group-owner out",
            name, (unsigned)geteuid(), (unsigned)attrs->group_owner);
    else
        return false;
    return true;
}

static int make_checked(struct shmqd *daemon, const char *name,
    const struct shmqd_meta *meta, char *text, size_t text_room)
{
    uint8_t uuid[16];
    char written[META_ROOM];
    size_t len = shmqd_meta_encode(meta, written, sizeof(written));
    if (len == 0 || getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid)) {
        snprintf(text, text_room, "%s: cannot be described", name);
        return SHMQ_ERR_SYS;
    }
    struct shmqd_topic *topic = add(daemon, name, uuid, meta);
    if (topic == NULL) {
        snprintf(text, text_room, "%s: too many topics, or no memory", name);
        return SHMQ_ERR_LIMIT;
    }
    int rc = shmqd_meta_write(daemon->store, uuid, name, written, len);
    if (rc != 0) {
        snprintf(
            text, text_room, "%s: %s", name, shmqd_store_error(daemon->store));
        drop(topic);
        return rc;
    }
    shmqd_topic_open(topic);
    if (topic->state == SHMQD_TOPIC_SERVED)
        return 0;
    rc = topic->why_rc != 0 ? topic->why_rc : SHMQ_ERR_SYS;
    if (rc != SHMQ_ERR_PERM || !tell_owner(name, &meta->attrs, text, text_room))
        snprintf(text, text_room, "%s: %s", name, topic->why);
    bool has_ring = topic->state == SHMQD_TOPIC_FAILED;
    (void)shmqd_topic_close(topic, false);
    if (has_ring)
        (void)shmq_topic_unlink(daemon->ns, name, SHMQ_UNLINK_FORCE);
    (void)shmqd_meta_remove(daemon->store, uuid);
    drop(topic);
    return rc;
}

int shmqd_topics_make(struct shmqd *daemon, const char *name,
    const struct shmqd_meta *meta, char *text, size_t text_room)
{
    struct shmqi_durable_info info;
    if (shmqd_topics_find(daemon, name) != NULL) {
        snprintf(text, text_room, "%s: exists already", name);
        return SHMQ_ERR_EXISTS;
    }
    struct shmqd_meta full;
    shmqd_meta_copy(&full, meta);
    int rc = shmqd_meta_complete(name, &full);
    if (rc == 0) {
        rc = shmqi_durable_look(daemon->ns, name, &info);
        rc = rc == 0 ? SHMQ_ERR_EXISTS : rc == SHMQ_ERR_NOENT ? 0 : rc;
        if (rc == SHMQ_ERR_EXISTS)
            snprintf(text, text_room,
                "%s: exists already, and is none of shmqd's", name);
    }
    if (rc != 0) {
        if (rc != SHMQ_ERR_EXISTS)
            snprintf(text, text_room, "%s", shmq_error_text());
        return rc;
    }
    return make_checked(daemon, name, &full, text, text_room);
}

/* Names those who use it; found before anything is let go. */
static bool is_used(struct shmqd_topic *topic, char *text, size_t text_room)
{
    int32_t pids[16];
    uint32_t cnt = shmqi_drain_pids(topic->drain, pids, 16);
    int n = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        if (pids[i] == (int32_t)getpid())
            continue;
        if (n == 0)
            n = snprintf(text, text_room, "%s: in use by pid", topic->name);
        if (n > 0 && (size_t)n < text_room)
            n += snprintf(text + n, text_room - (size_t)n, " %d", (int)pids[i]);
    }
    if (n > 0 && (size_t)n < text_room)
        (void)snprintf(
            text + n, text_room - (size_t)n, "; end them, or use --force");
    return n > 0;
}

/* The ring first: whoever uses it gets CLOSED. Killed between the two: the
 * topic is there again, with its history, and can be removed again. */
int shmqd_topics_remove(struct shmqd *daemon, const char *name, uint32_t flags,
    char *text, size_t text_room)
{
    struct shmqd_topic *topic = shmqd_topics_find(daemon, name);
    if (topic == NULL) {
        snprintf(text, text_room, "%s: no such durable topic", name);
        return SHMQ_ERR_NOENT;
    }
    bool has_ring = topic->drain != NULL;
    if (has_ring && (flags & SHMQ_UNLINK_FORCE) == 0 &&
        is_used(topic, text, text_room))
        return SHMQ_ERR_BUSY;
    (void)shmqd_topic_close(topic, false);
    int rc = has_ring ? shmq_topic_unlink(daemon->ns, name, flags) : 0;
    if (rc != 0 && rc != SHMQ_ERR_NOENT) {
        snprintf(text, text_room, "%s", shmq_error_text());
        shmqd_topic_open(topic);
        return rc;
    }
    shmqd_journal_forget(daemon->journal, topic->uuid);
    rc = shmqd_meta_remove(daemon->store, topic->uuid);
    if (rc != 0) {
        snprintf(
            text, text_room, "%s: %s", name, shmqd_store_error(daemon->store));
        if (shmqd_topic_is_known(topic))
            shmqd_topic_open(topic);
        return rc;
    }
    shmqs_log_about(SHMQS_INFO, "topic", name, "removed with its history");
    drop(topic);
    return 0;
}

void shmqd_topics_retry(struct shmqd *daemon, uint64_t now_ns)
{
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        if (topic->state != SHMQD_TOPIC_SERVED &&
            topic->state != SHMQD_TOPIC_BEGINS && now_ns >= topic->retry_ns &&
            shmqd_topic_is_known(topic)) {
            topic->retry_ns = now_ns + 1000000000;
            shmqd_topic_open(topic);
        }
    }
}

bool shmqd_topics_close(struct shmqd *daemon, bool clean)
{
    bool all = true;
    while (daemon->topic_cnt > 0) {
        struct shmqd_topic *topic = daemon->topics[daemon->topic_cnt - 1];
        if (topic->state == SHMQD_TOPIC_SERVED) {
            all &= shmqd_topic_close(topic, clean);
        } else if (topic->state == SHMQD_TOPIC_BEGINS) {
            all &= topic->drain == NULL; /* a ring may hold something */
            (void)shmqd_topic_close(topic, false);
        } else {
            all &= topic->state == SHMQD_TOPIC_LEFT_ALONE;
        }
        drop(topic);
    }
    free(daemon->topics);
    daemon->topics = NULL;
    free(daemon->unmade);
    daemon->unmade = NULL;
    daemon->unmade_cnt = 0;
    return all;
}
