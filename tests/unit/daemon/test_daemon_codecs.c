/* What shmqd writes about topics and groups comes back as it was, and nothing
 * else is taken for it. */
#include "support/unit.h"

#include <string.h>

#include "control.h"
#include "journal_entry.h"
#include "topic.h"

static void fill_meta(struct shmqd_meta *meta)
{
    shmqd_meta_init(meta);
    meta->attrs.ring = SHMQ_RING_SPSC;
    meta->attrs.on_full = SHMQ_ON_FULL_DROP_NEW;
    meta->attrs.durability = SHMQ_DURABILITY_DISK;
    meta->attrs.arena_bytes = UINT64_C(8) << 30;
    meta->attrs.max_message_bytes = 12345;
    meta->attrs.max_groups = 256;
    meta->attrs.mode = 0640;
    meta->attrs.ttl_ns = UINT64_MAX;
    meta->retain.retain_bytes = 7;
    meta->retain.retain_age_ns = 8;
    meta->retain.max_lag_bytes = 9;
    strcpy(meta->schema, "orders:3");
    strcpy(meta->consumed, "billing,audit");
}

TEST(a_description_comes_back)
{
    struct shmqd_meta meta, back;
    char text[4096];
    fill_meta(&meta);
    size_t len = shmqd_meta_encode(&meta, text, sizeof(text));
    T_TRUE(len > 0);
    T_OK(shmqd_meta_decode(text, len, &back));
    T_EQ(back.attrs.ring, SHMQ_RING_SPSC);
    T_EQ(back.attrs.on_full, SHMQ_ON_FULL_DROP_NEW);
    T_EQ(back.attrs.durability, SHMQ_DURABILITY_DISK);
    T_EQ(back.attrs.arena_bytes, UINT64_C(8) << 30);
    T_EQ(back.attrs.max_message_bytes, 12345);
    T_EQ(back.attrs.max_groups, 256);
    T_EQ(back.attrs.mode, 0640);
    T_EQ(back.attrs.ttl_ns, UINT64_MAX);
    T_EQ(back.attrs.struct_bytes, sizeof(back.attrs));
    T_EQ(back.retain.retain_bytes, 7);
    T_EQ(back.retain.retain_age_ns, 8);
    T_EQ(back.retain.max_lag_bytes, 9);
    T_TRUE(strcmp(back.attrs.schema, "orders:3") == 0);
    T_TRUE(back.attrs.schema == back.schema);
    T_TRUE(strcmp(back.retain.consumed, "billing,audit") == 0);
    for (size_t room = 0; room <= len; room++)
        T_EQ(shmqd_meta_encode(&meta, text, room), 0);
}

TEST(a_description_that_is_not_understood_is_refused)
{
    static const char *const bad[] = {"", "shmqd-topic 2\nring=1\n",
        "shmqd-topic 1\nring=1", "shmqd-topic 1\nring\n",
        "shmqd-topic 1\nring=x\n", "shmqd-topic 1\nring=4294967296\n",
        "shmqd-topic 1\nlater=1\n", "shmqd-topic 1\n\n"};
    struct shmqd_meta meta;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        T_TRUE(shmqd_meta_decode(bad[i], strlen(bad[i]), &meta) != 0);
    T_OK(shmqd_meta_decode("shmqd-topic 1\n", 14, &meta));
}

TEST(only_the_named_parts_of_a_retention_are_taken)
{
    struct shmqd_meta meta;
    struct shmq_retention change = {.flags = SHMQ_MAX_LAG,
        .retain_bytes = 100,
        .max_lag_bytes = 200,
        .consumed = "all"};
    fill_meta(&meta);
    shmqd_meta_retain(&meta, &change);
    T_EQ(meta.retain.retain_bytes, 7);
    T_EQ(meta.retain.max_lag_bytes, 200);
    T_TRUE(strcmp(meta.consumed, "billing,audit") == 0);
    change.flags = SHMQ_RETAIN_CONSUMED;
    shmqd_meta_retain(&meta, &change);
    T_TRUE(strcmp(meta.consumed, "all") == 0);
}

TEST(only_names_of_groups_are_consumed)
{
    static const char *const good[] = {
        "", "all", "a", "a,b", "a,aa,aaa", "billing,audit.2,@x-_"};
    static const char *const bad[] = {"a\nb=c", "a\n", "\na", "a,a", "b,a,b",
        "a,", ",a", ",", "a,,b", "a, b", " a", "a\tb", "a\x7f", "a/b"};
    char text[4096];
    char longest[SHMQ_GROUP_MAX + 2];
    struct shmqd_meta meta;
    struct shmq_retention change = {.flags = SHMQ_RETAIN_CONSUMED};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        change.consumed = good[i];
        T_OK(shmqi_retention_check(&change));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        change.consumed = bad[i];
        T_EQ(shmqi_retention_check(&change), SHMQ_ERR_INVAL);
        T_TRUE(strchr(shmq_error_text(), '\n') == NULL);
        fill_meta(&meta);
        strcpy(meta.consumed, bad[i]);
        meta.attrs.ring = SHMQ_RING_MPMC;
        T_EQ(shmqd_meta_complete("t", &meta), SHMQ_ERR_INVAL);
    }
    memset(longest, 'g', sizeof(longest));
    longest[SHMQ_GROUP_MAX + 1] = '\0';
    change.consumed = longest;
    T_EQ(shmqi_retention_check(&change), SHMQ_ERR_INVAL);
    longest[SHMQ_GROUP_MAX] = '\0';
    T_OK(shmqi_retention_check(&change));
    /* Nothing that would not come back is written. */
    fill_meta(&meta);
    strcpy(meta.consumed, "a\nb=c");
    T_EQ(shmqd_meta_encode(&meta, text, sizeof(text)), 0);
}

TEST(an_age_is_a_time)
{
    struct shmq_retention change = {.flags = SHMQ_RETAIN_AGE};
    change.retain_age_ns = INT64_MAX;
    T_OK(shmqi_retention_check(&change));
    change.retain_age_ns = UINT64_C(1) << 63;
    T_EQ(shmqi_retention_check(&change), SHMQ_ERR_INVAL);
    change.retain_age_ns = UINT64_MAX;
    T_EQ(shmqi_retention_check(&change), SHMQ_ERR_INVAL);
    change.flags = SHMQ_MAX_LAG; /* not meant */
    T_OK(shmqi_retention_check(&change));
}

static void fill_entry(struct shmqd_entry *entry, size_t name, size_t dead)
{
    memset(entry, 0, sizeof(*entry));
    memset(entry->uuid, 0xab, sizeof(entry->uuid));
    memset(entry->place.name, 'n', name);
    memset(entry->place.dead_letter, 'd', dead);
    entry->place.kind = 1;
    entry->place.absent = 2;
    entry->place.max_attempts = 99;
    entry->place.lease_ns = UINT64_MAX - 1;
    entry->place.floor = UINT64_C(1) << 63;
    entry->place.next = UINT64_MAX;
}

TEST(a_place_comes_back)
{
    static const size_t lens[][2] = {{1, 0}, {7, 136}, {128, 136}, {128, 0}};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct shmqd_entry entry, back;
        uint8_t bytes[SHMQD_ENTRY_MAX];
        fill_entry(&entry, lens[i][0], lens[i][1]);
        entry.gone = i == 2;
        uint32_t len = shmqd_entry_encode(&entry, bytes);
        T_TRUE(len <= SHMQD_ENTRY_MAX);
        T_TRUE(shmqd_entry_decode(bytes, len, &back));
        T_TRUE(memcmp(&entry, &back, sizeof(entry)) == 0);
    }
}

TEST(bytes_that_are_no_place_are_refused)
{
    struct shmqd_entry entry, back;
    uint8_t bytes[SHMQD_ENTRY_MAX + 1] = {0};
    fill_entry(&entry, 5, 6);
    uint32_t len = shmqd_entry_encode(&entry, bytes);
    for (uint32_t i = 0; i < SHMQD_ENTRY_MAX; i++)
        T_EQ(shmqd_entry_decode(bytes, i, &back), i == len);
    for (int bit = 1; bit < 32; bit++) { /* unknown flags */
        bytes[4 + bit / 8] ^= (uint8_t)(1 << (bit % 8));
        T_TRUE(!shmqd_entry_decode(bytes, len, &back));
        bytes[4 + bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    bytes[0] = 2; /* a later version */
    T_TRUE(!shmqd_entry_decode(bytes, len, &back));
    bytes[0] = 1;
    bytes[60] = 0; /* no name */
    bytes[62] = 11;
    T_TRUE(!shmqd_entry_decode(bytes, len, &back));
    bytes[60] = 200; /* names longer than names are */
    bytes[62] = 0;
    T_TRUE(!shmqd_entry_decode(bytes, 64 + 200, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_description_comes_back),
        T(a_description_that_is_not_understood_is_refused),
        T(only_the_named_parts_of_a_retention_are_taken),
        T(only_names_of_groups_are_consumed),
        T(an_age_is_a_time),
        T(a_place_comes_back),
        T(bytes_that_are_no_place_are_refused),
    };
    return t_unit_run("codecs", tests, sizeof(tests) / sizeof(tests[0]));
}
