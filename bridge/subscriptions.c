#include "subscriptions.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Refused ones are counted by what their names hash to. */
#define REFUSED_CNT 65536u

struct wanted {
    uint32_t cnt;
    char name[SHMQZ_NAME_ROOM];
    struct wanted *next; /* of the prefixes */
};

struct shmqz_subscriptions {
    void *topics; /* entries by name */
    struct wanted *prefixes;
    uint32_t cnt, max;
    /* Nobody tells whose a subscription is that ends. As long as refused ones
     * of such a name are there, it is taken for one of them: what is wanted may
     * then be thought wanted for longer, and never for less long. */
    uint32_t refused[REFUSED_CNT];
};

enum shmqz_wanted shmqz_subscription_read(
    const void *bytes, size_t len, char ret_name[SHMQZ_NAME_ROOM])
{
    const char *at = bytes;
    size_t left = len;
    ret_name[0] = '\0';
    if (left > 0 && at[0] == '\0') {
        if (left >= 2 && at[1] == 'W')
            return left == 2 ? SHMQZ_WANT_WELCOME : SHMQZ_WANT_NOTHING;
        if (left >= 2 && at[1] != 'H')
            return SHMQZ_WANT_NOTHING;
        if (left >= 3 && at[2] != 'B')
            return SHMQZ_WANT_NOTHING;
        size_t mark = left < 3 ? left : 3;
        at += mark;
        left -= mark;
    }
    const char *nul = left ? memchr(at, '\0', left) : NULL;
    size_t n = nul ? (size_t)(nul - at) : left;
    if (n >= SHMQZ_NAME_ROOM || (nul && (n + 1 != left || n == 0)))
        return SHMQZ_WANT_NOTHING;
    memcpy(ret_name, at, n);
    ret_name[n] = '\0';
    return nul ? SHMQZ_WANT_TOPIC : SHMQZ_WANT_PREFIX;
}

static int by_name(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return strcmp(x->name, y->name);
}

struct shmqz_subscriptions *shmqz_subscriptions_new(uint32_t max)
{
    struct shmqz_subscriptions *subs = calloc(1, sizeof *subs);
    if (subs)
        subs->max = max;
    return subs;
}

void shmqz_subscriptions_free(struct shmqz_subscriptions *subs)
{
    if (!subs)
        return;
    while (subs->topics) {
        struct wanted *e = *(struct wanted **)subs->topics;
        tdelete(e, &subs->topics, by_name);
        free(e);
    }
    while (subs->prefixes) {
        struct wanted *e = subs->prefixes;
        subs->prefixes = e->next;
        free(e);
    }
    free(subs);
}

static struct wanted *find_topic(
    const struct shmqz_subscriptions *subs, const char *name)
{
    struct wanted probe;
    size_t n = strlen(name);
    if (n >= sizeof probe.name)
        return NULL;
    memcpy(probe.name, name, n + 1);
    struct wanted **found =
        tfind(&probe, (void *const *)&subs->topics, by_name);
    return found ? *found : NULL;
}

static struct wanted **find_prefix(
    struct shmqz_subscriptions *subs, const char *name)
{
    struct wanted **at = &subs->prefixes;
    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

static struct wanted *find(
    struct shmqz_subscriptions *subs, enum shmqz_wanted kind, const char *name)
{
    return kind == SHMQZ_WANT_TOPIC ? find_topic(subs, name)
                                    : *find_prefix(subs, name);
}

static struct wanted *add_entry(
    struct shmqz_subscriptions *subs, enum shmqz_wanted kind, const char *name)
{
    struct wanted *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    memcpy(e->name, name, strnlen(name, sizeof e->name - 1));
    if (kind == SHMQZ_WANT_PREFIX) {
        e->next = subs->prefixes;
        subs->prefixes = e;
    } else if (!tsearch(e, &subs->topics, by_name)) {
        free(e);
        return NULL;
    }
    return e;
}

/* FNV-1a. */
static uint32_t *refused_of(
    struct shmqz_subscriptions *subs, enum shmqz_wanted kind, const char *name)
{
    uint32_t hash = 2166136261u ^ (uint32_t)kind;
    for (const char *at = name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return &subs->refused[(hash ^ hash >> 16) % REFUSED_CNT];
}

bool shmqz_subscriptions_add(struct shmqz_subscriptions *subs,
    enum shmqz_wanted kind, const char *name, bool admitted)
{
    struct wanted *e = NULL;
    if (admitted && subs->cnt < subs->max) {
        e = find(subs, kind, name);
        e = e ? e : add_entry(subs, kind, name);
    }
    if (!e) {
        uint32_t *refused = refused_of(subs, kind, name);
        *refused += *refused < UINT32_MAX;
        return false;
    }
    e->cnt++;
    subs->cnt++;
    return true;
}

bool shmqz_subscriptions_remove(struct shmqz_subscriptions *subs,
    enum shmqz_wanted kind, const char *name, bool refused)
{
    uint32_t *cnt = refused_of(subs, kind, name);
    if (*cnt) {
        *cnt -= *cnt < UINT32_MAX;
        return false;
    }
    struct wanted *e = refused ? NULL : find(subs, kind, name);
    if (!e)
        return false;
    subs->cnt--;
    if (--e->cnt > 0)
        return false;
    if (kind == SHMQZ_WANT_TOPIC)
        tdelete(e, &subs->topics, by_name);
    else
        *find_prefix(subs, name) = e->next;
    free(e);
    return true;
}

uint32_t shmqz_subscriptions_cnt(const struct shmqz_subscriptions *subs)
{
    return subs->cnt;
}

bool shmqz_subscriptions_match(
    const struct shmqz_subscriptions *subs, const char *topic)
{
    if (find_topic(subs, topic))
        return true;
    for (const struct wanted *e = subs->prefixes; e; e = e->next) {
        bool system = topic[0] == '@' && e->name[0] != '@';
        if (!system && strncmp(topic, e->name, strlen(e->name)) == 0)
            return true;
    }
    return false;
}
