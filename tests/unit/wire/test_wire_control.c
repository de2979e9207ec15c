/* Control frames of the wire protocol: what is written is read, and what is
 * broken is refused with the status that docs/wire.md names. */
#include <stdlib.h>
#include <string.h>

#include "codec/payload.h"
#include "support/unit.h"

static uint8_t frame[SHMQW_CONTROL_MAX];

static size_t attach(uint32_t corr_id, const char *topic, const char *group)
{
    struct shmqw_writer w;
    struct shmqw_attach a = {.kind = 1,
        .start = SHMQW_START_POSITION,
        .start_value = 4096,
        .until = SHMQW_NONE,
        .credit_bytes = 1 << 20,
        .credit_records = 1000};
    shmqw_begin(&w, frame, sizeof frame, SHMQW_ATTACH, 0, 0, corr_id, 0);
    shmqw_put_fixed(&w, &a, sizeof a);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, topic);
    shmqw_put_text(&w, SHMQW_TLV_GROUP, group);
    return shmqw_end(&w);
}

/* Puts the CRC right after the test has changed bytes. */
static void seal(uint8_t *bytes, size_t len)
{
    memset(bytes + 16, 0, 4);
    uint32_t crc = shmqw_crc32c(0, bytes, len);
    memcpy(bytes + 16, &crc, 4);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct shmqw_message m;
    struct shmqw_attach a;
    char text[16];
    size_t len = attach(77, "orders", "billing");
    assert_int_equal(len, 24 + 64 + 4 + 6 + 4 + 7);
    assert_int_equal(shmqw_open(frame, len, false, &m), SHMQW_OK);
    assert_int_equal(m.command, SHMQW_ATTACH);
    assert_int_equal(m.corr_id, 77);
    shmqw_fixed(&m, &a, sizeof a);
    assert_int_equal(a.start_value, 4096);
    assert_int_equal(a.credit_records, 1000);
    assert_true(shmqw_text(&m, SHMQW_TLV_TOPIC, text, sizeof text));
    assert_string_equal(text, "orders");
    assert_true(shmqw_text(&m, SHMQW_TLV_GROUP, text, sizeof text));
    assert_string_equal(text, "billing");
    assert_false(shmqw_text(&m, SHMQW_TLV_GROUP, text, 7));
    assert_false(shmqw_text(&m, SHMQW_TLV_SCHEMA, text, sizeof text));
}

static void every_shorter_frame_is_refused(void **state)
{
    (void)state;
    struct shmqw_message m;
    size_t len = attach(1, "orders", "billing");
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* its end is guarded by ASan */
        memcpy(copy, frame, cut);
        if (cut >= 24)
            seal(copy, cut);
        enum shmqw_status status = shmqw_open(copy, cut, false, &m);
        /* between two TLVs a frame may end, if it has what it needs */
        if (cut == 24 + 64 + 10)
            assert_int_equal(status, SHMQW_OK);
        else
            assert_int_equal(status, SHMQW_BAD_FRAME);
        free(copy);
    }
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct shmqw_message m;
    size_t len = attach(1, "orders", "billing");
    for (size_t bit = 0; bit < len * 8; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(shmqw_open(frame, len, false, &m), SHMQW_OK);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static enum shmqw_status opened(size_t len)
{
    struct shmqw_message m;
    seal(frame, len);
    return shmqw_open(frame, len, false, &m);
}

static void headers_are_refused_by_name(void **state)
{
    (void)state;
    size_t len = attach(9, "t", NULL);
    struct shmqw_message m;
    frame[0] = 'X';
    assert_int_equal(opened(len), SHMQW_BAD_FRAME);
    frame[0] = 'S';
    frame[2] = 2;
    assert_int_equal(opened(len), SHMQW_UNSUPPORTED_VERSION);
    assert_int_equal(
        shmqw_open(frame, len, false, &m), SHMQW_UNSUPPORTED_VERSION);
    assert_int_equal(m.corr_id, 9); /* so that an ERROR can say it */
    frame[2] = 1;
    for (int command = 0; command < 256; command++) {
        frame[3] = (uint8_t)command;
        if (strcmp(shmqw_command_name((uint32_t)command), "UNKNOWN") == 0)
            assert_int_equal(opened(len), SHMQW_UNKNOWN_COMMAND);
        else
            assert_int_not_equal(opened(len), SHMQW_UNKNOWN_COMMAND);
    }
    frame[3] = SHMQW_ATTACH;
    frame[16] ^= 1;
    assert_int_equal(shmqw_open(frame, len, false, &m), SHMQW_CRC_MISMATCH);
    assert_int_equal(opened(len), SHMQW_OK);
    /* a payload frame too many, and one announced that did not come */
    assert_int_equal(shmqw_open(frame, len, true, &m), SHMQW_BAD_FRAME);
    frame[4] = SHMQW_FLAG_PAYLOAD;
    assert_int_equal(opened(len), SHMQW_BAD_FRAME);
    assert_int_equal(shmqw_open(frame, len, true, &m), SHMQW_BAD_FRAME);
}

static void longer_fixed_parts_and_unknown_tlvs_pass(void **state)
{
    (void)state;
    struct shmqw_writer w;
    struct shmqw_message m;
    struct {
        struct shmqw_list list;
        uint64_t of_a_later_version[3];
    } longer = {{7, 0}, {1, 2, 3}};
    struct shmqw_list list;
    shmqw_begin(&w, frame, sizeof frame, SHMQW_LIST, 0, 0, 5, 0);
    shmqw_put_fixed(&w, &longer, sizeof longer);
    shmqw_put(&w, 900, "?", 1);
    size_t len = shmqw_end(&w);
    assert_int_equal(shmqw_open(frame, len, false, &m), SHMQW_OK);
    shmqw_fixed(&m, &list, sizeof list);
    assert_int_equal(list.max, 7);
    shmqw_put(&w, 900 | SHMQW_TLV_MUST_UNDERSTAND, "?", 1);
    len = shmqw_end(&w);
    assert_int_equal(shmqw_open(frame, len, false, &m), SHMQW_BAD_FRAME);
}

static void a_single_tlv_given_twice_is_refused(void **state)
{
    (void)state;
    struct shmqw_writer w;
    struct shmqw_message m;
    struct shmqw_describe d = {3, 0};
    shmqw_begin(&w, frame, sizeof frame, SHMQW_DESCRIBE, 0, 0, 5, 0);
    shmqw_put_fixed(&w, &d, sizeof d);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, "a");
    assert_int_equal(shmqw_open(frame, shmqw_end(&w), false, &m), SHMQW_OK);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, "b");
    assert_int_equal(
        shmqw_open(frame, shmqw_end(&w), false, &m), SHMQW_BAD_FRAME);
}

static void replies_of_lists_name_many(void **state)
{
    (void)state;
    struct shmqw_writer w;
    struct shmqw_message m;
    struct shmqw_done done = {0};
    struct shmqw_view v;
    uint32_t cursor = 0, type, cnt = 0;
    shmqw_begin(&w, frame, sizeof frame, SHMQW_LIST, SHMQW_FLAG_REPLY, 0, 5, 0);
    shmqw_put_fixed(&w, &done, sizeof done);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, "a");
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, "b");
    assert_int_equal(shmqw_open(frame, shmqw_end(&w), false, &m), SHMQW_OK);
    while (shmqw_tlv_next(&m, &cursor, &type, &v)) {
        assert_int_equal(type, SHMQW_TLV_TOPIC);
        assert_int_equal(v.at[0], "ab"[cnt++]);
    }
    assert_int_equal(cnt, 2);
}

static void names_are_checked(void **state)
{
    (void)state;
    char longest[SHMQW_TOPIC_MAX + 2];
    memset(longest, 'x', sizeof longest);
    assert_true(shmqw_topic_legal("@dead.orders", 12));
    assert_true(shmqw_topic_legal(longest, SHMQW_TOPIC_MAX));
    assert_false(shmqw_topic_legal(longest, SHMQW_TOPIC_MAX + 1));
    assert_false(shmqw_topic_legal(".hidden", 7));
    assert_false(shmqw_topic_legal("", 0));
    assert_false(shmqw_topic_legal("a/b", 3));
    assert_false(shmqw_topic_legal("a\0b", 3));
    assert_false(shmqw_topic_legal("\xff", 1));
    assert_true(shmqw_group_legal("g", 1));
    assert_false(shmqw_group_legal("g h", 3));
    assert_int_equal(opened(attach(1, "../x", NULL)), SHMQW_INVALID);
    assert_int_equal(opened(attach(1, "t", "a b")), SHMQW_INVALID);
}

static void fields_out_of_range_are_invalid(void **state)
{
    (void)state;
    size_t len = attach(1, "t", "g");
    for (size_t at = 28; at < 32; at++) { /* kind, absent, start, level */
        uint8_t was = frame[at];
        frame[at] = 200;
        assert_int_equal(opened(len), SHMQW_INVALID);
        frame[at] = was;
    }
    assert_int_equal(opened(len), SHMQW_OK);
    /* until is for readers without a group */
    memset(frame + 24 + 16, 0, 8);
    assert_int_equal(opened(len), SHMQW_INVALID);
}

static enum shmqw_status opened_publish(const struct shmqw_publish *p)
{
    struct shmqw_writer w;
    struct shmqw_message m;
    shmqw_begin(&w, frame, sizeof frame, SHMQW_PUBLISH, 0, 0, 3, 0);
    shmqw_put_fixed(&w, p, sizeof *p);
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, "t");
    return shmqw_open(frame, shmqw_end(&w), true, &m);
}

static void publishes_are_checked(void **state)
{
    (void)state;
    struct shmqw_publish p = {.producer_id = 5,
        .epoch = 1,
        .sequence = 9,
        .settled = 4,
        .record_cnt = 1};
    assert_int_equal(opened_publish(&p), SHMQW_OK);
    p.settled = 10; /* beyond what it sends */
    assert_int_equal(opened_publish(&p), SHMQW_INVALID);
    p.settled = 9;
    p.record_cnt = 0;
    assert_int_equal(opened_publish(&p), SHMQW_INVALID);
    p.record_cnt = 4097;
    assert_int_equal(opened_publish(&p), SHMQW_INVALID);
    p.record_cnt = 4096;
    p.epoch = 0;
    assert_int_equal(opened_publish(&p), SHMQW_INVALID);
    p.epoch = 1;
    p.sequence = UINT64_MAX; /* its end would wrap */
    assert_int_equal(opened_publish(&p), SHMQW_INVALID);
    p = (struct shmqw_publish){.record_cnt = 1};
    assert_int_equal(opened_publish(&p), SHMQW_OK);
    p.sequence = 1; /* without a producer there is none */
    assert_int_equal(opened_publish(&p), SHMQW_INVALID);
}

static void ranges_are_read_and_checked(void **state)
{
    (void)state;
    struct shmqw_writer w;
    struct shmqw_message m;
    struct shmqw_generation g = {42};
    struct shmqw_range ranges[] = {{4096, 4100}, {8192, 8193}};
    for (int bad = 0; bad < 3; bad++) {
        shmqw_begin(&w, frame, sizeof frame, SHMQW_ACK, 0, 0, 3, 8);
        shmqw_put_fixed(&w, &g, sizeof g);
        shmqw_put(&w, SHMQW_TLV_RANGES, ranges, bad == 2 ? 24 : sizeof ranges);
        enum shmqw_status status = shmqw_open(frame, shmqw_end(&w), false, &m);
        assert_int_equal(status,
            bad == 0       ? SHMQW_OK
                : bad == 1 ? SHMQW_INVALID
                           : SHMQW_BAD_FRAME);
        if (bad == 0) {
            assert_int_equal(shmqw_range_cnt(&m), 2);
            assert_int_equal(shmqw_range_at(&m, 1).from, 8192);
            assert_int_equal(shmqw_range_at(&m, 2).to, 0);
        }
        ranges[1].to = 8192; /* empty */
    }
}

static void statistics_keep_their_names(void **state)
{
    (void)state;
    struct shmqw_writer w;
    struct shmqw_message m;
    struct shmqw_described d = {.published = 12};
    struct shmqw_group_stat g = {.kind = 1, .lag_messages = 3}, g2;
    struct shmqw_endpoint_stat e = {.pid = -1, .comm = "cat"}, e2;
    struct shmqw_view name, other;
    shmqw_begin(
        &w, frame, sizeof frame, SHMQW_DESCRIBE, SHMQW_FLAG_REPLY, 0, 3, 0);
    shmqw_put_fixed(&w, &d, sizeof d);
    shmqw_put_group_stat(&w, &g, "g1", "@dead.t");
    shmqw_put_group_stat(&w, &g, "g2", "");
    shmqw_put_endpoint_stat(&w, &e, "g1");
    assert_int_equal(shmqw_open(frame, shmqw_end(&w), false, &m), SHMQW_OK);
    assert_true(shmqw_open_group_stat(
        &m.tlv[SHMQW_TLV_GROUP_STAT], &g2, &name, &other));
    assert_int_equal(g2.lag_messages, 3);
    assert_int_equal(name.len, 2);
    assert_memory_equal(other.at, "@dead.t", other.len);
    assert_true(
        shmqw_open_endpoint_stat(&m.tlv[SHMQW_TLV_ENDPOINT_STAT], &e2, &name));
    assert_int_equal(e2.pid, -1);
    assert_memory_equal(name.at, "g1", 2);
    struct shmqw_view cut = m.tlv[SHMQW_TLV_ENDPOINT_STAT];
    for (; cut.len; cut.len--)
        assert_int_equal(shmqw_open_endpoint_stat(&cut, &e2, &name),
            cut.len >= sizeof e + 3);
}

static void writing_beyond_the_room_gives_nothing(void **state)
{
    (void)state;
    struct shmqw_writer w;
    struct shmqw_generation g = {1};
    uint8_t small[64];
    for (size_t cap = 0; cap < 40; cap++) {
        memset(small, 0xee, sizeof small);
        shmqw_begin(&w, small, cap, SHMQW_CHECK, 0, 0, 1, 1);
        shmqw_put_fixed(&w, &g, sizeof g);
        shmqw_put(&w, SHMQW_TLV_TEXT, "abcd", 4);
        assert_int_equal(shmqw_end(&w), 0);
        for (size_t i = cap; i < sizeof small; i++)
            assert_int_equal(small[i], 0xee);
    }
    shmqw_begin(&w, frame, sizeof frame, SHMQW_CHECK, 0, 0, 1, 1);
    shmqw_put_fixed(&w, &g, sizeof g);
    assert_int_equal(shmqw_room(&w), SHMQW_CONTROL_MAX - 24 - 8 - 4);
    shmqw_put(&w, SHMQW_TLV_TEXT, frame, shmqw_room(&w) + 1);
    assert_int_equal(shmqw_end(&w), 0);
}

static void statuses_have_frozen_numbers(void **state)
{
    (void)state;
    static const char *const names[] = {"OK", "BAD_FRAME",
        "UNSUPPORTED_VERSION", "UNKNOWN_COMMAND", "UNAUTHENTICATED",
        "FORBIDDEN", "NO_SUCH_TOPIC", "TOPIC_EXISTS", "OUT_OF_RANGE",
        "DATA_CORRUPT", "LOG_TRUNCATED", "NO_SPACE", "READ_ONLY", "TOO_LARGE",
        "CREDIT_EXCEEDED", "FENCED_GENERATION", "UNKNOWN_MEMBER", "GROUP_BUSY",
        "OUT_OF_ORDER", "PRODUCER_FENCED", "TIMEOUT_LEVEL", "OVERLOADED",
        "DURABILITY_FAILED", "COMMIT_BEYOND_END", "SHUTTING_DOWN",
        "CRC_MISMATCH", "HISTORY_GONE", "LIMIT", "STALE", "CLOSED", "INVALID",
        "NO_SUCH_GROUP", "GROUP_EXISTS", "NO_DAEMON", "INTERNAL",
        "UNKNOWN_SESSION", "UNKNOWN_STREAM", "FULL"};
    assert_int_equal(sizeof names / sizeof *names, SHMQW_STATUS_CNT);
    for (uint32_t i = 0; i < SHMQW_STATUS_CNT; i++)
        assert_string_equal(shmqw_status_name(i), names[i]);
    assert_string_equal(shmqw_status_name(SHMQW_STATUS_CNT), "UNKNOWN");
    assert_int_equal(SHMQW_STALE, 28);
    assert_int_equal(SHMQW_FULL, 37);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(every_shorter_frame_is_refused),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(headers_are_refused_by_name),
        cmocka_unit_test(longer_fixed_parts_and_unknown_tlvs_pass),
        cmocka_unit_test(a_single_tlv_given_twice_is_refused),
        cmocka_unit_test(replies_of_lists_name_many),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(fields_out_of_range_are_invalid),
        cmocka_unit_test(publishes_are_checked),
        cmocka_unit_test(ranges_are_read_and_checked),
        cmocka_unit_test(statistics_keep_their_names),
        cmocka_unit_test(writing_beyond_the_room_gives_nothing),
        cmocka_unit_test(statuses_have_frozen_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
