/* test_model.c - random operations of several producers, groups and readers in
 * one thread against a plain list that knows every outcome. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/model.h"
#include "topic_impl.h" /* topics that begin at a far position */

#define GROUPS 4
#define MEMBERS 3
#define PRODUCERS 3
#define BATCH 20

struct config {
    uint64_t slots; /* 0: spsc */
    uint64_t bytes; /* arena or ring */
    uint32_t steps;
    uint32_t rounds;
    uint64_t start; /* sequence, or byte, at which the ring begins */
};

struct party {
    struct shmq_consumer *members[MEMBERS];
    uint32_t member_cnt; /* at most */
    uint32_t flags;
    char name[16];
    struct model_group model;
};

struct world {
    struct config config;
    uint64_t rnd;
    uint64_t max_size;
    uint32_t producer_cnt;
    struct shmq_topic *topic;
    struct shmq_producer *producers[PRODUCERS];
    struct shmq_loan loan; /* of producer 0 */
    bool lent;
    struct model_log log;
    struct party parties[GROUPS];
    uint32_t party_cnt;
    struct shmq_consumer *watcher; /* unnamed */
    uint32_t watched;
};

static uint32_t chance(struct world *w, uint32_t limit)
{
    return (uint32_t)t_below(&w->rnd, limit);
}

/* -- publishing ---------------------------------------------------------- */

/* Frames that the slowest group has not finished; *ret_told: and nothing else
 * can keep memory in use. */
static uint32_t outstanding(struct world *w, bool *ret_told)
{
    uint32_t most = 0;

    *ret_told = !w->lent;
    for (uint32_t i = 0; i < w->party_cnt; i++) {
        uint32_t lag = model_lag(&w->log, &w->parties[i].model);
        most = lag > most ? lag : most;
        *ret_told = *ret_told &&
            (w->parties[i].model.shared || w->parties[i].model.told);
    }
    return most;
}

/* Judges a publish of `cnt` records. */
static void published(struct world *w, int rc, const uint64_t *positions,
    const uint32_t *sizes, uint32_t cnt)
{
    bool told;
    uint32_t before = outstanding(w, &told);

    if (rc == SHMQ_ERR_FULL) {
        T_TRUE(before > 0 || !told);
        return;
    }
    T_OK(rc);
    T_TRUE(w->config.slots == 0 || before < w->config.slots);
    model_published(&w->log, positions, sizes, cnt);
}

static uint64_t some_size(struct world *w)
{
    uint32_t kind = chance(w, 8);

    return t_below(&w->rnd, kind == 0 ? w->max_size + 1 : kind < 4 ? 200 : 33);
}

static void step_publish(struct world *w, struct shmq_producer *producer)
{
    unsigned char data[32768];
    uint64_t size = some_size(w);
    uint64_t position = 0;
    uint32_t size32 = (uint32_t)size;
    int rc;

    t_fill(data, size, w->log.record_cnt);
    rc = shmq_producer_publish(producer, data, size, &position);
    published(w, rc, &position, &size32, 1);
}

static void step_batch(struct world *w, struct shmq_producer *producer)
{
    unsigned char data[BATCH][32];
    struct shmq_record records[BATCH];
    uint64_t positions[BATCH];
    uint32_t sizes[BATCH];
    uint32_t cnt = 1 + chance(w, BATCH);
    int rc;

    memset(records, 0, sizeof(records));
    for (uint32_t i = 0; i < cnt; i++) {
        sizes[i] = chance(w, 33);
        t_fill(data[i], sizes[i], w->log.record_cnt + i);
        records[i].data = data[i];
        records[i].size = sizes[i];
    }
    rc = shmq_producer_publish_batch(producer, records, cnt, positions);
    published(w, rc, positions, sizes, cnt);
}

static void step_loan(struct world *w)
{
    uint64_t position = 0;
    uint32_t used;
    int rc;

    if (!w->lent) {
        bool told;
        rc = shmq_producer_loan(
            w->producers[0], some_size(w), NULL, 0, &w->loan);
        if (rc == SHMQ_ERR_FULL)
            T_TRUE(outstanding(w, &told) > 0 || !told);
        else
            T_OK(rc);
        w->lent = rc == 0;
        return;
    }
    if (chance(w, 3) == 0) {
        T_OK(shmq_producer_abort(w->producers[0], &w->loan));
        w->lent = false;
        return;
    }
    used = chance(w, (uint32_t)w->loan.size + 1);
    t_fill(w->loan.data, used, w->log.record_cnt);
    rc = shmq_producer_commit(w->producers[0], &w->loan, used, &position);
    published(w, rc, &position, &used, 1);
    w->lent = rc != 0;
}

static void step_reopen_producer(struct world *w)
{
    uint32_t i = chance(w, w->producer_cnt);

    shmq_producer_close(w->producers[i]);
    w->producers[i] = t_producer(w->topic);
    if (i == 0)
        w->lent = false;
}

static void step_produce(struct world *w)
{
    struct shmq_producer *producer = w->producers[chance(w, w->producer_cnt)];

    if (chance(w, 200) == 0)
        step_reopen_producer(w);
    else if (chance(w, 5) == 0 || (w->lent && w->config.slots == 0))
        step_loan(w);
    else if (chance(w, 4) == 0)
        step_batch(w, producer);
    else
        step_publish(w, producer);
}

/* -- consuming ----------------------------------------------------------- */

static void open_member(struct world *w, struct party *party, uint32_t m)
{
    struct shmq_consumer_options options = t_options(party->name,
        party->model.shared ? SHMQ_GROUP_SHARED : SHMQ_GROUP_EXCLUSIVE);

    options.flags = party->flags;
    options.attrs.max_attempts = party->model.shared ? 100 : 0;
    options.prefetch_frames = party->model.prefetch;
    party->members[m] = t_consumer(w->topic, &options);
}

static void close_member(struct world *w, struct party *party, uint32_t m)
{
    shmq_consumer_close(party->members[m]);
    party->members[m] = NULL;
    model_closed(&w->log, &party->model, (uint8_t)m,
        (party->flags & SHMQ_CONSUMER_COPY) != 0);
}

static void step_receive(struct world *w, struct party *party, uint32_t m)
{
    struct shmq_message msg;
    int rc = shmq_consumer_receive(party->members[m], &msg);

    model_received(&w->log, &party->model, (uint8_t)m, rc, &msg);
}

/* Which of the held records is the `nth` of member m; MODEL_HELD if none. */
static uint32_t pick_held(struct world *w, const struct party *party)
{
    if (party->model.held_cnt == 0)
        return MODEL_HELD;
    if (chance(w, 3) == 0)
        return chance(w, party->model.held_cnt);
    return 0;
}

static void step_finish(struct world *w, struct party *party)
{
    uint32_t idx = pick_held(w, party);
    struct model_held *held = &party->model.held[idx % MODEL_HELD];
    struct shmq_consumer *member;
    int rc;

    if (idx == MODEL_HELD)
        return;
    member = party->members[held->member];
    if (!held->is_void)
        T_CARRIES(&held->msg, held->record, w->log.records[held->record].size);
    if (chance(w, 15) == 0 && model_may_nack(&w->log, &party->model, idx)) {
        T_OK(shmq_consumer_nack(member, &held->msg));
        model_nacked(&w->log, &party->model, idx);
        return;
    }
    if (!held->is_void && chance(w, 10) == 0)
        T_OK(shmq_consumer_ack(member, &held->msg));
    rc = shmq_consumer_release(member, &held->msg);
    model_released(&w->log, &party->model, idx, rc);
}

/* Removes the group and makes it again behind everything. */
static void step_recreate(struct world *w, struct party *party)
{
    struct shmq_group_attrs attrs;
    struct shmq_start latest = t_start(SHMQ_START_LATEST, 0);

    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    attrs.kind = party->model.shared ? SHMQ_GROUP_SHARED : SHMQ_GROUP_EXCLUSIVE;
    attrs.max_attempts = party->model.shared ? 100 : 0;
    for (uint32_t m = 0; m < MEMBERS; m++)
        if (party->members[m] != NULL)
            close_member(w, party, m);
    if (chance(w, 2) == 0) {
        T_OK(shmq_group_remove(w->topic, party->name, 0));
        T_OK(shmq_group_create(w->topic, party->name, &attrs, &latest));
    } else {
        T_OK(shmq_group_reset(w->topic, party->name, &latest, 0));
    }
    model_start_latest(&w->log, &party->model);
}

static void step_consume(struct world *w)
{
    struct party *party = &w->parties[chance(w, w->party_cnt)];
    uint32_t m = chance(w, party->member_cnt);
    uint32_t what = chance(w, 100);

    if (party->members[m] == NULL)
        open_member(w, party, m);
    else if (what < 2)
        close_member(w, party, m);
    else if (what == 2 && chance(w, 5) == 0)
        step_recreate(w, party);
    else if (what < 52)
        step_receive(w, party, m);
    else
        step_finish(w, party);
}

static void step_watch(struct world *w)
{
    struct shmq_message msg;
    struct shmq_gap gap;
    int rc = shmq_consumer_receive(w->watcher, &msg);

    if (rc == SHMQ_ERR_EMPTY) {
        T_EQ(w->watched, w->log.record_cnt);
        return;
    }
    if (rc == SHMQ_ERR_GAP) {
        uint32_t from = w->log.records[w->watched].frame;
        T_OK(shmq_consumer_gap(w->watcher, &gap));
        T_TRUE(gap.from <= w->log.records[w->watched].position);
        while (w->watched < w->log.record_cnt &&
            w->log.records[w->watched].position < gap.to)
            w->watched++;
        rc = shmq_consumer_receive(w->watcher, &msg);
        if (rc == SHMQ_ERR_EMPTY && w->watched == w->log.record_cnt)
            return;
        if (w->config.slots != 0)
            T_EQ(gap.frames, w->log.records[w->watched].frame - from);
    }
    T_OK(rc);
    T_EQ(msg.position, w->log.records[w->watched].position);
    T_CARRIES(&msg, w->watched, w->log.records[w->watched].size);
    w->watched++;
    T_OK(shmq_consumer_release(w->watcher, &msg));
}

/* -- the whole ----------------------------------------------------------- */

static void world_open(struct world *w, struct config config, uint64_t seed)
{
    struct shmq_topic_attrs attrs = config.slots == 0
        ? t_spsc(config.bytes)
        : t_mpmc(config.slots, config.bytes);

    memset(w, 0, sizeof(*w));
    w->config = config;
    w->rnd = seed;
    w->max_size = config.bytes / 2 - 128;
    w->producer_cnt = config.slots == 0 ? 1 : PRODUCERS;
    w->party_cnt = config.slots == 0 ? 2 : GROUPS;
    T_OK(shmqi_topic_create_system(t_ns, "t", &attrs, config.start));
    w->topic = t_open("t");
    for (uint32_t i = 0; i < w->producer_cnt; i++)
        w->producers[i] = t_producer(w->topic);
    model_log_init(&w->log);
    for (uint32_t i = 0; i < w->party_cnt; i++) {
        struct party *party = &w->parties[i];
        (void)snprintf(party->name, sizeof(party->name), "g%u", i);
        party->flags = i % 2 ? SHMQ_CONSUMER_COPY : 0;
        party->member_cnt = i < 2 ? 1 : MEMBERS;
        model_group_init(&party->model, i >= 2, 1 + chance(w, 5));
        open_member(w, party, 0);
    }
    w->watcher = t_ephemeral(w->topic, SHMQ_START_EARLIEST);
}

/* Everybody finishes; then nothing may be missing. */
static void world_drain(struct world *w)
{
    if (w->lent)
        T_OK(shmq_producer_abort(w->producers[0], &w->loan));
    w->lent = false;
    for (uint32_t i = 0; i < w->party_cnt; i++) {
        struct party *party = &w->parties[i];
        for (uint32_t m = 1; m < MEMBERS; m++)
            if (party->members[m] != NULL)
                close_member(w, party, m);
        if (party->members[0] == NULL)
            open_member(w, party, 0);
        for (uint32_t n = 0; model_lag(&w->log, &party->model) > 0; n++) {
            T_TRUE(n < 100000);
            step_receive(w, party, 0);
            while (party->model.held_cnt > 0)
                step_finish(w, party);
        }
        step_receive(w, party, 0);
        T_RC(shmq_consumer_drained(party->members[0]), 1);
    }
    step_publish(w, w->producers[0]);
    T_TRUE(model_lag(&w->log, &w->parties[0].model) == 1);
}

static void world_close(struct world *w)
{
    for (uint32_t i = 0; i < w->producer_cnt; i++)
        shmq_producer_close(w->producers[i]);
    for (uint32_t i = 0; i < w->party_cnt; i++) {
        for (uint32_t m = 0; m < MEMBERS; m++)
            shmq_consumer_close(w->parties[i].members[m]);
        model_group_free(&w->parties[i].model);
    }
    shmq_consumer_close(w->watcher);
    shmq_topic_close(w->topic);
    model_log_free(&w->log);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

static void run_config(struct config config)
{
    static struct world w;

    for (uint32_t round = 0; round < config.rounds; round++) {
        uint32_t bias;
        world_open(&w, config, t_seed() * 1000 + round);
        bias = 2 + chance(&w, 6);
        for (uint32_t i = 0; i < config.steps; i++) {
            if (chance(&w, 10) < bias / 2)
                step_produce(&w);
            else if (chance(&w, 8) == 0)
                step_watch(&w);
            else
                step_consume(&w);
        }
        world_drain(&w);
        world_close(&w);
    }
}

static void run(uint64_t slots, uint64_t bytes, uint32_t steps)
{
    struct config config = {slots, bytes, steps, 10, 0};

    (void)t_seed_say("model");
    run_config(config);
}

/* `bits` are bits of sequences or positions of which a part is kept in words
 * of fewer bits: the test passes over the place where that part wraps. */
static void run_far(
    uint64_t slots, uint64_t bytes, const uint32_t *bits, uint32_t cnt)
{
    uint64_t lap = slots == 0 ? bytes : slots;

    (void)t_seed_say("far model");
    for (uint32_t i = 0; i < cnt; i++) {
        struct config config = {
            slots, bytes, 3000, 2, (1ull << bits[i]) - 4 * lap};
        run_config(config);
    }
}

TEST(random_operations_where_sequences_wrap_in_their_words)
{
    static const uint32_t bits[] = {
        31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 44, 46, 48, 50, 51};

    run_far(4, 8192, bits, 17);
    run_far(16, 4096, bits, 17);
}

TEST(random_operations_where_byte_positions_wrap_in_their_words)
{
    static const uint32_t bits[] = {
        31, 32, 33, 34, 35, 36, 39, 40, 43, 48, 52, 54};

    run_far(0, 4096, bits, 12);
    run_far(0, 65536, bits, 12);
}

/* Publishes from `start` until nothing more is taken. */
static void publish_to_the_end(struct shmq_topic_attrs attrs, uint64_t start)
{
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *c;
    uint64_t cnt = 0;
    uint64_t last = 0;
    int rc;

    T_OK(shmqi_topic_create_system(t_ns, "t", &attrs, start));
    topic = t_open("t");
    producer = t_producer(topic);
    c = t_exclusive(topic, "x");
    for (;; cnt++) {
        unsigned char data[16];
        uint64_t position = 0;
        t_fill(data, sizeof(data), cnt);
        rc = shmq_producer_publish(producer, data, sizeof(data), &position);
        if (rc != 0)
            break;
        T_TRUE(cnt < 1000 && position > last);
        last = position;
        t_take(c, cnt, 16);
    }
    T_RC(rc, SHMQ_ERR_LIMIT);
    T_TRUE(cnt >= 8);
    T_RC(shmq_producer_publish_wait(
             producer, "0123456789abcdef", 16, SHMQ_FOREVER, NULL),
        SHMQ_ERR_LIMIT);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(the_end_of_all_sequences_is_a_limit)
{
    publish_to_the_end(t_mpmc(8, 4096), (1ull << 52) - 24);
}

TEST(the_end_of_all_byte_positions_is_a_limit)
{
    publish_to_the_end(t_spsc(4096), (1ull << 55) - 4 * 4096);
}

TEST(random_operations_on_two_slots)
{
    run(2, 4096, 10000);
}

TEST(random_operations_on_four_slots)
{
    run(4, 8192, 10000);
}

TEST(random_operations_on_sixteen_slots_and_tiny_arenas)
{
    run(16, 4096, 15000);
}

TEST(random_operations_on_a_roomy_ring)
{
    run(256, 65536, 15000);
}

TEST(random_operations_on_a_byte_ring)
{
    run(0, 4096, 15000);
    run(0, 65536, 15000);
}

static const struct CMUnitTest tests[] = {
    T(random_operations_on_two_slots),
    T(random_operations_on_four_slots),
    T(random_operations_on_sixteen_slots_and_tiny_arenas),
    T(random_operations_on_a_roomy_ring),
    T(random_operations_on_a_byte_ring),
    T(random_operations_where_sequences_wrap_in_their_words),
    T(random_operations_where_byte_positions_wrap_in_their_words),
    T(the_end_of_all_sequences_is_a_limit),
    T(the_end_of_all_byte_positions_is_a_limit),
};
T_MAIN(tests)
