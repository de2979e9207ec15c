/* test_bridge_parts.c - the pure parts of shmq-bridge: rights, origins, what is
 * held, subscriptions, how much the feed keeps. */
#include "support/unit.h"

#include "access.h"
#include "digest.h"
#include "feed.h"
#include "held.h"
#include "nearest.h"
#include "options.h"
#include "origins.h"
#include "pool.h"
#include "subscriptions.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa#"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct shmqz_access *access_of(const char *text)
{
    struct shmqz_access *access = NULL;
    char error[128] = "";

    T_EQ(shmqz_access_parse(text, &access, error, sizeof error), 0);
    return access;
}

TEST(what_no_rule_allows_is_not_allowed)
{
    struct shmqz_access *a =
        access_of("# rights\nkey " KEY_A " alice # a comment\n\n"
                  "allow alice publish,consume orders.*\n"
                  "allow * consume public\nallow bob admin *\n");

    T_EQ(shmqz_access_key_cnt(a), 1);
    T_EQ(shmqz_access_rule_cnt(a), 3);
    T_EQ(strcmp(shmqz_access_user(a, KEY_A), "alice"), 0);
    T_TRUE(!shmqz_access_user(a, KEY_B));
    T_TRUE(shmqz_access_holds(a, KEY_A, "alice"));
    T_TRUE(!shmqz_access_holds(a, KEY_B, "alice"));
    T_TRUE(!shmqz_access_holds(a, KEY_A, "bob"));
    T_TRUE(shmqz_access_allows(a, "alice", SHMQZ_PUBLISH, "orders.eu"));
    T_TRUE(!shmqz_access_allows(a, "alice", SHMQZ_ADMIN, "orders.eu"));
    T_TRUE(!shmqz_access_allows(a, "alice", SHMQZ_PUBLISH, "order"));
    T_TRUE(!shmqz_access_allows(a, "alice", SHMQZ_PUBLISH, "public"));
    T_TRUE(shmqz_access_allows(a, "", SHMQZ_CONSUME, "public"));
    T_TRUE(shmqz_access_allows(a, "bob", SHMQZ_ADMIN, "x"));
    T_TRUE(!shmqz_access_allows(a, "bob", SHMQZ_ADMIN, "@dead.x"));
    T_TRUE(shmqz_access_allows_all(a, "alice", SHMQZ_CONSUME, "orders.e"));
    T_TRUE(!shmqz_access_allows_all(a, "alice", SHMQZ_CONSUME, "orders"));
    T_TRUE(!shmqz_access_allows_all(a, "alice", SHMQZ_CONSUME, ""));
    T_TRUE(shmqz_access_allows_all(a, "bob", SHMQZ_ADMIN, ""));
    T_TRUE(!shmqz_access_allows_all(a, "bob", SHMQZ_ADMIN, "@"));
    T_TRUE(!shmqz_access_allows_all(a, "x", SHMQZ_CONSUME, "public"));
    shmqz_access_free(a);
}

TEST(a_wrong_line_is_named)
{
    static const struct {
        const char *text;
        int line;
    } wrong[] = {{"hello\n", 1}, {"\nkey short alice\n", 2},
        {"key " KEY_A "\n", 1}, {"key " KEY_A " al ice\n", 1},
        {"key " KEY_A " a\nkey " KEY_A " b\n", 2}, {"allow a\n", 1},
        {"allow a dance x\n", 1}, {"allow a publish, x\n#\n", 0},
        {"allow a publish x y\n", 1}, {"allow a publish bad/name\n", 1},
        {"allow a/b publish x\n", 1}};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct shmqz_access *access = NULL;
        char error[128] = "";
        int line =
            shmqz_access_parse(wrong[i].text, &access, error, sizeof error);
        T_EQ(line, wrong[i].line);
        T_EQ(error[0] != '\0', line != 0);
        shmqz_access_free(access);
    }
}

static struct shmqz_piece piece(
    uint64_t producer, uint32_t epoch, uint64_t sequence, uint32_t cnt)
{
    struct shmqz_piece p = {producer, cnt ? epoch : 0, cnt, sequence,
        1000 + sequence, 1000 + sequence + cnt};

    return p;
}

TEST(a_publish_is_new_repeated_early_fenced_or_overlaps)
{
    struct shmqz_origins *o = shmqz_origins_new(8, 4);
    struct shmqz_piece p = piece(7, 1, 0, 3), place;
    uint64_t expected = 99;
    bool forgot = false;

    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_UNKNOWN);
    T_EQ(shmqz_origins_judge_first(&p, 0, &expected), SHMQZ_TAKE);
    T_TRUE(shmqz_origins_add(o, &p, &forgot));
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_REPEATED);
    T_EQ(expected, 3);
    T_EQ(place.base_pos, 1000);
    T_EQ(place.end_pos, 1003);
    p = piece(7, 1, 5, 1);
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_EARLY);
    T_EQ(shmqz_origins_judge(o, &p, 5, &expected, &place), SHMQZ_TAKE);
    p = piece(7, 1, 2, 3);
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_OVERLAP);
    p = piece(7, 1, 1, 1); /* there, but not as a frame of its own */
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_REPEATED);
    T_EQ(place.end_pos, 0);
    p = piece(7, 2, 0, 1);
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_TAKE);
    T_TRUE(shmqz_origins_add(o, &p, &forgot));
    p = piece(7, 1, 3, 1);
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_FENCED);
    p = piece(7, 1, 50, 1); /* found late: of a fenced epoch, changes nothing */
    T_TRUE(shmqz_origins_add(o, &p, &forgot));
    p = piece(7, 2, 1, 1);
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_TAKE);
    T_TRUE(!forgot);
    shmqz_origins_free(o);
}

TEST(the_table_of_origins_is_bounded)
{
    struct shmqz_origins *o = shmqz_origins_new(4, 2);
    struct shmqz_piece place;
    uint64_t expected;
    bool forgot = false;

    for (uint64_t id = 1; id <= 5; id++) {
        struct shmqz_piece p = piece(id, 1, 0, 1);
        T_TRUE(!forgot);
        T_TRUE(shmqz_origins_add(o, &p, &forgot));
    }
    T_TRUE(forgot);
    T_EQ(shmqz_origins_cnt(o), 4);
    struct shmqz_piece first = piece(1, 1, 0, 1);
    T_EQ(shmqz_origins_judge(o, &first, 0, &expected, &place), SHMQZ_UNKNOWN);
    for (uint64_t seq = 1; seq < 4; seq++) {
        struct shmqz_piece p = piece(5, 1, seq, 1);
        T_TRUE(shmqz_origins_add(o, &p, &forgot));
    }
    /* Of the four frames two are placed; the others are known to be there. */
    for (uint64_t seq = 0; seq < 4; seq++) {
        struct shmqz_piece p = piece(5, 1, seq, 1);
        T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_REPEATED);
        T_EQ(place.end_pos, seq < 2 ? 0 : 1001 + seq);
    }
    shmqz_origins_settle(o, 5, 3);
    struct shmqz_piece p = piece(5, 1, 2, 1);
    T_EQ(shmqz_origins_judge(o, &p, 0, &expected, &place), SHMQZ_REPEATED);
    T_EQ(place.end_pos, 0);
    shmqz_origins_free(o);
}

TEST(held_records_are_found_by_ranges_in_any_order)
{
    struct shmqz_held held = {0};
    struct shmq_message msg = {0};
    uint32_t order[100], left = 100;

    for (uint32_t i = 0; i < 100; i++) {
        order[i] = (i * 37) % 100;
        msg.position = order[i] * 10;
        T_TRUE(shmqz_held_add(&held, &msg, 1));
    }
    T_EQ(held.live, 100);
    T_EQ(shmqz_held_count(&held, 100, 200), 10);
    T_TRUE(!shmqz_held_take(&held, 101, 110, &msg));
    for (uint32_t i = 0; i < 100; i++, left--) {
        uint64_t pos = (uint64_t)order[99 - i] * 10;
        T_EQ(held.live, left);
        T_TRUE(shmqz_held_take(&held, pos, pos + 1, &msg));
        T_EQ(msg.position, pos);
        T_TRUE(!shmqz_held_take(&held, pos, pos + 1, &msg));
        if (i == 50) { /* comes back */
            T_TRUE(shmqz_held_add(&held, &msg, 1));
            T_TRUE(shmqz_held_take(&held, pos, pos + 1, &msg));
        }
    }
    T_TRUE(!shmqz_held_take(&held, 0, UINT64_MAX, &msg));
    shmqz_held_free(&held);
}

TEST(a_walk_takes_out_each_of_its_range_once)
{
    struct shmqz_held held = {0};
    struct shmq_message msg = {0};
    uint32_t cnt;

    for (msg.position = 0; msg.position < 1000; msg.position++)
        T_TRUE(shmqz_held_add(&held, &msg, 1));
    T_TRUE(shmqz_held_take(&held, 600, 601, &msg));
    struct shmqz_held_walk walk = shmqz_held_walk(&held, 500, 900);
    for (uint64_t want = 500; want < 900; want++) {
        if (want == 600 || want == 700)
            continue;
        T_TRUE(shmqz_held_next(&held, &walk, &msg, &cnt));
        T_EQ(msg.position, want);
        T_EQ(cnt, 1);
        if (want == 650) /* what is taken in between is left out */
            T_TRUE(shmqz_held_take(&held, 700, 701, &msg));
    }
    T_TRUE(!shmqz_held_next(&held, &walk, &msg, &cnt));
    T_EQ(held.live, 600);
    walk = shmqz_held_walk(&held, 0, UINT64_MAX);
    for (uint32_t n = 0; n < 600; n++)
        T_TRUE(shmqz_held_next(&held, &walk, &msg, &cnt));
    T_TRUE(!shmqz_held_next(&held, &walk, &msg, &cnt));
    T_EQ(held.live, 0);
    shmqz_held_free(&held);
}

/* Against a plain table of what is there: frames of up to 64 records, at
 * random places and again, taken out by ranges at random. */
TEST(pieces_of_frames_are_what_a_table_says)
{
    enum { PLACES = 4096, FRAME = 64 };
    static uint32_t frame_of[PLACES]; /* 0: not there */
    struct shmqz_held held = {0};
    uint64_t chance = t_seed_say("held"), live = 0;

    for (uint32_t step = 1; step < 20000; step++) {
        uint64_t from = t_below(&chance, PLACES);
        uint64_t to = from + 1 + t_below(&chance, 2 * FRAME);
        struct shmq_message msg = {0};
        uint64_t want = 0, at = from, had = 0;
        uint32_t cnt;

        to = to > PLACES ? PLACES : to;
        for (uint64_t i = from; i < to; i++)
            had += frame_of[i] != 0;
        T_EQ(shmqz_held_count(&held, from, to), had);
        if (had == 0) {
            cnt = (uint32_t)(to - from > FRAME ? FRAME : to - from);
            msg.position = from;
            msg.sequence = from + 7;
            msg.internal[0] = step;
            msg.internal[1] = (uint32_t)from;
            T_TRUE(shmqz_held_add(&held, &msg, cnt));
            for (uint32_t i = 0; i < cnt; i++)
                frame_of[from + i] = step;
            live += cnt;
            continue;
        }
        struct shmqz_held_walk walk = shmqz_held_walk(&held, from, to);
        while (shmqz_held_next(&held, &walk, &msg, &cnt)) {
            while (frame_of[at] == 0)
                at++;
            T_EQ(msg.position, at);
            T_EQ(msg.sequence, at + 7);
            T_EQ(msg.internal[1], at);
            T_TRUE(cnt > 0 && at + cnt <= to);
            for (uint32_t i = 0; i < cnt; i++, at++) {
                T_EQ(frame_of[at], msg.internal[0]);
                frame_of[at] = 0;
            }
            want += cnt;
        }
        T_EQ(want, had);
        live -= had;
        T_EQ(held.live, live);
    }
    shmqz_held_free(&held);
}

TEST(the_pool_keeps_a_bounded_amount_and_less_when_idle)
{
    static void *parts[4096];
    uint32_t cnt = 0;

    for (uint64_t all = 0; all < 3 * SHMQZ_POOL_KEEP; cnt++) {
        parts[cnt] = shmqz_pool_take(SHMQZ_POOL_LEAST + cnt * 997);
        T_TRUE(parts[cnt] != NULL);
        T_TRUE(shmqz_pool_room(parts[cnt]) >= SHMQZ_POOL_LEAST + cnt * 997);
        memset(parts[cnt], 0x5a, shmqz_pool_room(parts[cnt]));
        all += shmqz_pool_room(parts[cnt]);
    }
    T_EQ(shmqz_pool_kept(), 0);
    size_t largest = shmqz_pool_room(parts[cnt - 1]); /* given back first */
    while (cnt > 0) {
        shmqz_pool_give(parts[--cnt]);
        T_TRUE(shmqz_pool_kept() <= SHMQZ_POOL_KEEP);
    }
    uint64_t kept = shmqz_pool_kept();
    T_TRUE(kept > SHMQZ_POOL_KEEP / 2);
    void *again = shmqz_pool_take(largest);
    T_TRUE(shmqz_pool_kept() < kept);
    shmqz_pool_give(again);
    T_EQ(shmqz_pool_kept(), kept);
    for (int i = 0; i < 20; i++)
        shmqz_pool_trim();
    T_EQ(shmqz_pool_kept(), 0);
    /* Larger than any class: never kept. */
    shmqz_pool_give(shmqz_pool_take(64 << 20));
    T_EQ(shmqz_pool_kept(), 0);
    T_TRUE(shmqz_pool_take(SIZE_MAX - 8) == NULL);
    shmqz_pool_give(NULL);
}

static void *take_and_give(void *seed)
{
    uint32_t bits = *(uint32_t *)seed;

    for (int i = 0; i < 20000; i++) {
        bits = bits * 1664525 + 1013904223;
        size_t bytes = SHMQZ_POOL_LEAST + (bits >> 14);
        uint32_t *at = shmqz_pool_take(bytes);
        if (!at)
            return NULL;
        at[0] = at[bytes / 4 - 1] = bits;
        if (i % 100 == 0)
            shmqz_pool_trim();
        if (at[0] != bits || at[bytes / 4 - 1] != bits)
            return NULL; /* somebody else had it, too */
        shmqz_pool_give(at);
    }
    return seed;
}

TEST(the_pool_is_for_several_threads)
{
    uint32_t seeds[3] = {1, 2, 3};
    pthread_t threads[3];
    void *result;

    for (int i = 0; i < 3; i++)
        T_EQ(pthread_create(&threads[i], NULL, take_and_give, &seeds[i]), 0);
    for (int i = 0; i < 3; i++) {
        T_EQ(pthread_join(threads[i], &result), 0);
        T_TRUE(result == &seeds[i]);
    }
}

TEST(subscriptions_say_what_they_want)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum shmqz_wanted kind;
        const char *name;
    } cases[] = {{"", 0, SHMQZ_WANT_PREFIX, ""},
        {"orders", 7, SHMQZ_WANT_TOPIC, "orders"},
        {"orders", 6, SHMQZ_WANT_PREFIX, "orders"},
        {"\0HBorders", 10, SHMQZ_WANT_TOPIC, "orders"},
        {"\0HBor", 5, SHMQZ_WANT_PREFIX, "or"},
        {"\0HB", 3, SHMQZ_WANT_PREFIX, ""}, {"\0H", 2, SHMQZ_WANT_PREFIX, ""},
        {"\0", 1, SHMQZ_WANT_PREFIX, ""}, {"\0W", 2, SHMQZ_WANT_WELCOME, ""},
        {"\0W123", 5, SHMQZ_WANT_NOTHING, ""},
        {"\0X", 2, SHMQZ_WANT_NOTHING, ""}, {"\0HX", 3, SHMQZ_WANT_NOTHING, ""},
        {"a\0b", 3, SHMQZ_WANT_NOTHING, ""},
        {"\0HB\0", 4, SHMQZ_WANT_NOTHING, ""}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[SHMQZ_NAME_ROOM];
        T_EQ(shmqz_subscription_read(cases[i].bytes, cases[i].len, name),
            cases[i].kind);
        if (cases[i].kind > SHMQZ_WANT_WELCOME)
            T_EQ(strcmp(name, cases[i].name), 0);
    }
}

TEST(refused_subscriptions_end_nobody_elses)
{
    struct shmqz_subscriptions *s = shmqz_subscriptions_new(4);
    enum shmqz_wanted topic = SHMQZ_WANT_TOPIC;

    T_TRUE(!shmqz_subscriptions_add(s, topic, "t", false));
    T_TRUE(!shmqz_subscriptions_match(s, "t"));
    T_TRUE(shmqz_subscriptions_add(s, topic, "t", true));
    T_TRUE(shmqz_subscriptions_match(s, "t"));
    /* Whose it was is not known: the refused one's. */
    T_TRUE(!shmqz_subscriptions_remove(s, topic, "t", false));
    T_TRUE(shmqz_subscriptions_match(s, "t"));
    /* One that can only have been refused ends nothing. */
    T_TRUE(!shmqz_subscriptions_remove(s, topic, "t", true));
    T_TRUE(shmqz_subscriptions_match(s, "t"));
    T_TRUE(shmqz_subscriptions_remove(s, topic, "t", false));
    T_TRUE(!shmqz_subscriptions_match(s, "t"));
    T_TRUE(shmqz_subscriptions_add(s, SHMQZ_WANT_PREFIX, "a", true));
    T_TRUE(shmqz_subscriptions_match(s, "abc"));
    T_TRUE(!shmqz_subscriptions_match(s, "b"));
    T_TRUE(shmqz_subscriptions_add(s, SHMQZ_WANT_PREFIX, "", true));
    T_TRUE(!shmqz_subscriptions_match(s, "@dead.a"));
    T_TRUE(shmqz_subscriptions_add(s, topic, "x", true));
    T_TRUE(shmqz_subscriptions_add(s, topic, "y", true));
    /* One too many: refused, and its end is no other's. */
    T_TRUE(!shmqz_subscriptions_add(s, topic, "x", true));
    T_TRUE(!shmqz_subscriptions_remove(s, topic, "x", false));
    T_TRUE(shmqz_subscriptions_match(s, "x"));
    T_EQ(shmqz_subscriptions_cnt(s), 4);
    T_TRUE(shmqz_subscriptions_remove(s, topic, "x", false));
    T_EQ(shmqz_subscriptions_cnt(s), 3);
    shmqz_subscriptions_free(s);
}

/* However many are refused, others find room, then and afterwards. */
TEST(refused_subscriptions_take_nobodys_place)
{
    struct shmqz_subscriptions *s = shmqz_subscriptions_new(8);
    char name[16];

    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        T_TRUE(!shmqz_subscriptions_add(s, SHMQZ_WANT_TOPIC, name, false));
    }
    for (int round = 0; round < 100; round++) {
        T_TRUE(shmqz_subscriptions_add(s, SHMQZ_WANT_TOPIC, "t", true));
        T_TRUE(shmqz_subscriptions_remove(s, SHMQZ_WANT_TOPIC, "t", false));
    }
    T_EQ(shmqz_subscriptions_cnt(s), 0);
    shmqz_subscriptions_free(s);
}

TEST(a_producer_is_its_users)
{
    static const uint8_t abc[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf,
        0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61,
        0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15,
        0xad};
    static const uint8_t as[32] = {0x28, 0x16, 0x59, 0x78, 0x88, 0xe4, 0xa0,
        0xd3, 0xa3, 0x6b, 0x82, 0xb8, 0x33, 0x16, 0xab, 0x32, 0x68, 0x0e, 0xb8,
        0xf0, 0x0f, 0x8c, 0xd3, 0xb9, 0x04, 0xd6, 0x81, 0x24, 0x6d, 0x28, 0x5a,
        0x0e};
    char long_text[100];
    uint8_t hash[32];

    shmqz_sha256("abc", 3, hash);
    T_TRUE(memcmp(hash, abc, 32) == 0);
    memset(long_text, 'a', sizeof long_text);
    shmqz_sha256(long_text, sizeof long_text, hash);
    T_TRUE(memcmp(hash, as, 32) == 0);
    T_EQ(shmqz_producer_of("", 7), 7);
    T_EQ(shmqz_producer_of("alice", 0), 0); /* none */
    T_TRUE(shmqz_producer_of("alice", 7) != 7);
    T_TRUE(shmqz_producer_of("alice", 7) != shmqz_producer_of("bob", 7));
    T_EQ(shmqz_producer_of("alice", 7), shmqz_producer_of("alice", 7));
}

TEST(the_feed_keeps_less_when_it_is_much)
{
    T_EQ(shmqz_feed_hwm(1 << 26, 0, 1, 64, 1000), 1000);
    T_EQ(shmqz_feed_hwm(1 << 26, 0, 1, 1 << 20, 1000), 64);
    T_EQ(shmqz_feed_hwm(1 << 26, 0, 64, 1 << 20, 1000), 2);
    T_EQ(shmqz_feed_hwm(1 << 26, 1 << 27, 1, 64, 1000), 2);
    T_EQ(shmqz_feed_hwm(1 << 26, 0, 0, 0, 1000), 1000);
}

TEST(only_what_this_host_alone_reaches_is_local)
{
    static const char *const local[] = {"ipc:///x", "tcp://127.0.0.1:1",
        "tcp://127.1.2.3:*", "tcp://localhost:5", "tcp://[::1]:5"};
    static const char *const others[] = {"tcp://*:1", "tcp://0.0.0.0:1",
        "tcp://10.0.0.1:1", "tcp://127.evil.example:1", "tcp://127.0.0.1.x:1",
        "tcp://localhost.example:1", "tcp://[::]:1", "tcp://eth0:1", "tcp://"};

    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        T_TRUE(shmqz_endpoint_is_local(local[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        T_TRUE(!shmqz_endpoint_is_local(others[i]));
}

TEST(peers_are_told_an_endpoint_that_they_can_reach)
{
    static const char all[] = "ipc:///run/f,tcp://127.0.0.1:1,tcp://0.0.0.0:2";
    static const char here[] = "tcp://127.0.0.1:1,ipc:///run/f";
    static const struct {
        const char *list, *address, *want; /* NULL: none */
    } cases[] = {
        {all, "10.1.2.3", "tcp://0.0.0.0:2"},
        {all, "127.0.0.1", "tcp://127.0.0.1:1"},
        {all, "", "ipc:///run/f"},
        {all, ":0:0:4711", "ipc:///run/f"},
        {all, "fe80::1", "tcp://0.0.0.0:2"},
        {all, "::1", "tcp://127.0.0.1:1"},
        {all, "::ffff:127.0.0.9", "tcp://127.0.0.1:1"},
        {all, "::ffff:10.0.0.9", "tcp://0.0.0.0:2"},
        {here, "10.1.2.3", NULL},
        {"ipc:///run/f", "10.1.2.3", NULL},
        {"ipc:///run/f", "127.0.0.1", "ipc:///run/f"},
        {"tcp://10.0.0.1:3", "", "tcp://10.0.0.1:3"},
        {"", "", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ret[64] = "";
        bool any =
            shmqz_nearest(cases[i].list, cases[i].address, ret, sizeof ret);
        T_EQ(any, cases[i].want != NULL);
        T_TRUE(!any || strcmp(ret, cases[i].want) == 0);
    }
    char small[8];
    T_TRUE(!shmqz_nearest("ipc:///run/f", "", small, sizeof small));
}

static const struct CMUnitTest tests[] = {
    T(what_no_rule_allows_is_not_allowed),
    T(a_wrong_line_is_named),
    T(a_publish_is_new_repeated_early_fenced_or_overlaps),
    T(the_table_of_origins_is_bounded),
    T(held_records_are_found_by_ranges_in_any_order),
    T(a_walk_takes_out_each_of_its_range_once),
    T(pieces_of_frames_are_what_a_table_says),
    T(the_pool_keeps_a_bounded_amount_and_less_when_idle),
    T(the_pool_is_for_several_threads),
    T(subscriptions_say_what_they_want),
    T(refused_subscriptions_end_nobody_elses),
    T(refused_subscriptions_take_nobodys_place),
    T(a_producer_is_its_users),
    T(the_feed_keeps_less_when_it_is_much),
    T(only_what_this_host_alone_reaches_is_local),
    T(peers_are_told_an_endpoint_that_they_can_reach),
};
T_MAIN(tests)
