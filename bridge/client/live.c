/* live.c - the feed, made whole: what it lost is read from the topic
 * (docs/wire.md, section 8). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum {
    SILENCE_NS = 2000000000, /* heartbeats come every second */
    LOOK_NS = 2000000000
};

struct shmq_remote_live {
    struct shmq_remote_live *next;
    struct shmq_remote *remote;
    struct shmqr_socket *sub;
    char topic[SHMQW_TOPIC_MAX + 1];
    uint64_t next_pos; /* nothing from here on has been handed out */
    uint32_t epoch;
    uint64_t heard_ns;
    struct shmq_remote_consumer *fill; /* reads what the feed lost */
    struct shmq_start fill_start; /* as is needed to begin it once more */
    uint64_t fill_until;
    uint32_t fill_epoch;
    bool failed; /* the backfill; the next call begins it once more */
    uint64_t last_record_cnt; /* of the running backfill */
    struct shmq_message held; /* of fill, handed out last */
    bool has_held;
    struct shmqr_parts waiting; /* a message of the feed, after the backfill */
    bool has_waiting;
    struct shmqr_parts current; /* a message of the feed, handed out last */
    uint64_t backfills, records;
    struct shmq_gap gap;
    bool has_gap;
};

static void let_go(struct shmq_remote_live *l)
{
    if (l->has_held && l->fill)
        (void)shmq_remote_consumer_release(l->fill, &l->held);
    l->has_held = false;
    shmqr_parts_free(&l->current);
}

static void end_fill(struct shmq_remote_live *l)
{
    let_go(l);
    if (l->fill)
        shmqr_consumer_leave(l->fill);
    l->fill = NULL;
}

void shmqr_live_free(struct shmq_remote_live *l)
{
    struct shmq_remote_live **link = &l->remote->lives;
    while (*link && *link != l)
        link = &(*link)->next;
    if (*link)
        *link = l->next;
    end_fill(l);
    shmqr_parts_free(&l->waiting);
    shmqr_socket_close(l->sub, 0);
    free(l);
}

void shmq_remote_live_close(struct shmq_remote_live *live)
{
    if (live)
        shmqr_live_free(live);
}

static int begin_fill(struct shmq_remote_live *l, struct shmq_start start,
    uint64_t until, uint32_t epoch)
{
    struct shmq_remote_consumer_options o = {.struct_bytes = sizeof o,
        .start = start,
        .read_level = SHMQ_REMOTE_LEVEL_PUBLISHED};
    l->fill_start = start;
    l->fill_until = until;
    l->fill_epoch = epoch;
    struct shmq_remote_consumer *fill = NULL;
    int rc = shmqr_consumer_begin(l->remote, l->topic, &o, &fill);
    l->failed = !fill;
    l->fill = fill;
    if (!fill)
        return rc;
    fill->attach.until = until; /* may be 0 */
    fill->epoch = epoch;
    fill->has_epoch = true;
    return SHMQ_OK;
}

static int fill_from(struct shmq_remote_live *l, uint64_t until)
{
    struct shmq_start start = {SHMQ_START_POSITION, 0, l->next_pos};
    l->backfills++;
    return begin_fill(l, start, until, l->epoch);
}

/* It is said that there is another history under the name. The stream's answer
 * tells whether that is so: what was said may be older than what we read. */
static int begin_anew(
    struct shmq_remote_live *l, uint64_t until, uint32_t epoch)
{
    struct shmq_start earliest = {SHMQ_START_EARLIEST, 0, 0};
    l->backfills++;
    return begin_fill(l, earliest, until, epoch);
}

/* -- opening -------------------------------------------------------------- */

/* The feed's endpoint; a host that stands for "all" is the one we know. */
static int endpoint_of(const struct shmq_remote *r, char *ret, size_t cap)
{
    const char *port = strrchr(r->feed, ':');
    const char *host_end = strrchr(r->endpoint, ':');
    bool any = strncmp(r->feed, "tcp://*:", 8) == 0 ||
        strncmp(r->feed, "tcp://0.0.0.0:", 14) == 0 ||
        strncmp(r->feed, "tcp://[::]:", 11) == 0;
    size_t len = strlen(r->feed);
    if (!r->feed[0] || len >= cap)
        return shmqr_fail(SHMQ_ERR_NODAEMON,
            "%s: the bridge has no live feed; use a consumer", r->endpoint);
    memcpy(ret, r->feed, len + 1);
    if (!any || strncmp(r->endpoint, "tcp://", 6) != 0 || !host_end)
        return SHMQ_OK;
    size_t host = (size_t)(host_end - r->endpoint);
    if (host + strlen(port) >= cap)
        return shmqr_fail(SHMQ_ERR_INVAL, "%s: too long", r->endpoint);
    memcpy(ret, r->endpoint, host);
    strcpy(ret + host, port);
    return SHMQ_OK;
}

static int subscribe(struct shmq_remote_live *l)
{
    char endpoint[512], prefix[SHMQW_TOPIC_MAX + 8];
    size_t len = strlen(l->topic) + 1; /* with the NUL */
    int rc = endpoint_of(l->remote, endpoint, sizeof endpoint);
    if (rc)
        return rc;
    int err =
        shmqr_sub_open(l->remote->net, endpoint, &l->remote->keys, &l->sub);
    memcpy(prefix, "\0HB", 3);
    memcpy(prefix + 3, l->topic, len);
    if (err == 0)
        err = shmqr_sub_add(l->sub, l->topic, len);
    if (err == 0)
        err = shmqr_sub_add(l->sub, prefix, len + 3);
    l->heard_ns = shmqr_now();
    return err ? shmqr_fail(SHMQ_ERR_SYS, "%s: %s", endpoint, strerror(err))
               : SHMQ_OK;
}

static int open_live(struct shmq_remote_live *l, const struct shmq_start *start,
    uint64_t deadline_ns)
{
    uint64_t published;
    int rc = shmqr_topic_end(
        l->remote, l->topic, deadline_ns, &published, &l->epoch);
    if (rc == SHMQ_OK)
        rc = subscribe(l);
    if (rc)
        return rc;
    l->next_pos = published;
    if (start->kind == SHMQ_START_DEFAULT || start->kind == SHMQ_START_LATEST ||
        published == 0)
        return SHMQ_OK;
    return begin_fill(l, *start, published, l->epoch);
}

int shmq_remote_live_open_wait(struct shmq_remote *remote, const char *topic,
    const struct shmq_start *start, uint64_t deadline_ns,
    struct shmq_remote_live **ret)
{
    static const struct shmq_start latest = {SHMQ_START_LATEST, 0, 0};
    if (!remote || !topic || !ret || !shmqw_topic_legal(topic, strlen(topic)) ||
        (start && start->kind > SHMQ_START_TIME))
        return shmqr_fail(SHMQ_ERR_INVAL, "live: no such topic or start");
    struct shmq_remote_live *l = calloc(1, sizeof *l);
    if (!l)
        return shmqr_fail(SHMQ_ERR_NOMEM, "%s: no memory", topic);
    l->remote = remote;
    strcpy(l->topic, topic);
    l->next = remote->lives;
    remote->lives = l;
    int rc = open_live(l, start ? start : &latest, deadline_ns);
    if (rc) {
        shmqr_live_free(l);
        return rc;
    }
    *ret = l;
    return SHMQ_OK;
}

/* -- receiving ------------------------------------------------------------ */

enum { DELIVER = 1, NOTHING = 0 };

/* What a message of the feed means: DELIVER, NOTHING, a backfill that has begun
 * (NOTHING, too; *ret_wait: the message is for afterwards), or an error. */
static int judge(
    struct shmq_remote_live *l, const struct shmqw_feed *head, bool *ret_wait)
{
    bool unknown = head->prev_pos == SHMQW_NONE;
    bool omitted = head->flags & SHMQW_FEED_OMITTED;
    *ret_wait = false;
    if (head->epoch != l->epoch) {
        *ret_wait = !omitted && !(head->flags & SHMQW_FEED_HEARTBEAT);
        return begin_anew(l, head->pos + omitted, head->epoch);
    }
    if (head->flags & SHMQW_FEED_HEARTBEAT) {
        bool missing =
            unknown ? l->next_pos < head->pos : l->next_pos <= head->prev_pos;
        return missing ? fill_from(l, head->pos) : NOTHING;
    }
    if (head->pos < l->next_pos)
        return NOTHING;
    if (omitted)
        return fill_from(l, head->pos + 1);
    if (!unknown && head->prev_pos < l->next_pos)
        return DELIVER;
    *ret_wait = true;
    return fill_from(l, head->pos);
}

static bool open_feed(const struct shmq_remote_live *l,
    const struct shmqr_parts *parts, struct shmqw_feed *ret)
{
    struct shmqw_view topic;
    bool heartbeat;
    if (parts->cnt < 3 || parts->cnt > 4 ||
        !shmqw_feed_topic(parts->data[0], parts->len[0], &topic, &heartbeat) ||
        topic.len != strlen(l->topic) ||
        memcmp(topic.at, l->topic, topic.len) != 0 ||
        !shmqw_feed_open(parts->data[1], parts->len[1], ret) ||
        heartbeat != !!(ret->flags & SHMQW_FEED_HEARTBEAT))
        return false;
    if (heartbeat || (ret->flags & SHMQW_FEED_OMITTED))
        return true;
    return ret->size == parts->len[2] &&
        ret->crc32c == shmqw_crc32c(0, parts->data[2], parts->len[2]);
}

static void deliver(struct shmq_remote_live *l, const struct shmqw_feed *head,
    struct shmqr_parts *parts, struct shmq_message *ret)
{
    l->current = *parts;
    memset(parts, 0, sizeof *parts);
    *ret = (struct shmq_message){.data = l->current.data[2],
        .size = l->current.len[2],
        .position = head->pos,
        .time_ns = head->time_ns};
    if (l->current.cnt == 4 && (head->flags & SHMQW_FEED_ATTRS)) {
        ret->attrs = l->current.data[3];
        ret->attr_bytes = (uint32_t)l->current.len[3];
    }
    l->next_pos = head->pos + 1;
}

/* One message of the feed. EMPTY: nothing for the caller (yet). */
static int take_feed(struct shmq_remote_live *l, struct shmqr_parts *parts,
    struct shmq_message *ret)
{
    struct shmqw_feed head;
    bool wait;
    l->heard_ns = shmqr_now();
    if (!open_feed(l, parts, &head)) {
        shmqr_parts_free(parts);
        return SHMQ_ERR_EMPTY;
    }
    int rc = judge(l, &head, &wait);
    if (rc == DELIVER) {
        deliver(l, &head, parts, ret);
        return SHMQ_OK;
    }
    if (rc == SHMQ_OK && wait) {
        l->waiting = *parts;
        l->has_waiting = true;
    } else {
        shmqr_parts_free(parts);
    }
    return rc < 0 ? rc : SHMQ_ERR_EMPTY;
}

/* The stream is of a history that we did not ask for. */
static int take_anew(struct shmq_remote_live *l)
{
    uint32_t found = l->fill->attached.epoch;
    uint64_t published = l->fill->attached.published;
    struct shmqw_feed head;
    end_fill(l);
    if (l->has_waiting &&
        (!open_feed(l, &l->waiting, &head) || head.epoch != found)) {
        shmqr_parts_free(&l->waiting);
        l->has_waiting = false;
    }
    int rc = found == l->epoch ? SHMQ_OK : begin_anew(l, published, found);
    return rc ? rc : SHMQ_ERR_EMPTY;
}

/* The other history is there: ours has ended, how is not known. */
static int switch_over(struct shmq_remote_live *l)
{
    l->epoch = l->fill_epoch;
    l->next_pos = l->fill->attached.position;
    l->gap = (struct shmq_gap){.from = l->next_pos,
        .to = l->next_pos,
        .messages = UINT64_MAX,
        .reason = SHMQ_GAP_LOST};
    l->has_gap = true;
    return SHMQ_ERR_GAP;
}

/* How the backfill has ended; what failed is begun again by the next call. */
static int take_end(struct shmq_remote_live *l, int rc)
{
    if (l->fill->anew)
        return take_anew(l);
    bool complete = rc == SHMQ_ERR_CLOSED && l->fill->ended_status == SHMQW_OK;
    if (complete && l->next_pos < l->fill_until)
        l->next_pos = l->fill_until;
    l->failed = !complete;
    end_fill(l);
    return complete ? SHMQ_ERR_EMPTY : rc;
}

static void go_on_at(struct shmq_remote_live *l, uint64_t next_pos)
{
    if (next_pos > l->next_pos)
        l->next_pos = next_pos;
    l->fill_start = (struct shmq_start){SHMQ_START_POSITION, 0, l->next_pos};
}

/* The next record of the backfill; EMPTY: not there yet, or it is over. */
static int take_fill(struct shmq_remote_live *l, struct shmq_message *ret)
{
    let_go(l);
    if (!l->fill->head)
        (void)shmqr_pump(l->remote, 0, NULL);
    if (l->fill->attached.generation && !l->fill->anew &&
        l->epoch != l->fill_epoch)
        return switch_over(l);
    int rc = shmqr_consumer_next(l->fill, ret);
    if (rc == SHMQ_OK) {
        l->held = *ret;
        l->has_held = true;
        l->records += l->backfills != 0;
        go_on_at(l, ret->position + 1);
    } else if (rc == SHMQ_ERR_GAP) {
        (void)shmq_remote_consumer_gap(l->fill, &l->gap);
        l->has_gap = true;
        go_on_at(l, l->gap.to);
    } else if (rc != SHMQ_ERR_EMPTY) {
        rc = take_end(l, rc);
    }
    return rc;
}

int shmq_remote_live_receive(
    struct shmq_remote_live *live, struct shmq_message *ret)
{
    struct shmq_remote_live *l = live;
    int rc;
    let_go(l);
    if (l->failed) {
        rc = begin_fill(l, l->fill_start, l->fill_until, l->fill_epoch);
        if (rc)
            return rc;
    }
    if (l->fill) {
        rc = take_fill(l, ret);
        if (rc != SHMQ_ERR_EMPTY || l->fill)
            return rc;
    }
    if (l->has_waiting) {
        struct shmqr_parts parts = l->waiting;
        l->has_waiting = false;
        memset(&l->waiting, 0, sizeof l->waiting);
        struct shmqw_feed head;
        bool legal = open_feed(l, &parts, &head);
        if (legal && head.pos >= l->next_pos) {
            deliver(l, &head, &parts, ret);
            return SHMQ_OK;
        }
        shmqr_parts_free(&parts);
    }
    for (;;) {
        struct shmqr_parts parts;
        int err = shmqr_receive(l->sub, &parts);
        if (err == EBADMSG)
            continue;
        if (err)
            return SHMQ_ERR_EMPTY;
        rc = take_feed(l, &parts, ret);
        if (rc != SHMQ_ERR_EMPTY || l->fill)
            return rc;
    }
}

/* Silence: is the topic still there, may we read it, has it grown? */
static int look(struct shmq_remote_live *l)
{
    uint64_t published;
    uint32_t epoch;
    int rc = shmqr_topic_end(
        l->remote, l->topic, shmq_remote_deadline(LOOK_NS), &published, &epoch);
    l->heard_ns = shmqr_now();
    if (rc == SHMQ_ERR_PERM)
        return rc;
    if (rc == SHMQ_OK && epoch != l->epoch)
        return begin_anew(l, published, epoch);
    if (rc == SHMQ_OK && published > l->next_pos)
        return fill_from(l, published);
    return SHMQ_OK;
}

int shmq_remote_live_receive_wait(struct shmq_remote_live *live,
    uint64_t deadline_ns, struct shmq_message *ret)
{
    struct shmq_remote_live *l = live;
    for (;;) {
        int rc = shmq_remote_live_receive(l, ret);
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        uint64_t now = shmqr_now();
        if (now >= deadline_ns)
            return shmqr_fail(
                SHMQ_ERR_TIMEOUT, "%s: no record in time", l->topic);
        uint64_t silent = l->heard_ns + SILENCE_NS;
        if (!l->fill && now >= silent) {
            rc = look(l);
            if (rc)
                return rc;
            continue;
        }
        uint64_t until =
            !l->fill && silent < deadline_ns ? silent : deadline_ns;
        if (shmqr_pump(l->remote, until, l->fill ? NULL : l->sub) != 0)
            return SHMQ_ERR_INTR;
    }
}

int shmq_remote_live_gap(
    const struct shmq_remote_live *live, struct shmq_gap *ret)
{
    if (!live->has_gap)
        return SHMQ_ERR_NOENT;
    *ret = live->gap;
    return SHMQ_OK;
}

uint64_t shmq_remote_live_backfills(
    const struct shmq_remote_live *live, uint64_t *ret_records)
{
    if (ret_records)
        *ret_records = live->records;
    return live->backfills;
}
