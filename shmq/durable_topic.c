/* durable_topic.c - durable topics are made, changed and removed by shmqd; this
 * is how it is asked. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <shmq/durable.h>

#include "control.h"
#include "error.h"
#include "files.h"
#include "groups.h"
#include "process.h"
#include "topic_impl.h"

/* Whoever asks how it is wants to know soon that it is stuck. */
#define STATUS_WAIT_NS 5000000000ull

static uint64_t soon(void)
{
    return shmqi_now_monotonic() + SHMQI_CONTROL_WAIT_NS;
}

static bool is_named_before(const char *list, const char *name, size_t len)
{
    for (; list < name; list += strcspn(list, ",") + 1)
        if (strcspn(list, ",") == len && memcmp(list, name, len) == 0)
            return true;
    return false;
}

static bool is_list_of_groups(const char *list)
{
    char name[SHMQ_GROUP_MAX + 1];
    const char *at = list;
    while (true) {
        size_t len = strcspn(at, ",");
        if (len >= sizeof name || is_named_before(list, at, len))
            return false;
        memcpy(name, at, len);
        name[len] = '\0';
        if (shmqi_group_name_check(name) != SHMQ_OK)
            return false;
        if (at[len] == '\0')
            return true;
        at += len + 1;
    }
}

int shmqi_retention_check(const struct shmq_retention *retention)
{
    const char *groups = retention->consumed;
    if ((retention->flags & SHMQ_RETAIN_AGE) &&
        retention->retain_age_ns > INT64_MAX)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "retention: an age of more than 292 years; 0 keeps all");
    if ((retention->flags & SHMQ_RETAIN_CONSUMED) && groups && *groups &&
        !is_list_of_groups(groups))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "retention: consumed: give all, or names of groups as "
            "GROUP,GROUP, each once and without blanks");
    return SHMQ_OK;
}

static int set_retention(
    struct shmqi_ask *ask, const struct shmq_retention *retention)
{
    const uint32_t known = SHMQ_RETAIN_BYTES | SHMQ_RETAIN_AGE |
        SHMQ_RETAIN_CONSUMED | SHMQ_MAX_LAG;
    if (!retention)
        return SHMQ_OK;
    if (retention->struct_bytes != sizeof *retention ||
        (retention->flags & ~known))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "retention: set struct_bytes, and flags of enum "
            "shmq_retention_flags");
    int rc = shmqi_retention_check(retention);
    if (rc)
        return rc;
    ask->retain = *retention;
    ask->retain.consumed = NULL;
    if (!(retention->flags & SHMQ_RETAIN_CONSUMED))
        return SHMQ_OK;
    const char *groups = retention->consumed ? retention->consumed : "";
    if (strlen(groups) >= sizeof ask->consumed)
        return shmqi_fail(SHMQ_ERR_INVAL, "retention: too many groups named");
    (void)strcpy(ask->consumed, groups);
    return SHMQ_OK;
}

/* What is said names the topic. */
static int named(const char *topic, int rc)
{
    char text[SHMQI_CONTROL_TEXT];
    size_t n = strlen(topic);
    const char *said = shmq_error_text();
    if (rc == SHMQ_OK || strncmp(said, topic, n) == 0)
        return rc;
    (void)snprintf(text, sizeof text, "%s: %s", topic, said);
    return shmqi_fail(rc, "%s", text);
}

static int set_topic(struct shmqi_ask *ask, const char *topic, bool system)
{
    int rc = shmqi_topic_name_check(topic, system);
    if (rc == SHMQ_OK)
        (void)strcpy(ask->topic, topic);
    return rc;
}

static int ask_for(const char *topic, const struct shmq_topic_attrs *attrs,
    bool system, struct shmqi_ask *ask)
{
    struct shmqi_constants_shm c;
    memset(ask, 0, sizeof *ask);
    ask->kind = SHMQI_ASK_CREATE;
    if (shmqi_generation() == 0)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    int rc = set_topic(ask, topic, system);
    if (rc == SHMQ_OK) /* what is wrong is told without a daemon, too */
        rc = shmqi_topic_constants(topic, attrs, &c);
    if (rc == SHMQ_OK && (!attrs || attrs->durability == SHMQ_DURABILITY_NONE))
        rc = shmqi_fail(
            SHMQ_ERR_INVAL, "%s: durability none; use os or disk", topic);
    if (rc)
        return rc;
    ask->attrs = *attrs;
    ask->attrs.schema = NULL;
    if (attrs->schema)
        (void)strcpy(ask->schema, attrs->schema); /* its length was checked */
    return SHMQ_OK;
}

int shmqi_topic_make_durable(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs, uint64_t answer_ns)
{
    struct shmqi_ask ask;
    int rc = ask_for(topic, attrs, true, &ask);
    return rc ? rc
              : named(topic, shmqi_control_ask_once(ns, &ask, answer_ns, NULL));
}

int shmq_topic_create_durable(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs,
    const struct shmq_retention *retention)
{
    struct shmqi_ask ask;
    int rc = ask_for(topic, attrs, false, &ask);
    if (rc == SHMQ_OK)
        rc = set_retention(&ask, retention);
    if (rc)
        return rc;
    return named(topic, shmqi_control_ask(ns, &ask, soon(), NULL));
}

int shmq_topic_set_retention(
    const char *ns, const char *topic, const struct shmq_retention *retention)
{
    struct shmqi_ask ask;
    memset(&ask, 0, sizeof ask);
    ask.kind = SHMQI_ASK_RETAIN;
    int rc = set_topic(&ask, topic, true);
    if (rc == SHMQ_OK && (!retention || retention->flags == 0))
        rc = shmqi_fail(SHMQ_ERR_INVAL, "%s: nothing to change", topic);
    if (rc == SHMQ_OK)
        rc = set_retention(&ask, retention);
    return rc ? rc : named(topic, shmqi_control_ask(ns, &ask, soon(), NULL));
}

int shmq_topic_remove_data(const char *ns, const char *topic, uint32_t flags)
{
    struct shmqi_ask ask;
    memset(&ask, 0, sizeof ask);
    ask.kind = SHMQI_ASK_REMOVE;
    ask.flags = flags;
    int rc = set_topic(&ask, topic, true);
    if (rc == SHMQ_OK && (flags & ~(uint32_t)SHMQ_UNLINK_FORCE))
        rc = shmqi_fail(SHMQ_ERR_INVAL, "remove: unknown flags");
    return rc ? rc : named(topic, shmqi_control_ask(ns, &ask, soon(), NULL));
}

int shmq_daemon_status(
    const char *ns, uint64_t deadline_ns, char *buf, uint64_t size)
{
    struct shmqi_ask ask;
    struct shmqi_answer answer;
    memset(&ask, 0, sizeof ask);
    ask.kind = SHMQI_ASK_PING;
    if (!buf || size == 0)
        return shmqi_fail(SHMQ_ERR_INVAL, "shmqd: no place for its answer");
    int rc =
        shmqi_control_ask_for(ns, &ask, deadline_ns, STATUS_WAIT_NS, &answer);
    if (rc)
        return rc;
    size_t n = strlen(answer.text);
    if (n >= size)
        n = size - 1;
    memcpy(buf, answer.text, n);
    buf[n] = '\0';
    return SHMQ_OK;
}
