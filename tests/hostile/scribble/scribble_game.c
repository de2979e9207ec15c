/* scribble_game.c - one game: a topic with all kinds of users in this process,
 * whose words change under their hands.
 *
 * What must hold whatever is written: each call ends after a bounded number of
 * accesses, with success or a documented error; what is handed out lies within
 * the data file (a view) or in private memory, as long as it says; loans lie
 * within the data file; a second topic of the same process works as ever. When
 * only the control file was written, every record received is one that was
 * published, byte for byte. */
#include "scribble.h"

#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "support/support.h"
#include "topic_impl.h"

#define CONSUMERS 5
#define PRODUCERS 3
#define HELD 6
#define OPS 400
#define BATCH 8
#define LEDGER (1u << 13)

bool scribble_loud;

struct user {
    struct shmq_consumer *c;
    struct shmq_message msg[HELD];
    uint32_t cnt;
    bool member; /* of a named group */
};

/* What was published, by position. */
struct entry {
    uint64_t position, tag, size, producer, sequence;
    bool used;
};

struct game {
    uint64_t dice;
    bool spsc, control_only;
    struct shmq_topic_attrs attrs;
    struct shmq_topic *topic;
    struct shmqi_segment *segment;
    struct shmq_producer *producer[PRODUCERS];
    struct shmq_loan loan[PRODUCERS];
    bool loaned[PRODUCERS];
    struct user user[CONSUMERS];
    uint64_t tag;
    struct entry ledger[LEDGER];
    /* the topic that nobody scribbles over */
    struct shmq_producer *calm_in;
    struct shmq_consumer *calm_out;
    struct shmq_topic *calm;
    uint64_t calm_tag;
    uint8_t *payload;
};

static uint64_t dice(struct game *g, uint64_t sides)
{
    return t_below(&g->dice, sides);
}

#define CALL(expr) \
    (scribble_call_begin(#expr), \
        scribble_loud ? (void)fprintf(stderr, "%s\n", #expr) : (void)0, \
        call_end(expr))

static int call_end(int rc)
{
    scribble_call_end();
    if (scribble_loud)
        (void)fprintf(stderr, "    %d\n", rc);
    if (rc < 0 && strcmp(shmq_err_name(rc), "UNKNOWN") == 0)
        T_FAIL("a result that is not documented");
    if (rc == SHMQ_ERR_FORKED || rc == SHMQ_ERR_NOMEM)
        T_FAIL("a result that has nothing to do with peers");
    return rc;
}

static void only(int rc, const int *legal, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++)
        if (rc == legal[i])
            return;
    (void)fprintf(stderr, "%s gave %d %s: %s\n", scribble_call(), rc,
        shmq_err_name(rc), shmq_error_text());
    T_FAIL("not an error of this call");
}
#define ONLY(rc, ...) \
    do { \
        const int legal_[] = {SHMQ_OK, __VA_ARGS__}; \
        only((rc), legal_, sizeof legal_ / sizeof legal_[0]); \
    } while (0)

/* -- what was published, what came ------------------------------------------
 */

static struct entry *entry_of(struct game *g, uint64_t position, bool make)
{
    for (uint32_t i = 0; i < LEDGER; i++) {
        struct entry *e =
            &g->ledger[(position * 0x9e3779b97f4a7c15ull + i) % LEDGER];
        if (e->used ? e->position == position : make)
            return e;
        if (!e->used)
            return NULL;
    }
    return NULL;
}

static void enter(struct game *g, uint64_t position, uint64_t tag,
    uint64_t size, uint64_t producer, uint64_t sequence)
{
    struct entry *e = entry_of(g, position, true);
    T_TRUE(e != NULL);
    *e = (struct entry){position, tag, size, producer, sequence, true};
}

static void differs(
    const struct shmq_message *msg, const struct entry *e, const char *text)
{
    (void)fprintf(stderr,
        "position %llu: %llu bytes, producer %llx, sequence %llu; published: "
        "%llu, %llx, %llu\n",
        (unsigned long long)msg->position, (unsigned long long)msg->size,
        (unsigned long long)msg->producer, (unsigned long long)msg->sequence,
        (unsigned long long)e->size, (unsigned long long)e->producer,
        (unsigned long long)e->sequence);
    T_FAIL(text);
}

static void check_record(struct game *g, const struct shmq_message *msg)
{
    const struct entry *e = entry_of(g, msg->position, false);
    const struct entry none = {0};
    if (e == NULL)
        differs(msg, &none, "a record that nobody published");
    if (msg->size != e->size || msg->producer != e->producer ||
        msg->sequence != e->sequence || msg->attr_bytes != 0)
        differs(msg, e, "a record's header differs from what was published");
    if (!t_matches(msg->data, msg->size, e->tag))
        differs(msg, e, "a record's bytes differ from what was published");
}

static volatile uint64_t sink;

static void read_all(const void *p, uint64_t bytes)
{
    const volatile uint8_t *at = p;
    for (uint64_t i = 0; i < bytes; i++)
        sink += at[i];
}

static bool in_ring(const struct game *g, const void *p, uint64_t bytes)
{
    const struct shmqi_ring *r = &g->segment->ring;
    const uint8_t *at = p, *base = r->arena_base;
    uint64_t room = r->arena_bytes * r->producer_cnt;
    return at >= base && bytes <= room && at + bytes <= base + room;
}

static void check_message(
    struct game *g, const struct user *u, const struct shmq_message *msg)
{
    struct shmq_attr a;
    if (!u->c->copies &&
        (!in_ring(g, msg->data, msg->size) ||
            !in_ring(g, msg->attrs, msg->attr_bytes)))
        T_FAIL("a view that leaves the file");
    read_all(msg->data, msg->size);
    read_all(msg->attrs, msg->attr_bytes);
    for (uint32_t i = 0; i < 200 && shmq_message_attr(msg, 0, i, &a) == 0; i++)
        read_all(a.value, a.value_bytes);
    if (g->control_only)
        check_record(g, msg);
}

/* -- users ------------------------------------------------------------------
 */

static void open_user(struct game *g, struct user *u)
{
    static const char *const names[] = {"a", "b", "c"};
    struct shmq_consumer_options o;
    memset(&o, 0, sizeof o);
    memset(u, 0, sizeof *u);
    o.struct_bytes = sizeof o;
    o.spin_ns = 1;
    if (dice(g, 4) != 0) {
        o.group = names[dice(g, 3)];
        o.attrs.kind = g->spsc ? 0 : (uint32_t)dice(g, 3);
        if (dice(g, 3) == 0)
            o.attrs.absent = SHMQ_ABSENT_RELEASE;
        if (!g->spsc && o.attrs.kind != SHMQ_GROUP_EXCLUSIVE && dice(g, 4) == 0)
            o.attrs.lease_ns = 1000000;
        o.attrs.max_attempts = dice(g, 2) ? 2 : 0;
    }
    if (dice(g, 3) == 0)
        o.flags |= SHMQ_CONSUMER_COPY;
    if (dice(g, 4) == 0)
        o.flags |= SHMQ_CONSUMER_MANUAL_ACK;
    o.start.kind = (uint32_t)dice(g, 5);
    o.start.value = dice(g, 2) ? dice(g, 1u << 20) : t_random(&g->dice);
    o.prefetch_frames = (uint32_t)dice(g, 2) * (uint32_t)dice(g, 70);
    u->member = o.group != NULL;
    (void)CALL(shmq_consumer_open(g->topic, &o, &u->c));
}

static void close_user(struct user *u)
{
    CALL((shmq_consumer_close(u->c), 0));
    memset(u, 0, sizeof *u);
}

static void receive(struct game *g, struct user *u)
{
    if (u->cnt == HELD)
        return;
    struct shmq_message *msg = &u->msg[u->cnt];
    int rc = dice(g, 8) ? CALL(shmq_consumer_receive(u->c, msg))
                        : CALL(shmq_consumer_receive_wait(
                              u->c, shmq_deadline(dice(g, 40000)), msg));
    ONLY(rc, SHMQ_ERR_EMPTY, SHMQ_ERR_TIMEOUT, SHMQ_ERR_GAP, SHMQ_ERR_LIMIT,
        SHMQ_ERR_STALE, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
    if (rc == SHMQ_OK) {
        check_message(g, u, msg);
        u->cnt++;
    } else if (rc == SHMQ_ERR_GAP) {
        struct shmq_gap gap;
        T_OK(shmq_consumer_gap(u->c, &gap));
    }
}

static void finish(struct game *g, struct user *u)
{
    if (u->cnt == 0)
        return;
    uint32_t i = (uint32_t)dice(g, u->cnt);
    struct shmq_message *msg = &u->msg[i];
    int rc;
    switch (dice(g, 5)) {
    case 0:
        if (!u->member)
            return;
        rc = CALL(shmq_consumer_nack(u->c, msg));
        break;
    case 1:
        rc = CALL(shmq_consumer_ack(u->c, msg));
        ONLY(rc, SHMQ_ERR_STALE, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
        return; /* still to be released */
    default:
        rc = CALL(shmq_consumer_release(u->c, msg));
        break;
    }
    ONLY(rc, SHMQ_ERR_STALE, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
    u->msg[i] = u->msg[--u->cnt];
}

struct polling {
    struct game *g;
    struct user *u;
};

static int handler(void *ctx, const struct shmq_message *msg)
{
    static const int results[] = {SHMQ_HANDLED_ACK, SHMQ_HANDLED_ACK,
        SHMQ_HANDLED_ACK, SHMQ_HANDLED_STOP, SHMQ_HANDLED_NACK, -77};
    struct polling *p = ctx;
    check_message(p->g, p->u, msg);
    return results[dice(p->g, 6)];
}

static void poll_user(struct game *g, struct user *u)
{
    struct polling p = {g, u};
    uint32_t max = (uint32_t)dice(g, 2) * 5;
    scribble_call_begin("shmq_consumer_poll");
    int rc = dice(g, 4) ? shmq_consumer_poll(u->c, handler, &p, max)
                        : shmq_consumer_poll_wait(u->c, handler, &p, max,
                              shmq_deadline(dice(g, 20000)));
    scribble_call_end();
    if (rc < 0 && rc != -77)
        ONLY(rc, SHMQ_ERR_TIMEOUT, SHMQ_ERR_GAP, SHMQ_ERR_LIMIT, SHMQ_ERR_STALE,
            SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
}

static void odd_job(struct game *g, struct user *u)
{
    struct shmq_start start = {(uint32_t)dice(g, 5), 0, t_random(&g->dice)};
    uint64_t position;
    int fd;
    if (dice(g, 2))
        start.value = dice(g, 1u << 16);
    switch (dice(g, 5)) {
    case 0:
        if (CALL(shmq_consumer_seek(u->c, &start)) == SHMQ_OK)
            u->cnt = 0; /* what was held is void */
        break;
    case 1:
        (void)CALL(shmq_consumer_extend(u->c));
        break;
    case 2:
        (void)CALL(shmq_consumer_position(u->c, &position));
        break;
    case 3:
        (void)CALL(shmq_consumer_drained(u->c));
        break;
    default:
        if (dice(g, 8) == 0)
            (void)CALL(shmq_consumer_fd(u->c, &fd));
        break;
    }
}

static void use_user(struct game *g)
{
    struct user *u = &g->user[dice(g, CONSUMERS)];
    if (!u->c) {
        if (dice(g, 3) == 0)
            open_user(g, u);
        return;
    }
    switch (dice(g, 16)) {
    case 0:
        if (dice(g, 4) == 0)
            close_user(u);
        break;
    case 1:
        odd_job(g, u);
        break;
    case 2:
    case 3:
    case 4:
        poll_user(g, u);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        finish(g, u);
        break;
    default:
        receive(g, u);
        break;
    }
}

/* -- producers --------------------------------------------------------------
 */

static uint64_t size_of(struct game *g)
{
    uint64_t max = g->attrs.max_message_bytes;
    return dice(g, 8) ? dice(g, 200) : dice(g, max + 1);
}

#define ONLY_PUBLISH(rc) \
    ONLY(rc, SHMQ_ERR_FULL, SHMQ_ERR_TIMEOUT, SHMQ_ERR_CLOSED, \
        SHMQ_ERR_CORRUPT, SHMQ_ERR_LIMIT, SHMQ_ERR_BUSY)

static void publish_one(struct game *g, struct shmq_producer *p)
{
    uint64_t size = size_of(g), position = 0;
    uint64_t sequence = shmq_producer_sequence(p);
    t_fill(g->payload, size, ++g->tag);
    int rc = dice(g, 6)
        ? CALL(shmq_producer_publish(p, g->payload, size, &position))
        : CALL(shmq_producer_publish_wait(
              p, g->payload, size, shmq_deadline(dice(g, 30000)), &position));
    ONLY_PUBLISH(rc);
    if (rc == SHMQ_OK && g->control_only)
        enter(g, position, g->tag, size, shmq_producer_identity(p), sequence);
}

static void publish_many(struct game *g, struct shmq_producer *p)
{
    struct shmq_record rec[BATCH];
    uint64_t position[BATCH], first = g->tag + 1;
    uint64_t sequence = shmq_producer_sequence(p);
    uint32_t cnt = 1 + (uint32_t)dice(g, BATCH);
    memset(rec, 0, sizeof rec);
    for (uint32_t i = 0; i < cnt; i++) {
        uint8_t *at = g->payload + 256 * i;
        rec[i].size = dice(g, 200);
        rec[i].data = at;
        t_fill(at, rec[i].size, ++g->tag);
    }
    int rc = CALL(shmq_producer_publish_batch(p, rec, cnt, position));
    ONLY(rc, SHMQ_ERR_FULL, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT, SHMQ_ERR_LIMIT,
        SHMQ_ERR_BUSY, SHMQ_ERR_TOO_LARGE);
    for (uint32_t i = 0; rc == SHMQ_OK && g->control_only && i < cnt; i++)
        enter(g, position[i], first + i, rec[i].size, shmq_producer_identity(p),
            sequence + i);
}

static void lend(struct game *g, uint32_t i)
{
    struct shmq_loan *loan = &g->loan[i];
    struct shmq_producer *p = g->producer[i];
    if (!g->loaned[i]) {
        int rc = CALL(shmq_producer_loan(p, size_of(g), NULL, 0, loan));
        ONLY_PUBLISH(rc);
        g->loaned[i] = rc == SHMQ_OK;
        if (rc == SHMQ_OK && !in_ring(g, loan->data, loan->size))
            T_FAIL("a loan that leaves the file");
        return;
    }
    if (dice(g, 3) == 0) {
        T_EQ(CALL(shmq_producer_abort(p, loan)), SHMQ_OK);
        g->loaned[i] = false;
        return;
    }
    uint64_t used = dice(g, loan->size + 1), position = 0;
    uint64_t sequence = shmq_producer_sequence(p);
    t_fill(loan->data, used, ++g->tag);
    int rc = CALL(shmq_producer_commit(p, loan, used, &position));
    ONLY_PUBLISH(rc);
    if (rc == SHMQ_OK) {
        g->loaned[i] = false;
        if (g->control_only)
            enter(
                g, position, g->tag, used, shmq_producer_identity(p), sequence);
    }
}

static void use_producer(struct game *g)
{
    uint32_t i = (uint32_t)dice(g, PRODUCERS);
    struct shmq_producer **p = &g->producer[i];
    if (!*p) {
        if (dice(g, 3) == 0)
            (void)CALL(shmq_producer_open(g->topic, NULL, p));
        return;
    }
    switch (dice(g, 24)) {
    case 0:
        if (dice(g, 3) == 0) {
            CALL((shmq_producer_close(*p), 0));
            *p = NULL;
            g->loaned[i] = false;
        }
        break;
    case 1:
    case 2:
    case 3:
        publish_many(g, *p);
        break;
    case 4:
    case 5:
    case 6:
        lend(g, i);
        break;
    default:
        publish_one(g, *p);
        break;
    }
}

/* -- those who look, and those who manage ------------------------------------
 */

static void look(struct game *g)
{
    static struct shmq_group_stat groups[64];
    static struct shmq_endpoint_stat ends[128];
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof attrs};
    uint32_t cnt = 0;
    switch (dice(g, 4)) {
    case 0:
        ONLY(CALL(shmq_topic_stat(g->topic, &st)), SHMQ_ERR_CORRUPT);
        break;
    case 1:
        ONLY(CALL(shmq_topic_groups(g->topic, groups, 64, &cnt)),
            SHMQ_ERR_CORRUPT);
        for (uint32_t i = 0; i < cnt && i < 64; i++) {
            T_TRUE(strnlen(groups[i].name, sizeof groups[i].name) <
                sizeof groups[i].name);
            T_TRUE(
                strnlen(groups[i].dead_letter, sizeof groups[i].dead_letter) <
                sizeof groups[i].dead_letter);
        }
        break;
    case 2:
        ONLY(CALL(shmq_topic_endpoints(g->topic, ends, 128, &cnt)),
            SHMQ_ERR_CORRUPT);
        for (uint32_t i = 0; i < cnt && i < 128; i++) {
            T_TRUE(strnlen(ends[i].comm, 16) < 16);
            T_TRUE(strnlen(ends[i].group, sizeof ends[i].group) <
                sizeof ends[i].group);
        }
        break;
    default:
        T_OK(CALL(shmq_topic_attrs(g->topic, &attrs)));
        T_TRUE(attrs.arena_bytes == g->attrs.arena_bytes);
        (void)CALL(shmq_topic_check(g->topic));
        break;
    }
}

static void manage(struct game *g)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const char *name = names[dice(g, 4)];
    struct shmq_start start = {(uint32_t)dice(g, 5), 0, dice(g, 1u << 20)};
    uint32_t force = dice(g, 2) ? SHMQ_GROUP_FORCE : 0;
    switch (dice(g, 5)) {
    case 0:
        (void)CALL(shmq_group_create(g->topic, name, NULL, &start));
        break;
    case 1:
        (void)CALL(shmq_group_remove(g->topic, name, force));
        break;
    case 2:
        (void)CALL(shmq_group_reset(g->topic, name, &start, force));
        break;
    case 3:
        (void)CALL(shmq_group_evict(
            g->topic, (uint32_t)dice(g, g->segment->ring.endpoint_cnt), 0));
        break;
    default: {
        struct shmq_topic *again = NULL;
        if (CALL(shmq_topic_open(t_ns, "victim", &again)) == SHMQ_OK)
            CALL((shmq_topic_close(again), 0));
        break;
    }
    }
}

/* -- the topic beside --------------------------------------------------------
 */

static void open_calm(struct game *g)
{
    struct shmq_topic_attrs attrs = g->spsc ? t_mpmc(16, 8192) : t_spsc(8192);
    g->calm = t_topic("calm", &attrs);
    g->calm_in = t_producer(g->calm);
    g->calm_out = t_exclusive(g->calm, "calm");
}

static void use_calm(struct game *g)
{
    struct shmq_message msg;
    scribble_call_begin("the calm topic");
    (void)t_publish(g->calm_in, ++g->calm_tag, 24);
    T_OK(shmq_consumer_receive(g->calm_out, &msg));
    T_CARRIES(&msg, g->calm_tag, 24);
    T_OK(shmq_consumer_release(g->calm_out, &msg));
    scribble_call_end();
}

/* -- a game ------------------------------------------------------------------
 */

static void choose_topic(struct game *g)
{
    static const uint32_t full[] = {
        SHMQ_ON_FULL_BLOCK, SHMQ_ON_FULL_DROP_NEW, SHMQ_ON_FULL_DROP_OLD};
    uint64_t arena = 4096ull << dice(g, 4);
    if (g->spsc)
        g->attrs = t_spsc(arena);
    else
        g->attrs = t_mpmc(2ull << dice(g, 8), arena);
    g->attrs.on_full = full[dice(g, g->spsc ? 2 : 3)];
    g->attrs.max_producers = g->spsc ? 1 : 1 + (uint32_t)dice(g, 4);
    g->attrs.max_groups = 1 + (uint32_t)dice(g, 4);
    g->attrs.max_members = 4 + (uint32_t)dice(g, 8);
    if (g->control_only) {
        g->attrs.mode = 0666;
        g->attrs.data_mode = 0644;
    }
}

static uint64_t rate(struct game *g)
{
    return dice(g, 3) == 0 ? 0 : 1ull << (1 + dice(g, 13));
}

static struct scribble_plan choose_plan(struct game *g)
{
    struct scribble_plan p;
    memset(&p, 0, sizeof p);
    p.control = true;
    p.data = !g->control_only;
    do {
        p.aimed = rate(g);
        p.stray = rate(g);
        p.again = dice(g, 2) ? 0 : 1ull << dice(g, 4);
    } while (p.aimed + p.stray + p.again == 0);
    return p;
}

static int remove_topic(void *ctx, const char *topic)
{
    (void)ctx;
    (void)shmq_topic_unlink(t_ns, topic, SHMQ_UNLINK_FORCE);
    return 0;
}

static void end(struct game *g)
{
    for (uint32_t i = 0; i < CONSUMERS; i++)
        close_user(&g->user[i]);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        CALL((shmq_producer_close(g->producer[i]), 0));
    CALL((shmq_topic_close(g->topic), 0));
}

void scribble_game(uint64_t seed)
{
    static struct game games; /* large */
    struct game *g = &games;
    memset(g, 0, sizeof *g);
    scribble_world(seed);
    g->dice = seed;
    g->control_only = dice(g, 4) == 0;
    g->spsc = dice(g, 3) == 0;
    choose_topic(g);
    g->payload = malloc(g->attrs.arena_bytes + 4096);
    T_TRUE(g->payload != NULL);
    g->topic = t_topic("victim", &g->attrs);
    g->segment = g->topic->segment;
    open_calm(g);
    scribble_aim(g->segment->data_map.at, g->segment->data_map.bytes,
        g->segment->control_map.at, g->segment->control_map.bytes);
    uint64_t peace = dice(g, 60);
    struct scribble_plan plan = choose_plan(g);
    for (uint64_t i = 0; i < OPS; i++) {
        if (i == peace)
            scribble_start(&plan, seed);
        if (i % 16 == 0)
            use_calm(g);
        uint64_t what = dice(g, 32);
        if (what < 13)
            use_producer(g);
        else if (what < 28)
            use_user(g);
        else if (what < 30)
            look(g);
        else
            manage(g);
    }
    if (dice(g, 2))
        scribble_stop();
    end(g);
    scribble_stop();
    use_calm(g);
    shmq_consumer_close(g->calm_out);
    shmq_producer_close(g->calm_in);
    shmq_topic_close(g->calm);
    free(g->payload);
    T_OK(shmq_topic_list(t_ns, remove_topic, NULL));
}
