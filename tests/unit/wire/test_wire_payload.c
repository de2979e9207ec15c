/* Payload frames of the wire protocol: records, runs, attributes, the feed,
 * the checksum. */
#include <stdlib.h>
#include <string.h>

#include "codec/payload.h"
#include "support/unit.h"

static uint8_t buf[1 << 16];

static uint32_t two_attrs(uint8_t *at)
{
    struct shmqw_attr key = {1, 2, "k1", NULL};
    struct shmqw_attr header = {5, 1, "7", "h"};
    uint8_t *end = shmqw_attr_put(shmqw_attr_put(at, &key), &header);
    return (uint32_t)(end - at);
}

static void records_are_encoded_as_in_the_ring(void **state)
{
    (void)state;
    /* the example of docs/shm-layout.md, section 6 */
    static const uint8_t bytes[] = {5, 0, 0, 0, 13, 0, 0, 0, 1, 0, 2, 0, 'k',
        '1', 5, 0, 3, 0, 'h', 0, '7', 0, 0, 0, 'h', 'e', 'l', 'l', 'o', 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0};
    struct shmqw_payload p;
    uint8_t attrs[64];
    struct shmqw_record hello = {"hello", 5, attrs, two_attrs(attrs)},
                        none = {0};
    shmqw_payload_begin(&p, buf, sizeof buf);
    assert_true(shmqw_put_record(&p, &hello));
    assert_true(shmqw_put_record(&p, &none));
    assert_int_equal(p.len, sizeof bytes);
    assert_memory_equal(buf, bytes, sizeof bytes);
    assert_int_equal(shmqw_record_bytes(5, 13), 32);
    struct shmqw_publish body = {
        .record_cnt = 2, .payload_crc32c = shmqw_crc32c(0, buf, p.len)};
    assert_int_equal(shmqw_publish_check(&body, buf, p.len), SHMQW_OK);
    body.record_cnt = 1;
    assert_int_equal(shmqw_publish_check(&body, buf, p.len), SHMQW_BAD_FRAME);
    buf[30] ^= 1; /* padding counts too */
    assert_int_equal(
        shmqw_publish_check(&body, buf, p.len), SHMQW_CRC_MISMATCH);
}

static void clients_may_not_send_the_librarys_attributes(void **state)
{
    (void)state;
    for (uint32_t type = 1; type < 16; type++) {
        struct shmqw_attr a = {type, 1, "v", type == 5 ? "n" : NULL};
        uint8_t attrs[16];
        uint32_t bytes = (uint32_t)(shmqw_attr_put(attrs, &a) - attrs);
        bool may = type <= 5 || type == 7;
        assert_int_equal(shmqw_attr_bytes(&a), bytes);
        assert_int_equal(shmqw_attrs_legal(attrs, bytes, true), may);
        assert_true(shmqw_attrs_legal(attrs, bytes, false));
        struct shmqw_payload p;
        struct shmqw_record r = {NULL, 0, attrs, bytes};
        shmqw_payload_begin(&p, buf, sizeof buf);
        assert_true(shmqw_put_record(&p, &r));
        struct shmqw_publish body = {
            .record_cnt = 1, .payload_crc32c = shmqw_crc32c(0, buf, p.len)};
        assert_int_equal(shmqw_publish_check(&body, buf, p.len),
            may ? SHMQW_OK : SHMQW_INVALID);
    }
}

static void attributes_are_read_and_nonsense_ends_them(void **state)
{
    (void)state;
    uint8_t attrs[64];
    uint32_t len = two_attrs(attrs), cursor = 0;
    struct shmqw_attr a;
    assert_true(shmqw_attr_next(attrs, len, &cursor, &a));
    assert_int_equal(a.type, 1);
    assert_memory_equal(a.value, "k1", 2);
    assert_true(shmqw_attr_next(attrs, len, &cursor, &a));
    assert_string_equal(a.name, "h");
    assert_int_equal(a.value_bytes, 1);
    assert_false(shmqw_attr_next(attrs, len, &cursor, &a));
    assert_int_equal(cursor, len);
    for (uint32_t cut = 1; cut < len; cut++)
        assert_int_equal(shmqw_attrs_legal(attrs, cut, false), cut == 6);
    attrs[7] = 0x80; /* type 5, must understand: still a header */
    assert_true(shmqw_attrs_legal(attrs, len, true));
    attrs[10] = 0; /* a header without a name */
    assert_false(shmqw_attrs_legal(attrs, len, false));
    struct shmqw_attr bad[] = {{0, 0, NULL, NULL}, {1, 65001, attrs, NULL},
        {5, 0, NULL, NULL}, {5, 0, NULL, ""}, {1, 4, NULL, NULL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(shmqw_attr_bytes(&bad[i]), 0);
}

static size_t three_runs(struct shmqw_payload *p)
{
    struct shmqw_delivered d = {.record = {"ab", 2, NULL, 0},
        .position = 8192,
        .producer = 7,
        .sequence = 100,
        .time_ns = 5};
    shmqw_payload_begin(p, buf, sizeof buf);
    assert_true(shmqw_put_delivered(p, &d, false));
    d.position++;
    d.sequence++;
    assert_true(shmqw_put_delivered(p, &d, false)); /* the same run */
    d.position = 12288;
    d.sequence++;
    assert_true(shmqw_put_delivered(p, &d, false)); /* another frame */
    d.position++;
    d.sequence++;
    d.flags = SHMQW_RUN_REDELIVERED;
    d.attempt = 2;
    assert_true(shmqw_put_delivered(p, &d, false)); /* another attempt */
    return p->len;
}

static void runs_say_where_each_record_is(void **state)
{
    (void)state;
    static const uint64_t positions[] = {8192, 8193, 12288, 12289};
    static const uint32_t runs[] = {0, 0, 1, 2};
    struct shmqw_payload p;
    size_t len = three_runs(&p);
    struct shmqw_cursor c = {.at = buf, .len = len};
    struct shmqw_delivered d;
    assert_int_equal(len, 3 * 48 + 4 * 16);
    assert_int_equal(p.base_pos, 8192);
    assert_int_equal(p.end_pos, 12290);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(shmqw_delivered_next(&c, &d));
        assert_int_equal(d.position, positions[i]);
        assert_int_equal(d.run, runs[i]);
        assert_int_equal(d.sequence, 100 + i);
        assert_int_equal(d.attempt, i == 3 ? 2 : 0);
        assert_memory_equal(d.record.data, "ab", 2);
    }
    assert_false(shmqw_delivered_next(&c, &d));
    assert_false(c.broken);
    struct shmqw_deliver body = {
        .record_cnt = 4, .payload_crc32c = shmqw_crc32c(0, buf, len)};
    assert_int_equal(shmqw_deliver_check(&body, buf, len), SHMQW_OK);
}

static void cut_and_changed_runs_are_nonsense(void **state)
{
    (void)state;
    struct shmqw_payload p;
    struct shmqw_delivered d;
    size_t len = three_runs(&p);
    for (size_t cut = 1; cut < len; cut++) {
        uint8_t *copy = malloc(cut);
        memcpy(copy, buf, cut);
        struct shmqw_cursor c = {.at = copy, .len = cut};
        while (shmqw_delivered_next(&c, &d)) {
        }
        assert_int_equal(c.broken, cut != 80 && cut != 144);
        free(copy);
    }
    /* record_cnt and run_bytes that do not agree */
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{32, 0}, {32, 1}, {32, 3}, {33, 0x20}, {36, 72}, {36, 84},
        {36, 0}, {39, 1}, {7, 0xff}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t was = buf[bad[i].at];
        buf[bad[i].at] = bad[i].value;
        if (bad[i].at == 7)
            memset(buf, 0xff, 8);
        struct shmqw_cursor c = {.at = buf, .len = len};
        while (shmqw_delivered_next(&c, &d)) {
        }
        assert_true(c.broken);
        buf[bad[i].at] = was;
    }
}

static void a_payload_without_room_stays_as_it_was(void **state)
{
    (void)state;
    struct shmqw_payload p;
    struct shmqw_delivered d = {.record = {"abc", 3, NULL, 0}, .position = 1};
    for (size_t cap = 0; cap < 48 + 16; cap++) {
        shmqw_payload_begin(&p, buf, cap);
        assert_false(shmqw_put_delivered(&p, &d, false));
        assert_int_equal(p.len, 0);
        assert_int_equal(p.record_cnt, 0);
    }
    struct shmqw_record r = {buf, 4096, NULL, 0};
    shmqw_payload_begin(&p, buf, 4096);
    assert_false(shmqw_put_record(&p, &r));
    assert_int_equal(p.len, 0);
}

static void checksum_is_castagnoli_on_every_path(void **state)
{
    (void)state;
    assert_int_equal(shmqw_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(shmqw_crc32c_portable(0, "123456789", 9), 0xe3069283u);
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t len = 0; len < 20000; len = len * 5 / 4 + 1)
        for (size_t at = 0; at < 9; at += 4) {
            uint32_t all = shmqw_crc32c_portable(0, buf + at, len);
            assert_int_equal(shmqw_crc32c(0, buf + at, len), all);
            uint32_t first = shmqw_crc32c(0, buf + at, len / 3);
            assert_int_equal(
                shmqw_crc32c(first, buf + at + len / 3, len - len / 3), all);
        }
}

static void feed_messages_name_their_topic(void **state)
{
    (void)state;
    struct shmqw_view topic;
    struct shmqw_feed head = {.version = 1, .pos = 9}, got;
    bool heartbeat;
    assert_true(shmqw_feed_topic("orders", 7, &topic, &heartbeat));
    assert_int_equal(topic.len, 6);
    assert_false(heartbeat);
    assert_true(shmqw_feed_topic("\0HBorders", 10, &topic, &heartbeat));
    assert_memory_equal(topic.at, "orders", 6);
    assert_true(heartbeat);
    assert_false(shmqw_feed_topic("orders", 6, &topic, &heartbeat));
    assert_false(shmqw_feed_topic("\0HB", 3, &topic, &heartbeat));
    assert_false(shmqw_feed_topic("\0HB", 4, &topic, &heartbeat));
    assert_false(shmqw_feed_topic("\0W\1", 3, &topic, &heartbeat));
    assert_true(shmqw_feed_open(&head, sizeof head, &got));
    assert_int_equal(got.pos, 9);
    assert_false(shmqw_feed_open(&head, sizeof head - 1, &got));
    head.version = 2;
    assert_false(shmqw_feed_open(&head, sizeof head, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_encoded_as_in_the_ring),
        cmocka_unit_test(clients_may_not_send_the_librarys_attributes),
        cmocka_unit_test(attributes_are_read_and_nonsense_ends_them),
        cmocka_unit_test(runs_say_where_each_record_is),
        cmocka_unit_test(cut_and_changed_runs_are_nonsense),
        cmocka_unit_test(a_payload_without_room_stays_as_it_was),
        cmocka_unit_test(checksum_is_castagnoli_on_every_path),
        cmocka_unit_test(feed_messages_name_their_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
