/* wire_dump - tells what messages of the wire protocol say, by the C codec. A
 * line of input is `PEER PART...`, parts in hex ("-": an empty one), and gives
 * a line of output in the words of tests/e2e/golden_support.py; "refused:
 * STATUS" for what is no message. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/payload.h"

#define PARTS_MAX 4

struct part {
    uint8_t *at;
    size_t len;
};

struct field {
    const char *name;
    uint16_t off, bytes;
};

#define F(s, m) \
    { \
#m, offsetof(struct shmqw_##s, m), \
            sizeof(((struct shmqw_##s *)NULL)->m) \
    }
#define TABLE(s) static const struct field s##_fields[]

TABLE(hello) = {F(hello, proto_min), F(hello, proto_max), F(hello, lease_ms),
    F(hello, features), F(hello, session_id), F(hello, session_token), {0}};
TABLE(welcome) = {F(welcome, proto), F(welcome, lease_ms), F(welcome, features),
    F(welcome, session_id), F(welcome, session_token), F(welcome, boot_id),
    F(welcome, server_time_ns), F(welcome, heartbeat_ms),
    F(welcome, max_payload), F(welcome, max_streams), F(welcome, max_attrs),
    F(welcome, max_credit_bytes), F(welcome, max_credit_records),
    F(welcome, publish_msgs), F(welcome, publish_bytes),
    F(welcome, feed_max_bytes), {0}};
TABLE(list) = {F(list, max), {0}};
TABLE(done) = {{0}};
TABLE(describe) = {F(describe, what), {0}};
TABLE(create) = {F(create, ring), F(create, on_full), F(create, durability),
    F(create, flags), F(create, capacity_frames), F(create, arena_bytes),
    F(create, max_message_bytes), F(create, max_producers),
    F(create, max_groups), F(create, max_members), F(create, mode),
    F(create, data_mode), F(create, timestamps), F(create, ttl_ns), {0}};
TABLE(described) = {F(described, earliest), F(described, published),
    F(described, written), F(described, durable), F(described, gate),
    F(described, depth_messages), F(described, depth_bytes),
    F(described, total_messages), F(described, total_bytes),
    F(described, dropped_new), F(described, dropped_old),
    F(described, dropped_corrupt), F(described, expired), F(described, reaped),
    F(described, segment_bytes), F(described, capacity_bytes),
    F(described, leaked_loan_bytes), F(described, producer_cnt),
    F(described, member_cnt), F(described, group_cnt), F(described, ring_full),
    F(described, epoch), F(described, owner), F(described, group_owner), {0}};
TABLE(group_stat) = {F(group_stat, kind), F(group_stat, absent),
    F(group_stat, max_attempts), F(group_stat, member_cnt),
    F(group_stat, claimed), F(group_stat, gates), F(group_stat, lease_ns),
    F(group_stat, floor), F(group_stat, lag_messages), F(group_stat, lag_bytes),
    F(group_stat, oldest_unread_ns), F(group_stat, redelivered),
    F(group_stat, dead_lettered), F(group_stat, expired),
    F(group_stat, idle_since_ns), {0}};
TABLE(endpoint_stat) = {F(endpoint_stat, id), F(endpoint_stat, role),
    F(endpoint_stat, state), F(endpoint_stat, pid), F(endpoint_stat, identity),
    F(endpoint_stat, since_ns), F(endpoint_stat, holds_frames),
    F(endpoint_stat, messages), F(endpoint_stat, waiting), {0}};
TABLE(attach) = {F(attach, flags), F(attach, kind), F(attach, absent),
    F(attach, start), F(attach, read_level), F(attach, start_value),
    F(attach, until), F(attach, group_lease_ns), F(attach, max_attempts),
    F(attach, prefetch_frames), F(attach, credit_bytes),
    F(attach, credit_records), F(attach, max_batch), {0}};
TABLE(attached) = {F(attached, generation), F(attached, position),
    F(attached, earliest), F(attached, published), F(attached, epoch),
    F(attached, kind), F(attached, created), F(attached, endpoint), {0}};
TABLE(credit) = {F(credit, bytes), F(credit, records), {0}};
TABLE(deliver) = {F(deliver, generation), F(deliver, delivery),
    F(deliver, prev_pos), F(deliver, base_pos), F(deliver, published),
    F(deliver, durable), F(deliver, record_cnt), F(deliver, payload_crc32c),
    F(deliver, epoch), F(deliver, end_pos), {0}};
TABLE(gap) = {F(gap, generation), F(gap, delivery), F(gap, from), F(gap, to),
    F(gap, frames), F(gap, records), F(gap, reason), F(gap, epoch), {0}};
TABLE(end) = {F(end, generation), F(end, delivery), F(end, next), {0}};
TABLE(generation) = {F(generation, generation), {0}};
TABLE(acked) = {F(acked, done), F(acked, stale), {0}};
TABLE(nack) = {F(nack, generation), F(nack, delay_ns), {0}};
TABLE(nacked) = {F(nacked, done), F(nacked, stale), F(nacked, generation), {0}};
TABLE(commit) = {F(commit, generation), F(commit, position), F(commit, level),
    F(commit, timeout_ms), {0}};
TABLE(committed) = {F(committed, floor), F(committed, level), {0}};
TABLE(seek) = {F(seek, generation), F(seek, start), F(seek, value), {0}};
TABLE(sought) = {F(sought, generation), F(sought, position), {0}};
TABLE(checked) = {
    F(checked, drained), F(checked, position), F(checked, published), {0}};
TABLE(publish) = {F(publish, producer_id), F(publish, sequence),
    F(publish, settled), F(publish, since), F(publish, epoch),
    F(publish, record_cnt), F(publish, payload_crc32c), F(publish, timeout_ms),
    F(publish, level), {0}};
TABLE(puback) = {F(puback, sequence), F(puback, base_pos), F(puback, end_pos),
    F(puback, expected), F(puback, record_cnt), F(puback, level),
    F(puback, flags), F(puback, window_msgs), F(puback, window_bytes),
    F(puback, retry_after_ms), {0}};
TABLE(ping) = {F(ping, nonce), {0}};
TABLE(pong) = {F(pong, nonce), F(pong, time_ns), {0}};
TABLE(error) = {F(error, low), F(error, high), F(error, retry_after_ms),
    F(error, command), {0}};
TABLE(bye) = {F(bye, drain_ms), {0}};
TABLE(feed) = {F(feed, version), F(feed, flags), F(feed, epoch),
    F(feed, prev_pos), F(feed, pos), F(feed, durable), F(feed, time_ns),
    F(feed, size), F(feed, crc32c), {0}};

static const struct field *const asked[SHMQW_COMMAND_CNT] = {
    [SHMQW_HELLO] = hello_fields,
    [SHMQW_LIST] = list_fields,
    [SHMQW_DESCRIBE] = describe_fields,
    [SHMQW_CREATE] = create_fields,
    [SHMQW_ATTACH] = attach_fields,
    [SHMQW_CREDIT] = credit_fields,
    [SHMQW_DELIVER] = deliver_fields,
    [SHMQW_COMMIT] = commit_fields,
    [SHMQW_SEEK] = seek_fields,
    [SHMQW_DETACH] = generation_fields,
    [SHMQW_PUBLISH] = publish_fields,
    [SHMQW_GAP] = gap_fields,
    [SHMQW_PING] = ping_fields,
    [SHMQW_REVOKE] = generation_fields,
    [SHMQW_ERROR] = error_fields,
    [SHMQW_BYE] = bye_fields,
    [SHMQW_ACK] = generation_fields,
    [SHMQW_NACK] = nack_fields,
    [SHMQW_CHECK] = generation_fields,
    [SHMQW_END] = end_fields,
};

static const struct field *const answered[SHMQW_COMMAND_CNT] = {
    [SHMQW_WELCOME] = welcome_fields,
    [SHMQW_LIST] = done_fields,
    [SHMQW_DESCRIBE] = described_fields,
    [SHMQW_CREATE] = done_fields,
    [SHMQW_ATTACH] = attached_fields,
    [SHMQW_COMMIT] = committed_fields,
    [SHMQW_SEEK] = sought_fields,
    [SHMQW_DETACH] = done_fields,
    [SHMQW_PUBACK] = puback_fields,
    [SHMQW_PONG] = pong_fields,
    [SHMQW_ERROR] = error_fields,
    [SHMQW_BYE] = bye_fields,
    [SHMQW_ACK] = acked_fields,
    [SHMQW_NACK] = nacked_fields,
    [SHMQW_CHECK] = checked_fields,
};

/* -- telling ----------------------------------------------------------------
 */

static void tell_fields(
    const struct field *f, const uint8_t *fixed, const char *before)
{
    for (; f && f->name; f++) {
        uint64_t value = 0;
        memcpy(&value, fixed + f->off, f->bytes);
        printf("%s%s=%llu", before, f->name, (unsigned long long)value);
        before = " ";
    }
}

static void tell_hex(const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        printf("%02x", ((const uint8_t *)at)[i]);
}

static void tell_text(const void *at, size_t len)
{
    const char *text = at;
    putchar('"');
    for (size_t i = 0; i < len && text[i]; i++) {
        if (text[i] == '"' || text[i] == '\\')
            putchar('\\');
        putchar(text[i]);
    }
    putchar('"');
}

static void tell_group(const struct shmqw_view *value)
{
    struct shmqw_group_stat s;
    struct shmqw_view name = {NULL, 0}, dead_letter = {NULL, 0};
    printf(" GROUP_STAT(");
    if (shmqw_open_group_stat(value, &s, &name, &dead_letter)) {
        tell_fields(group_stat_fields, (const uint8_t *)&s, "");
        printf(" name=");
        tell_text(name.at, name.len);
        printf(" dead_letter=");
        tell_text(dead_letter.at, dead_letter.len);
    }
    putchar(')');
}

static void tell_endpoint(const struct shmqw_view *value)
{
    struct shmqw_endpoint_stat s;
    struct shmqw_view group = {NULL, 0};
    printf(" ENDPOINT_STAT(");
    if (shmqw_open_endpoint_stat(value, &s, &group)) {
        tell_fields(endpoint_stat_fields, (const uint8_t *)&s, "");
        printf(" comm=");
        tell_text(s.comm, sizeof s.comm);
        printf(" group=");
        tell_text(group.at, group.len);
        printf(" blocks=");
        for (uint32_t i = 0; i < s.block_cnt && i < 16; i++)
            printf("%s%u", i ? "," : "", s.blocks[i]);
    }
    putchar(')');
}

static void tell_tlv(
    const struct shmqw_message *m, uint32_t type, const struct shmqw_view *v)
{
    static const char *const texts[SHMQW_TLV_CNT] = {
        [SHMQW_TLV_TEXT] = "TEXT",
        [SHMQW_TLV_NAME] = "NAME",
        [SHMQW_TLV_TOPIC] = "TOPIC",
        [SHMQW_TLV_GROUP] = "GROUP",
        [SHMQW_TLV_NAMESPACE] = "NAMESPACE",
        [SHMQW_TLV_DEAD_LETTER] = "DEAD_LETTER",
        [SHMQW_TLV_SCHEMA] = "SCHEMA",
        [SHMQW_TLV_FEED] = "FEED",
        [SHMQW_TLV_PATTERN] = "PATTERN",
        [SHMQW_TLV_MEMBER] = "MEMBER",
    };
    if (type < SHMQW_TLV_CNT && texts[type]) {
        printf(" %s=", texts[type]);
        tell_text(v->at, v->len);
    } else if (type == SHMQW_TLV_RANGES) {
        printf(" RANGES=");
        for (uint32_t i = 0; i < shmqw_range_cnt(m); i++)
            printf("[%llu,%llu)", (unsigned long long)shmqw_range_at(m, i).from,
                (unsigned long long)shmqw_range_at(m, i).to);
    } else if (type == SHMQW_TLV_POSITIONS) {
        printf(" POSITIONS=");
        for (uint32_t i = 0; i < shmqw_position_cnt(m); i++)
            printf("%s%llu", i ? "," : "",
                (unsigned long long)shmqw_position_at(m, i));
    } else if (type == SHMQW_TLV_GROUP_STAT) {
        tell_group(v);
    } else if (type == SHMQW_TLV_ENDPOINT_STAT) {
        tell_endpoint(v);
    } else {
        printf(" TLV%u=", type);
        tell_hex(v->at, v->len);
    }
}

static void tell_attrs(const void *attrs, uint32_t bytes)
{
    struct shmqw_attr attr;
    uint32_t cursor = 0;
    while (shmqw_attr_next(attrs, bytes, &cursor, &attr)) {
        printf(" attr%u=", attr.type);
        if (attr.name) {
            tell_hex(attr.name, strlen(attr.name) + 1);
            tell_hex(attr.value, attr.value_bytes);
        } else {
            tell_hex(attr.value, attr.value_bytes);
        }
    }
}

static void tell_record(const struct shmqw_record *r)
{
    printf("record(%u ", r->size);
    tell_hex(r->data, r->size);
    tell_attrs(r->attrs, r->attr_bytes);
    putchar(')');
}

static void tell_payload(const struct shmqw_message *m, const struct part *part)
{
    struct shmqw_cursor cursor = {.at = part->at, .len = part->len};
    struct shmqw_delivered d;
    struct shmqw_publish publish;
    struct shmqw_deliver deliver;
    bool delivers = m->command == SHMQW_DELIVER;
    uint32_t want;
    if (delivers) {
        shmqw_fixed(m, &deliver, sizeof deliver);
        want = deliver.payload_crc32c;
    } else {
        shmqw_fixed(m, &publish, sizeof publish);
        want = publish.payload_crc32c;
    }
    printf(" payload=%s",
        shmqw_crc32c(0, part->at, part->len) == want ? "whole" : "damaged");
    while (delivers && shmqw_delivered_next(&cursor, &d)) {
        printf(" at(%llu %llu %llu %lld %u %d)", (unsigned long long)d.position,
            (unsigned long long)d.producer, (unsigned long long)d.sequence,
            (long long)d.time_ns, d.attempt,
            (d.flags & SHMQW_RUN_REDELIVERED) != 0);
        tell_record(&d.record);
    }
    while (!delivers && shmqw_record_next(&cursor, &d.record)) {
        putchar(' ');
        tell_record(&d.record);
    }
    if (cursor.broken)
        printf(" broken");
}

static void tell_control(const struct part *parts, uint32_t cnt)
{
    struct shmqw_message m;
    struct shmqw_view v;
    uint32_t cursor = 0, type;
    enum shmqw_status status =
        shmqw_open(parts[0].at, parts[0].len, cnt > 1, &m);
    if (status != SHMQW_OK) {
        printf("refused: %s", shmqw_status_name(status));
        return;
    }
    printf("%s flags=%u status=%u corr_id=%u stream_id=%u",
        shmqw_command_name(m.command), m.flags, m.status, m.corr_id,
        m.stream_id);
    bool reply = (m.flags & SHMQW_FLAG_REPLY) != 0;
    if (reply && m.command == SHMQW_DESCRIBE) /* begins with them */
        tell_fields(create_fields, m.fixed, " ");
    tell_fields((reply ? answered : asked)[m.command], m.fixed, " ");
    while (shmqw_tlv_next(&m, &cursor, &type, &v))
        tell_tlv(&m, type, &v);
    if (cnt > 1)
        tell_payload(&m, &parts[1]);
}

static void tell_feed(const struct part *parts, uint32_t cnt)
{
    struct shmqw_feed head;
    struct shmqw_view topic;
    bool heartbeat;
    if (cnt == 1 && parts[0].len == 11) {
        uint64_t boot;
        memcpy(&boot, parts[0].at + 3, sizeof boot);
        printf("FEED_WELCOME version=%u boot_id=%llu", parts[0].at[2],
            (unsigned long long)boot);
        return;
    }
    if (cnt < 3 || !shmqw_feed_open(parts[1].at, parts[1].len, &head) ||
        !shmqw_feed_topic(parts[0].at, parts[0].len, &topic, &heartbeat)) {
        printf("refused: BAD_FRAME");
        return;
    }
    printf("FEED topic=");
    tell_text(topic.at, topic.len);
    printf(" heartbeat=%d", heartbeat);
    tell_fields(feed_fields, (const uint8_t *)&head, " ");
    printf(" data=");
    tell_hex(parts[2].at, parts[2].len);
    if (cnt > 3)
        tell_attrs(parts[3].at, (uint32_t)parts[3].len);
}

static void tell_push(const struct part *parts, uint32_t cnt)
{
    printf("PUSH topic=");
    tell_text(parts[0].at, parts[0].len - 1);
    printf(" data=");
    if (cnt > 1)
        tell_hex(parts[1].at, parts[1].len);
}

/* -- input ------------------------------------------------------------------
 */

/* A part in memory of exactly its size, so that reading beyond it is seen. */
static struct part read_part(const char *hex)
{
    struct part p = {NULL, 0};
    if (strcmp(hex, "-") != 0)
        p.len = strlen(hex) / 2;
    p.at = malloc(p.len ? p.len : 1);
    for (size_t i = 0; p.at && i < p.len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        p.at[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return p;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        struct part parts[PARTS_MAX] = {{NULL, 0}};
        uint32_t cnt = 0;
        char *at, *who = strtok_r(line, " \n", &at);
        for (char *hex; cnt < PARTS_MAX && (hex = strtok_r(NULL, " \n", &at));)
            parts[cnt++] = read_part(hex);
        if (!who || cnt == 0)
            break;
        if (strcmp(who, "sub") == 0)
            tell_feed(parts, cnt);
        else if (strcmp(who, "push") == 0)
            tell_push(parts, cnt);
        else
            tell_control(parts, cnt);
        putchar('\n');
        while (cnt > 0)
            free(parts[--cnt].at);
    }
    free(line);
    return 0;
}
