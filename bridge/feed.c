/* feed.c - the live feed. One reader for each topic that somebody subscribed
 * to; it holds nobody up and is told what it missed. ZeroMQ drops what a slow
 * subscriber has no room for: all of them see it by prev_pos. */
#include "feed.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "denials.h"
#include "pool.h"
#include "service/service_log.h"
#include "subscriptions.h"
#include "topics.h"

#define RECORDS_A_RUN 256u
#define BYTES_A_RUN (UINT64_C(1) << 20)
#define COUNTED_FROM 1024u /* smaller payloads are not counted one by one */
#define HWM_LEAST 2u
#define MARK "\0HB"
#define MARK_BYTES 3u
/* A position is slot << 12 | record on mpmc rings (docs/shm-layout.md). */
#define SLOT_SHIFT 12u

struct reader {
    struct shmqz_feed *feed;
    struct shmqz_topic *topic;
    struct shmq_consumer *consumer;
    struct shmqz_task task;
    struct shmqz_source source;
    uint64_t begin; /* records before it are only looked at */
    uint64_t last_pos; /* handed to the feed last; NONE */
    bool lapped; /* what lies before the next record is not known */
    char mark[MARK_BYTES + SHMQZ_NAME_ROOM];
    size_t first_bytes; /* of the topic and its NUL */
    struct reader *next;
};

struct shmqz_feed {
    struct shmqz_server *server;
    struct shmqz_subscriptions *subs;
    struct reader *readers;
    uint32_t reader_cnt;
    struct shmq_watch *watches[2];
    struct shmqz_task watch_task;
    struct shmqz_source watch_sources[2];
    _Atomic uint64_t queued; /* counted payload bytes not sent yet */
    uint64_t largest; /* payload of late */
    uint32_t hwm;
};

uint32_t shmqz_feed_hwm(uint64_t buffer, uint64_t queued,
    uint32_t subscriptions, uint64_t largest, uint32_t most)
{
    uint64_t left = buffer > queued ? buffer - queued : 0;
    uint64_t each = left / (subscriptions ? subscriptions : 1);
    uint64_t fits = each / (largest ? largest : 1);
    if (fits < HWM_LEAST)
        return HWM_LEAST;
    return fits < most ? (uint32_t)fits : most;
}

/* A change of less than a half is not worth telling all connections. */
static void adapt_hwm(struct shmqz_feed *feed)
{
    const struct shmqz_limits *l = &feed->server->limits;
    uint64_t queued = atomic_load_explicit(&feed->queued, memory_order_relaxed);
    uint32_t hwm = shmqz_feed_hwm(l->feed_buffer_bytes, queued,
        shmqz_subscriptions_cnt(feed->subs), feed->largest, l->feed_hwm);
    if (hwm == feed->hwm || (hwm < feed->hwm * 2 && hwm * 2 > feed->hwm))
        return;
    feed->hwm = hwm;
    shmqz_net_feed_hwm(feed->server->net, hwm);
}

/* -- sending ----------------------------------------------------------------
 */

struct counted {
    struct shmqz_feed *feed;
    uint64_t bytes;
    uint8_t data[];
};

/* On a thread of ZeroMQ's. */
static void uncount(void *data, void *hint)
{
    struct counted *c = hint;
    (void)data;
    bool pooled = c->bytes >= SHMQZ_POOL_LEAST;
    atomic_fetch_sub_explicit(&c->feed->queued, c->bytes, memory_order_relaxed);
    if (pooled)
        shmqz_pool_give(c);
    else
        free(c);
}

static bool counted_part(struct shmqz_feed *feed, struct shmqz_part *part,
    const void *data, uint64_t size)
{
    if (size < COUNTED_FROM)
        return shmqz_part_copy(part, data, size);
    size_t bytes = sizeof(struct counted) + size;
    struct counted *c =
        size >= SHMQZ_POOL_LEAST ? shmqz_pool_take(bytes) : malloc(bytes);
    if (!c)
        return false;
    c->feed = feed;
    c->bytes = size;
    memcpy(c->data, data, size);
    atomic_fetch_add_explicit(&feed->queued, c->bytes, memory_order_relaxed);
    if (shmqz_part_wrap(part, c->data, size, uncount, c))
        return true;
    uncount(c->data, c);
    return false;
}

static void send_record(struct reader *r, const struct shmq_message *msg)
{
    struct shmqz_feed *feed = r->feed;
    struct shmqz_server *server = feed->server;
    struct shmqz_part parts[4];
    struct shmqw_feed head = {0};
    uint64_t published, written;
    bool omitted = msg->size > server->limits.feed_max_bytes;
    uint32_t n = 3;
    head.version = SHMQW_VERSION;
    head.epoch = r->topic->epoch;
    head.prev_pos = r->lapped ? SHMQW_NONE : r->last_pos;
    head.pos = msg->position;
    head.time_ns = msg->time_ns;
    head.size = (uint32_t)msg->size;
    head.durable = SHMQW_NONE;
    if (r->topic->attrs.durability)
        shmqz_topic_ends(r->topic, &published, &written, &head.durable);
    if (omitted)
        head.flags |= SHMQW_FEED_OMITTED;
    else
        head.crc32c = shmqw_crc32c(0, msg->data, msg->size);
    if (msg->attr_bytes)
        head.flags |= SHMQW_FEED_ATTRS;
    if (!(omitted ? shmqz_part_copy(&parts[2], NULL, 0)
                  : counted_part(feed, &parts[2], msg->data, msg->size)))
        return;
    if (msg->attr_bytes &&
        !counted_part(feed, &parts[n++], msg->attrs, msg->attr_bytes)) {
        shmqz_part_close(&parts[2]);
        return;
    }
    (void)shmqz_part_copy(&parts[0], r->mark + MARK_BYTES, r->first_bytes);
    (void)shmqz_part_copy(&parts[1], &head, sizeof head);
    (void)shmqz_net_send(server->net, SHMQZ_FEED, parts, n);
    server->counters.feed_records++;
    server->counters.feed_omitted += omitted;
}

static void send_heartbeat(struct reader *r)
{
    struct shmqz_part parts[3];
    struct shmqw_feed head = {0};
    uint64_t written;
    head.version = SHMQW_VERSION;
    head.flags = SHMQW_FEED_HEARTBEAT;
    head.epoch = r->topic->epoch;
    head.prev_pos = r->last_pos;
    shmqz_topic_ends(r->topic, &head.pos, &written, &head.durable);
    (void)shmqz_part_copy(&parts[0], r->mark, MARK_BYTES + r->first_bytes);
    (void)shmqz_part_copy(&parts[1], &head, sizeof head);
    (void)shmqz_part_copy(&parts[2], NULL, 0);
    (void)shmqz_net_send(r->feed->server->net, SHMQZ_FEED, parts, 3);
}

/* -- readers ----------------------------------------------------------------
 */

static void end_reader(struct reader *r)
{
    struct shmqz_feed *feed = r->feed;
    struct reader **at = &feed->readers;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    feed->reader_cnt--;
    shmqz_task_drop(feed->server->loop, &r->task);
    shmqz_source_drop(feed->server->loop, &r->source);
    shmq_consumer_close(r->consumer);
    shmqz_topic_unuse(r->topic);
    free(r);
}

static void take(struct reader *r, struct shmq_message *msg)
{
    struct shmqz_feed *feed = r->feed;
    if (msg->position >= r->begin) {
        uint64_t sent = msg->attr_bytes;
        if (msg->size <= feed->server->limits.feed_max_bytes)
            sent += msg->size;
        if (sent > feed->largest) {
            feed->largest = sent;
            adapt_hwm(feed);
        }
        send_record(r, msg);
        r->lapped = false;
    }
    r->last_pos = msg->position;
    (void)shmq_consumer_release(r->consumer, msg);
}

static bool run_reader(void *ctx)
{
    struct reader *r = ctx;
    struct shmqz_server *server = r->feed->server;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < RECORDS_A_RUN && bytes < BYTES_A_RUN; i++) {
        struct shmq_message msg;
        int rc = shmq_consumer_receive(r->consumer, &msg);
        if (rc == SHMQ_OK) {
            bytes += msg.size;
            take(r, &msg);
        } else if (rc == SHMQ_ERR_GAP) {
            r->lapped = true;
            server->counters.feed_lapped++;
        } else if (rc == SHMQ_ERR_EMPTY) {
            shmqz_source_arm(server->loop, &r->source);
            return false;
        } else {
            shmqs_log_about(rc == SHMQ_ERR_CLOSED ? SHMQS_INFO : SHMQS_WARNING,
                "topic", r->topic->name, "live feed ends: %s",
                shmq_error_text());
            end_reader(r);
            return false;
        }
    }
    adapt_hwm(r->feed);
    return true;
}

/* The record before the first one that is sent is looked at, so that
 * subscribers of a bridge that was started again see that nothing is missing.
 */
static int open_consumer(struct reader *r)
{
    struct shmq_consumer_options o = {0};
    uint64_t earliest, end;
    int rc = shmq_topic_range(r->topic->handle, &earliest, &end);
    if (rc)
        return rc;
    o.struct_bytes = sizeof o;
    o.start.kind = SHMQ_START_POSITION;
    o.start.value = end;
    if (r->topic->attrs.ring == SHMQ_RING_MPMC && end > earliest)
        o.start.value = ((end >> SLOT_SHIFT) - 1) << SLOT_SHIFT;
    r->begin = end;
    return shmq_consumer_open(r->topic->handle, &o, &r->consumer);
}

static bool watch_reader(struct reader *r)
{
    struct shmqz_loop *loop = r->feed->server->loop;
    int fd;
    if (shmq_consumer_fd(r->consumer, &fd))
        return false;
    r->task = (struct shmqz_task){.run = run_reader, .ctx = r};
    r->source = (struct shmqz_source){.fd = fd, .once = true, .task = &r->task};
    if (shmqz_source_watch(loop, &r->source))
        return false;
    shmqz_task_wake(loop, &r->task);
    return true;
}

static void begin_reader(struct shmqz_feed *feed, const char *name)
{
    struct shmqz_server *server = feed->server;
    for (const struct reader *r = feed->readers; r; r = r->next)
        if (!r->topic->closed && strcmp(r->topic->name, name) == 0)
            return;
    if (feed->reader_cnt >= server->limits.subscribed_topics) {
        shmqs_log_about(SHMQS_WARNING, "topic", name,
            "no live feed: %u topics are fed already", feed->reader_cnt);
        return;
    }
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return;
    r->feed = feed;
    r->last_pos = SHMQW_NONE;
    int rc = shmqz_topic_use(server, name, &r->topic);
    if (rc) {
        free(r);
        if (rc != SHMQ_ERR_NOENT)
            shmqs_log_about(SHMQS_WARNING, "topic", name, "no live feed: %s",
                shmq_error_text());
        return;
    }
    r->first_bytes = strlen(name) + 1;
    memcpy(r->mark, MARK, MARK_BYTES);
    memcpy(r->mark + MARK_BYTES, name, r->first_bytes);
    r->next = feed->readers;
    feed->readers = r;
    feed->reader_cnt++;
    if (open_consumer(r) || !watch_reader(r)) {
        shmqs_log_about(SHMQS_WARNING, "topic", name, "no live feed: %s",
            shmq_error_text());
        end_reader(r);
        return;
    }
    shmqs_log_about(SHMQS_DEBUG, "topic", name, "live feed begins at %llu",
        (unsigned long long)r->begin);
}

/* -- topics and subscriptions that come and go -------------------------------
 */

static int begin_if_wanted(void *ctx, const char *topic)
{
    struct shmqz_feed *feed = ctx;
    if (shmqz_subscriptions_match(feed->subs, topic))
        begin_reader(feed, topic);
    return 0;
}

static void end_unwanted(struct shmqz_feed *feed)
{
    for (struct reader *r = feed->readers, *next; r; r = next) {
        next = r->next;
        if (!shmqz_subscriptions_match(feed->subs, r->topic->name))
            end_reader(r);
    }
}

static bool run_watches(void *ctx)
{
    struct shmqz_feed *feed = ctx;
    struct shmq_watch_event event;
    for (int i = 0; i < 2; i++) {
        while (shmq_watch_next(feed->watches[i], &event) == SHMQ_OK)
            if (event.kind == SHMQ_WATCH_THERE)
                (void)begin_if_wanted(feed, event.topic);
        shmqz_source_arm(feed->server->loop, &feed->watch_sources[i]);
    }
    return false;
}

static bool may(struct shmqz_server *server, const char *user,
    enum shmqz_wanted kind, const char *name)
{
    if (!server->access)
        return true;
    if (kind == SHMQZ_WANT_TOPIC)
        return shmqz_access_allows(server->access, user, SHMQZ_CONSUME, name);
    /* Without a first character ZeroMQ gives him system topics, too. */
    return shmqz_access_allows_all(server->access, user, SHMQZ_CONSUME, name) &&
        (name[0] ||
            shmqz_access_allows_all(server->access, user, SHMQZ_CONSUME, "@"));
}

static void subscribe(
    struct shmqz_feed *feed, const char *user, const uint8_t *at, size_t len)
{
    struct shmqz_server *server = feed->server;
    char name[SHMQZ_NAME_ROOM];
    enum shmqz_wanted kind = shmqz_subscription_read(at, len, name);
    bool admitted = kind == SHMQZ_WANT_WELCOME ||
        (kind != SHMQZ_WANT_NOTHING && may(server, user, kind, name));
    if (kind == SHMQZ_WANT_TOPIC || kind == SHMQZ_WANT_PREFIX)
        admitted = shmqz_subscriptions_add(feed->subs, kind, name, admitted);
    if (!admitted) {
        shmqz_denied(user, "subscription", name);
        server->counters.denied_subscriptions++;
        return;
    }
    shmqz_net_admit(server->net, at, len);
    if (kind == SHMQZ_WANT_TOPIC)
        begin_reader(feed, name);
    else if (kind == SHMQZ_WANT_PREFIX)
        (void)shmq_topic_list(server->ns, begin_if_wanted, feed);
}

/* Of a connection that ends nobody tells whose it was; a user without the right
 * cannot have had an admitted one. */
static void unsubscribe(
    struct shmqz_feed *feed, const char *user, const uint8_t *at, size_t len)
{
    char name[SHMQZ_NAME_ROOM];
    enum shmqz_wanted kind = shmqz_subscription_read(at, len, name);
    shmqz_net_unadmit(feed->server->net, at, len);
    if (kind != SHMQZ_WANT_TOPIC && kind != SHMQZ_WANT_PREFIX)
        return;
    bool refused = user[0] && !may(feed->server, user, kind, name);
    if (shmqz_subscriptions_remove(feed->subs, kind, name, refused))
        end_unwanted(feed);
}

void shmqz_feed_message(
    struct shmqz_server *server, struct shmqz_message *message)
{
    const uint8_t *at = shmqz_part_data(&message->parts[0]);
    size_t len = shmqz_part_bytes(&message->parts[0]);
    if (message->part_cnt != 1 || message->cut || len == 0 || at[0] > 1 ||
        len > SHMQZ_SUBSCRIPTION_MAX) {
        server->counters.bad_messages++;
        return;
    }
    if (at[0] == 1)
        subscribe(server->feed, message->user, at + 1, len - 1);
    else
        unsubscribe(server->feed, message->user, at + 1, len - 1);
}

/* -- the whole --------------------------------------------------------------
 */

int shmqz_feed_open(struct shmqz_server *server)
{
    static const char *const patterns[2] = {"*", "@*"};
    struct shmqz_feed *feed = calloc(1, sizeof *feed);
    server->feed = feed;
    if (!feed)
        return -1;
    feed->server = server;
    feed->hwm = server->limits.feed_hwm;
    feed->subs = shmqz_subscriptions_new(server->limits.subscriptions);
    feed->watch_task = (struct shmqz_task){.run = run_watches, .ctx = feed};
    if (!feed->subs)
        return -1;
    for (int i = 0; i < 2; i++) {
        int fd;
        if (shmq_watch_open(server->ns, patterns[i], &feed->watches[i]) ||
            shmq_watch_fd(feed->watches[i], &fd))
            return -1;
        feed->watch_sources[i] = (struct shmqz_source){
            .fd = fd, .once = true, .task = &feed->watch_task};
        if (shmqz_source_watch(server->loop, &feed->watch_sources[i]))
            return -1;
    }
    shmqz_task_wake(server->loop, &feed->watch_task);
    return 0;
}

void shmqz_feed_forget(struct shmqz_server *server)
{
    struct shmqz_feed *feed = server->feed;
    struct shmqz_subscriptions *none =
        shmqz_subscriptions_new(server->limits.subscriptions);
    if (!none)
        return; /* then what was wanted stays so */
    while (feed->readers)
        end_reader(feed->readers);
    shmqz_subscriptions_free(feed->subs);
    feed->subs = none;
    feed->hwm = server->limits.feed_hwm;
}

void shmqz_feed_second(struct shmqz_server *server)
{
    struct shmqz_feed *feed = server->feed;
    if (!feed)
        return;
    for (struct reader *r = feed->readers; r; r = r->next)
        send_heartbeat(r);
    /* What was the largest long ago does not count any more. */
    feed->largest -= feed->largest / 16;
    adapt_hwm(feed);
}

void shmqz_feed_close(struct shmqz_server *server)
{
    struct shmqz_feed *feed = server->feed;
    if (!feed)
        return;
    while (feed->readers)
        end_reader(feed->readers);
    for (int i = 0; i < 2; i++) {
        shmqz_source_drop(server->loop, &feed->watch_sources[i]);
        shmq_watch_close(feed->watches[i]);
    }
    shmqz_task_drop(server->loop, &feed->watch_task);
    shmqz_subscriptions_free(feed->subs);
}
