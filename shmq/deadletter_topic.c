/* deadletter_topic.c - the dead-letter topic of a group, as one of its members
 * uses it. Rules: deadletter.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "process.h"
#include "record.h"
#include "topic_impl.h"
#include "watermarks.h"

#define HISTORY_ROOM 1024u /* for the attribute that tells it */
#define ARENAS_MAX (16ull << 30)
#define ANSWER_NS 250000000u /* how long shmqd may take to make it */
#define AGAIN_MAKE_NS 1000000000u
#define AGAIN_OPEN_NS 100000000u
#define COUNT_NS 1000000000u

static uint32_t level_of(const struct shmq_consumer *c)
{
    return shmqi_level_of(c->segment, SHMQ_LEVEL_DEFAULT);
}

/* Room for the largest record with its history, and for as many members as
 * the topic has. */
static struct shmq_topic_attrs attrs_for(const struct shmq_consumer *c)
{
    const struct shmqi_constants_shm *k = &c->segment->constants;
    struct shmq_topic_attrs a;
    uint64_t need = 256u << 10;
    uint64_t most = k->durability ? SHMQI_DURABLE_ARENA_MAX : 8ull << 30;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.durability = k->durability;
    a.mode = c->segment->control_mode;
    a.data_mode = c->segment->data_mode;
    a.max_message_bytes = c->ring->max_message + HISTORY_ROOM;
    while (need < most && a.max_message_bytes + 128 > need / 2)
        need *= 2;
    if (a.max_message_bytes + 128 > need / 2)
        a.max_message_bytes -= HISTORY_ROOM;
    a.max_producers = k->max_members < 16 ? 16
        : k->max_members > 256            ? 256
                                          : k->max_members;
    a.arena_bytes = k->arena_bytes > need ? k->arena_bytes : need;
    if (a.arena_bytes * a.max_producers > ARENAS_MAX)
        a.arena_bytes = need;
    if (a.arena_bytes * a.max_producers > ARENAS_MAX)
        a.max_producers = (uint32_t)(ARENAS_MAX / a.arena_bytes);
    return a;
}

static int make(struct shmq_consumer *c, uint64_t now)
{
    const char *ns = c->segment->ns, *topic = c->member.dead_letter;
    struct shmq_topic_attrs a = attrs_for(c);
    if (a.durability == SHMQ_DURABILITY_NONE)
        return shmqi_topic_create_system(ns, topic, &a, 0);
    c->dead.again_ns = now + AGAIN_MAKE_NS;
    return shmqi_topic_make_durable(ns, topic, &a, ANSWER_NS);
}

/* Opens it, made if missing. One that keeps its records less well than the
 * topic they come from takes none. */
static bool open_topic(struct shmq_consumer *c, uint64_t now)
{
    const char *ns = c->segment->ns, *topic = c->member.dead_letter;
    int rc = shmq_topic_open(ns, topic, &c->dead.topic);
    if (rc == SHMQ_ERR_NOENT) {
        (void)make(c, now);
        rc = shmq_topic_open(ns, topic, &c->dead.topic);
    }
    if (rc != SHMQ_OK || !c->dead.topic)
        return false;
    const struct shmqi_segment *s = c->dead.topic->segment;
    c->dead.few =
        s->constants.max_producers < c->segment->constants.max_members;
    if (shmqi_level_of(s, SHMQ_LEVEL_DEFAULT) >= level_of(c))
        return true;
    shmq_topic_close(c->dead.topic);
    c->dead.topic = NULL;
    return false;
}

static struct shmq_producer *producer_of(struct shmq_consumer *c)
{
    struct shmqi_dead *dead = &c->dead;
    if (dead->producer)
        return dead->producer;
    uint64_t now = shmqi_now_monotonic();
    if (now < dead->again_ns)
        return NULL;
    dead->again_ns = now + AGAIN_OPEN_NS;
    if ((dead->topic || open_topic(c, now)) &&
        shmq_producer_open(dead->topic, NULL, &dead->producer) == SHMQ_OK)
        dead->again_ns = 0;
    return dead->producer;
}

void shmqi_dead_shut(struct shmq_consumer *c)
{
    shmq_producer_close(c->dead.producer);
    shmq_topic_close(c->dead.topic);
    c->dead.producer = NULL;
    c->dead.topic = NULL;
}

uint64_t shmqi_dead_mark(const struct shmq_consumer *c)
{
    const struct shmqi_marks_shm *m = c->dead.topic->segment->ring.marks;
    uint32_t level = level_of(c);
    if (level == SHMQ_LEVEL_PUBLISHED || !m)
        return UINT64_MAX;
#ifdef SHMQ_BUG_DEAD_LETTER_AT_ONCE
    return UINT64_MAX;
#else
    return shmqi_marks_level(m, level);
#endif
}

bool shmqi_dead_gone(struct shmq_consumer *c)
{
    struct shmqi_dead *dead = &c->dead;
    if (!dead->topic || shmqi_segment_deleted(dead->topic->segment))
        return true;
    uint64_t now = shmqi_now_monotonic();
    if (now - dead->checked_ns < COUNT_NS)
        return false;
    dead->checked_ns = now;
    return shmq_topic_check(dead->topic) != SHMQ_OK;
}

void shmqi_dead_count_wait(struct shmq_consumer *c)
{
    uint64_t now = shmqi_now_monotonic();
    if (c->dead.counted_ns && now - c->dead.counted_ns < COUNT_NS)
        return;
    c->dead.counted_ns = now;
    (void)shm_add(N3, &c->ring->groups[c->member.entry].dead_waits, 1);
}

/* All attributes of `msg`, with room for one more; NULL: no memory. */
static struct shmq_attr *attrs_of(
    const struct shmq_message *msg, uint32_t *ret_cnt)
{
    uint32_t cnt = 0, cap = 16;
    struct shmq_attr *list = malloc(cap * sizeof *list), *more;
    while (list && shmq_message_attr(msg, 0, cnt, &list[cnt]) == SHMQ_OK) {
        if (++cnt < cap)
            continue;
        more = realloc(list, 2ul * cap * sizeof *list);
        if (!more)
            free(list);
        list = more;
        cap *= 2;
    }
    *ret_cnt = cnt;
    return list;
}

/* With its history behind its own attributes, of which the last are left out
 * when the two are more than a record may have. Where the topic takes no
 * record as long as that, the record goes without history rather than never. */
static int publish(struct shmq_consumer *c, struct shmq_producer *p,
    const struct shmq_message *msg, uint32_t attempts, const char *reason,
    uint64_t *ret_at)
{
    char group[SHMQ_GROUP_MAX + 1], history[512];
    shmqi_group_name_read(c->ring, c->member.name_idx, group);
    int hist =
        snprintf(history, sizeof history, "%s %llu %s %u %s", c->segment->topic,
            (unsigned long long)msg->position, group, attempts, reason);
    struct shmq_attr h = {SHMQ_ATTR_DEAD_LETTER, (uint32_t)hist, history, NULL};
    uint32_t n, bytes;
    struct shmq_attr *attrs = attrs_of(msg, &n);
    if (!attrs)
        return SHMQ_ERR_NOMEM;
    attrs[n] = h;
    while (n > 0 && shmqi_attrs_bytes(attrs, n + 1, &bytes) != SHMQ_OK)
        attrs[--n] = h;
    struct shmq_record rec = {msg->data, msg->size, attrs, n + 1, 0};
    int rc = shmq_producer_publish_batch(p, &rec, 1, ret_at);
    rec.attr_cnt = n;
    if (rc == SHMQ_ERR_TOO_LARGE)
        rc = shmq_producer_publish_batch(p, &rec, 1, ret_at);
    free(attrs);
    return rc;
}

enum shmqi_sent shmqi_dead_send(struct shmq_consumer *c,
    const struct shmq_message *msg, uint32_t attempts, const char *reason,
    uint64_t *ret_at)
{
    struct shmq_producer *p = producer_of(c);
    int rc = p ? publish(c, p, msg, attempts, reason, ret_at) : SHMQ_ERR_FULL;
    if (rc == SHMQ_OK && c->dead.few) { /* others need the place, too */
        shmq_producer_close(p);
        c->dead.producer = NULL;
    }
    if (rc == SHMQ_OK)
        return *ret_at < shmqi_dead_mark(c) ? SHMQI_SENT_SAFE
                                            : SHMQI_SENT_WAITS;
    if (rc == SHMQ_ERR_FULL && p && level_of(c) != SHMQ_LEVEL_PUBLISHED)
        return SHMQI_SENT_FULL;
    /* Removed or destroyed meanwhile: opened anew next time. With copies under
     * way that is left to whoever looks after them. */
    if ((rc == SHMQ_ERR_CLOSED || rc == SHMQ_ERR_CORRUPT) && c->dead.cnt == 0)
        shmqi_dead_shut(c);
    shmqi_dead_count_wait(c);
    return SHMQI_SENT_REFUSED;
}
