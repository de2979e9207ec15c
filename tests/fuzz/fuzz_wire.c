/* fuzz_wire.c - the codec of the wire protocol against any bytes.
 *
 * The first byte chooses what the rest is taken for. Whatever is accepted is
 * used as bridge and client use it: every field, TLV, record and attribute is
 * read, and written again, which must give what was read. */
#include <stdlib.h>
#include <string.h>

#include "codec/payload.h"

static uint64_t sum; /* keeps reads from being optimised away */

static void look(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        sum += p[i];
}

static void must(int holds)
{
    if (!holds)
        abort();
}

static void use_message(const struct shmqw_message *m)
{
    static uint8_t again[SHMQW_CONTROL_MAX + 4096];
    struct shmqw_writer w;
    struct shmqw_view v;
    uint32_t cursor = 0, type;
    char text[64];
    look(m->fixed, m->fixed_bytes);
    shmqw_begin(&w, again, sizeof again, m->command, m->flags, m->status,
        m->corr_id, m->stream_id);
    shmqw_put_fixed(&w, m->fixed, m->fixed_bytes);
    while (shmqw_tlv_next(m, &cursor, &type, &v)) {
        struct shmqw_group_stat group;
        struct shmqw_endpoint_stat endpoint;
        struct shmqw_view name, other;
        look(v.at, v.len);
        shmqw_put(&w, type, v.at, v.len);
        if (type == SHMQW_TLV_GROUP_STAT) {
            must(shmqw_open_group_stat(&v, &group, &name, &other));
            look(name.at, name.len);
            look(other.at, other.len);
        } else if (type == SHMQW_TLV_ENDPOINT_STAT) {
            must(shmqw_open_endpoint_stat(&v, &endpoint, &name));
            look(name.at, name.len);
        }
    }
    must(cursor == m->tlvs.len);
    for (uint32_t i = 0; i < shmqw_range_cnt(m); i++)
        sum += shmqw_range_at(m, i).from;
    for (uint32_t i = 0; i <= shmqw_position_cnt(m); i++)
        sum += shmqw_position_at(m, i);
    for (uint32_t t = 1; t < SHMQW_TLV_CNT; t++)
        if (shmqw_text(m, (enum shmqw_tlv)t, text, sizeof text))
            look(text, strlen(text));
    struct shmqw_message second;
    size_t len = shmqw_end(&w);
    must(len != 0);
    must(shmqw_open(again, len, m->flags & SHMQW_FLAG_PAYLOAD, &second) ==
        SHMQW_OK);
    must(second.command == m->command && second.tlvs.len == m->tlvs.len);
}

/* `mend`: the CRC is made right first, else nothing would get further. */
static void fuzz_control(uint8_t *bytes, size_t len, int mend, int payload)
{
    struct shmqw_message m;
    if (mend && len >= sizeof(struct shmqw_header)) {
        memset(bytes + 16, 0, 4);
        uint32_t crc = shmqw_crc32c(0, bytes, len);
        memcpy(bytes + 16, &crc, 4);
    }
    if (shmqw_open(bytes, len, payload, &m) == SHMQW_OK)
        use_message(&m);
    else
        sum += m.corr_id + m.stream_id + m.command;
}

static void use_record(const struct shmqw_record *r)
{
    uint32_t cursor = 0;
    struct shmqw_attr a;
    look(r->data, r->size);
    while (shmqw_attr_next(r->attrs, r->attr_bytes, &cursor, &a)) {
        look(a.value, a.value_bytes);
        if (a.name)
            look(a.name, strlen(a.name));
    }
    must(cursor <= r->attr_bytes);
    if (shmqw_attrs_legal(r->attrs, r->attr_bytes, false))
        must(cursor == r->attr_bytes);
}

static void fuzz_publish(const uint8_t *bytes, size_t len)
{
    struct shmqw_cursor c = {.at = bytes, .len = len};
    struct shmqw_record r;
    uint32_t cnt = 0;
    uint64_t covered = 0;
    for (; shmqw_record_next(&c, &r); cnt++) {
        use_record(&r);
        covered += shmqw_record_bytes(r.size, r.attr_bytes);
    }
    must(c.broken || covered == len);
    struct shmqw_publish body = {
        .record_cnt = cnt, .payload_crc32c = shmqw_crc32c(0, bytes, len)};
    enum shmqw_status status = shmqw_publish_check(&body, bytes, len);
    must((status == SHMQW_BAD_FRAME) == c.broken);
}

static void fuzz_deliver(const uint8_t *bytes, size_t len)
{
    static uint8_t again[1 << 20];
    struct shmqw_cursor c = {.at = bytes, .len = len};
    struct shmqw_delivered d;
    struct shmqw_payload p;
    uint32_t cnt = 0, last_run = 0;
    shmqw_payload_begin(&p, again, sizeof again);
    for (; shmqw_delivered_next(&c, &d); cnt++) {
        use_record(&d.record);
        if (p.len < sizeof again / 2)
            must(shmqw_put_delivered(&p, &d, cnt && d.run != last_run));
        last_run = d.run;
    }
    struct shmqw_deliver body = {
        .record_cnt = cnt, .payload_crc32c = shmqw_crc32c(0, bytes, len)};
    must((shmqw_deliver_check(&body, bytes, len) == SHMQW_OK) == !c.broken);
    body.record_cnt = p.record_cnt;
    body.payload_crc32c = shmqw_crc32c(0, again, p.len);
    must(shmqw_deliver_check(&body, again, p.len) == SHMQW_OK);
}

static void fuzz_feed(const uint8_t *bytes, size_t len)
{
    struct shmqw_feed head;
    struct shmqw_view topic;
    bool heartbeat;
    if (shmqw_feed_open(bytes, len, &head))
        sum += head.pos;
    if (shmqw_feed_topic(bytes, len, &topic, &heartbeat)) {
        look(topic.at, topic.len);
        must(topic.len > 0 && topic.len <= SHMQW_TOPIC_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    /* A copy that ends where its bytes do, so that a sanitizer sees every read
     * beyond them. */
    size_t len = size - 1;
    uint8_t *bytes = malloc(len ? len : 1);
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, len);
    switch (data[0] % 6) {
    case 0:
        fuzz_control(bytes, len, 0, data[0] & 0x80);
        break;
    case 1:
    case 2:
        fuzz_control(bytes, len, 1, data[0] & 0x80);
        break;
    case 3:
        fuzz_publish(bytes, len);
        break;
    case 4:
        fuzz_deliver(bytes, len);
        break;
    default:
        fuzz_feed(bytes, len);
        break;
    }
    free(bytes);
    return 0;
}
