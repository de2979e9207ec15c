/* inbox.c - making, recognising and clearing away inboxes. */
#include "inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "process.h"
#include "topic_impl.h"

#define ID_DIGITS 16
#define MAKE_TRIES 16
#define ENDPOINTS 80

bool shmqi_inbox_name(
    const void *name, uint32_t len, char ret[SHMQI_INBOX_ROOM])
{
    const char *text = name;
    const size_t prefix = sizeof SHMQI_INBOX_PREFIX - 1;
    if (len != prefix + ID_DIGITS ||
        memcmp(text, SHMQI_INBOX_PREFIX, prefix) != 0)
        return false;
    for (uint32_t i = (uint32_t)prefix; i < len; i++)
        if (text[i] == '\0' || !strchr("0123456789abcdef", text[i]))
            return false;
    memcpy(ret, text, len);
    ret[len] = '\0';
    return true;
}

/* -- making ------------------------------------------------------------------
 */

static uint64_t power_of_two(uint64_t at_least)
{
    uint64_t p = 4096;
    while (p < at_least && p < UINT64_C(1) << 33)
        p *= 2;
    return p;
}

static void attrs_of(const struct shmq_caller_options *o, uint32_t mode,
    struct shmq_topic_attrs *a)
{
    memset(a, 0, sizeof *a);
    a->struct_bytes = sizeof *a;
    a->on_full = SHMQ_ON_FULL_DROP_NEW; /* nobody waits for a caller */
    a->capacity_frames = o->inbox_frames;
    a->max_message_bytes = o->max_reply_bytes;
    a->arena_bytes = power_of_two(4 * (o->max_reply_bytes + 128));
    a->max_producers = o->max_servers;
    a->max_groups = 1;
    a->max_members = 1;
    a->mode = mode;
}

static int open_reader(const char *ns, const char *name,
    const struct shmq_caller_options *o, struct shmq_consumer **ret)
{
    struct shmq_topic *t;
    struct shmq_consumer_options c;
    memset(&c, 0, sizeof c);
    c.struct_bytes = sizeof c;
    c.group = SHMQI_INBOX_GROUP;
    c.attrs.kind = SHMQ_GROUP_EXCLUSIVE;
    c.spin_ns = o->spin_ns;
    int rc = shmq_topic_open(ns, name, &t);
    if (rc)
        return rc;
    rc = shmq_consumer_open(t, &c, ret);
    /* A sweep may have marked it before our group was made, not after. */
    if (rc == SHMQ_OK && (rc = shmq_topic_check(t)) != SHMQ_OK) {
        shmq_consumer_close(*ret);
        *ret = NULL;
    }
    shmq_topic_close(t);
    return rc;
}

int shmqi_inbox_make(const char *ns, const struct shmq_caller_options *o,
    uint32_t mode, char ret_name[SHMQI_INBOX_ROOM],
    struct shmq_consumer **ret_reader)
{
    struct shmq_topic_attrs a;
    int rc = SHMQ_ERR_NOENT;
    attrs_of(o, mode, &a);
    for (int i = 0; i < MAKE_TRIES &&
         (rc == SHMQ_ERR_NOENT || rc == SHMQ_ERR_CLOSED ||
             rc == SHMQ_ERR_EXISTS);
         i++) {
        char name[SHMQI_INBOX_ROOM];
        uint64_t id;
        rc = shmqi_random_identity(&id);
        if (rc)
            return rc;
        (void)snprintf(name, sizeof name, SHMQI_INBOX_PREFIX "%016llx",
            (unsigned long long)id);
        rc = shmqi_topic_create_system(ns, name, &a, 0);
        if (rc == SHMQ_OK) {
            rc = open_reader(ns, name, o, ret_reader);
            if (rc == SHMQ_OK)
                (void)strcpy(ret_name, name);
            else if (rc != SHMQ_ERR_NOENT && rc != SHMQ_ERR_CLOSED)
                (void)shmq_topic_unlink(ns, name, 0);
        }
    }
    return rc;
}

/* -- clearing away -----------------------------------------------------------
 */

bool shmqi_inbox_owned(struct shmq_topic *inbox)
{
    struct shmq_endpoint_stat all[ENDPOINTS];
    uint32_t cnt = 0;
    if (shmq_topic_check(inbox) != SHMQ_OK ||
        shmq_topic_endpoints(inbox, all, ENDPOINTS, &cnt) != SHMQ_OK)
        return false;
    for (uint32_t i = 0; i < cnt && i < ENDPOINTS; i++)
        if (all[i].role == SHMQ_ROLE_MEMBER && all[i].state != SHMQ_STATE_DEAD)
            return true;
    return cnt > ENDPOINTS;
}

struct sweep {
    const char *ns;
    uint32_t skip, left, seen, removed;
};

static bool is_inbox(const char *topic)
{
    char name[SHMQI_INBOX_ROOM];
    return shmqi_inbox_name(topic, (uint32_t)strlen(topic), name);
}

static int count_inbox(void *ctx, const char *topic)
{
    struct sweep *s = ctx;
    s->seen += is_inbox(topic);
    return 0;
}

static int sweep_inbox(void *ctx, const char *topic)
{
    struct sweep *s = ctx;
    if (!is_inbox(topic))
        return 0;
    if (s->skip > 0) {
        s->skip--;
        return 0;
    }
    /* BUSY: somebody lives. Other users' inboxes are theirs to remove. */
    if (shmq_topic_unlink(s->ns, topic, 0) == SHMQ_OK)
        s->removed++;
    return --s->left == 0;
}

int shmq_inbox_sweep(const char *ns, uint32_t max, uint32_t *ret_removed)
{
    struct sweep s = {ns, 0, max ? max : UINT32_MAX, 0, 0};
    int rc = shmqi_topic_names(ns, 'c', count_inbox, &s);
    uint64_t random = 0;
    if (rc < 0)
        return rc;
    /* Not always the same ones: everybody begins elsewhere. */
    if (max && s.seen > max && shmqi_random_identity(&random) == SHMQ_OK)
        s.skip = (uint32_t)(random % (s.seen - max + 1));
    if (s.seen > 0)
        rc = shmqi_topic_names(ns, 'c', sweep_inbox, &s);
    if (rc < 0)
        return rc;
    if (ret_removed)
        *ret_removed = s.removed;
    return SHMQ_OK;
}
