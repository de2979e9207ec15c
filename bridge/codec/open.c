/* open.c - opening control frames: nothing is looked at before its length has
 * been checked, and every field that has a range is checked against it. */
#include <string.h>

#include "payload.h"

/* What each command must bring. min_bytes of 0 in `asked` or `answered`: the
 * command does not exist that way. */
struct rule {
    uint16_t asked; /* fixed part, as a request or unasked */
    uint16_t answered; /* with REPLY */
    uint32_t needs; /* TLVs a request cannot be without, by type */
    bool payload;
};

#define BYTES(s) (uint16_t)sizeof(struct shmqw_##s)
#define TLV(t) (1u << SHMQW_TLV_##t)

static const struct rule rules[SHMQW_COMMAND_CNT] = {
    [SHMQW_HELLO] = {BYTES(hello), 0, 0, false},
    [SHMQW_WELCOME] = {0, BYTES(welcome), 0, false},
    [SHMQW_LIST] = {BYTES(list), BYTES(done), 0, false},
    [SHMQW_DESCRIBE] = {BYTES(describe), BYTES(described), TLV(TOPIC), false},
    [SHMQW_CREATE] = {BYTES(create), BYTES(done), TLV(TOPIC), false},
    [SHMQW_ATTACH] = {BYTES(attach), BYTES(attached), TLV(TOPIC), false},
    [SHMQW_CREDIT] = {BYTES(credit), 0, 0, false},
    [SHMQW_DELIVER] = {BYTES(deliver), 0, 0, true},
    [SHMQW_COMMIT] = {BYTES(commit), BYTES(committed), 0, false},
    [SHMQW_SEEK] = {BYTES(seek), BYTES(sought), 0, false},
    [SHMQW_DETACH] = {BYTES(generation), BYTES(done), 0, false},
    [SHMQW_PUBLISH] = {BYTES(publish), 0, TLV(TOPIC), true},
    [SHMQW_PUBACK] = {0, BYTES(puback), 0, false},
    [SHMQW_GAP] = {BYTES(gap), 0, 0, false},
    [SHMQW_PING] = {BYTES(ping), 0, 0, false},
    [SHMQW_PONG] = {0, BYTES(pong), 0, false},
    [SHMQW_REVOKE] = {BYTES(generation), 0, 0, false},
    [SHMQW_ERROR] = {BYTES(error), BYTES(error), 0, false},
    [SHMQW_BYE] = {BYTES(bye), BYTES(bye), 0, false},
    [SHMQW_ACK] = {BYTES(generation), BYTES(acked), TLV(RANGES), false},
    [SHMQW_NACK] = {BYTES(nack), BYTES(nacked), TLV(RANGES), false},
    [SHMQW_CHECK] = {BYTES(generation), BYTES(checked), 0, false},
    [SHMQW_END] = {BYTES(end), 0, 0, false},
};

void shmqw_fixed(const struct shmqw_message *msg, void *ret, size_t bytes)
{
    size_t have = msg->fixed_bytes < bytes ? msg->fixed_bytes : bytes;
    if (have)
        memcpy(ret, msg->fixed, have);
    if (have < bytes)
        memset((uint8_t *)ret + have, 0, bytes - have);
}

bool shmqw_tlv_next(const struct shmqw_message *msg, uint32_t *cursor,
    uint32_t *ret_type, struct shmqw_view *ret)
{
    uint32_t left = msg->tlvs.len - *cursor;
    uint16_t head[2];
    if (*cursor > msg->tlvs.len || left < sizeof head)
        return false;
    memcpy(head, msg->tlvs.at + *cursor, sizeof head);
    if (head[0] == 0 || head[1] > left - sizeof head)
        return false;
    *ret_type = head[0];
    ret->at = msg->tlvs.at + *cursor + sizeof head;
    ret->len = head[1];
    *cursor += (uint32_t)sizeof head + head[1];
    return true;
}

static bool may_repeat(const struct shmqw_message *m, uint32_t type)
{
    return type == SHMQW_TLV_GROUP_STAT || type == SHMQW_TLV_ENDPOINT_STAT ||
        (type == SHMQW_TLV_TOPIC && m->command == SHMQW_LIST &&
            (m->flags & SHMQW_FLAG_REPLY));
}

static bool text_legal(const struct shmqw_view *v)
{
    return v->len == 0 || memchr(v->at, 0, v->len) == NULL;
}

static enum shmqw_status stat_legal(uint32_t type, const struct shmqw_view *v)
{
    struct shmqw_group_stat group;
    struct shmqw_endpoint_stat endpoint;
    struct shmqw_view name;
    bool legal = type == SHMQW_TLV_GROUP_STAT
        ? shmqw_open_group_stat(v, &group, &name, NULL)
        : shmqw_open_endpoint_stat(v, &endpoint, &name);
    return legal ? SHMQW_OK : SHMQW_BAD_FRAME;
}

/* One TLV's value by itself. */
static enum shmqw_status value_legal(uint32_t type, const struct shmqw_view *v)
{
    switch (type) {
    case SHMQW_TLV_TOPIC:
    case SHMQW_TLV_DEAD_LETTER:
        return shmqw_topic_legal(v->at, v->len) ? SHMQW_OK : SHMQW_INVALID;
    case SHMQW_TLV_GROUP:
        return shmqw_group_legal(v->at, v->len) ? SHMQW_OK : SHMQW_INVALID;
    case SHMQW_TLV_RANGES:
        return v->len % sizeof(struct shmqw_range) ? SHMQW_BAD_FRAME : SHMQW_OK;
    case SHMQW_TLV_POSITIONS:
        return v->len % sizeof(uint64_t) ? SHMQW_BAD_FRAME : SHMQW_OK;
    case SHMQW_TLV_GROUP_STAT:
    case SHMQW_TLV_ENDPOINT_STAT:
        return stat_legal(type, v);
    default:
        return text_legal(v) ? SHMQW_OK : SHMQW_INVALID;
    }
}

static enum shmqw_status open_tlvs(struct shmqw_message *m)
{
    uint32_t cursor = 0, type;
    enum shmqw_status first = SHMQW_OK;
    struct shmqw_view v;
    while (shmqw_tlv_next(m, &cursor, &type, &v)) {
        if (type >= SHMQW_TLV_CNT) {
            if (type & SHMQW_TLV_MUST_UNDERSTAND)
                return SHMQW_BAD_FRAME;
            continue;
        }
        if (m->tlv[type].at && !may_repeat(m, type))
            return SHMQW_BAD_FRAME;
        enum shmqw_status status = value_legal(type, &v);
        if (status == SHMQW_BAD_FRAME)
            return status;
        if (first == SHMQW_OK)
            first = status;
        if (!m->tlv[type].at)
            m->tlv[type] = v;
    }
    return cursor == m->tlvs.len ? first : SHMQW_BAD_FRAME;
}

static bool ranges_legal(const struct shmqw_message *m)
{
    uint32_t cnt = shmqw_range_cnt(m);
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmqw_range range = shmqw_range_at(m, i);
        if (range.from >= range.to)
            return false;
    }
    return cnt > 0;
}

static bool attach_legal(const struct shmqw_message *m)
{
    struct shmqw_attach a;
    shmqw_fixed(m, &a, sizeof a);
    bool grouped = m->tlv[SHMQW_TLV_GROUP].at != NULL;
    return a.kind <= 2 && a.absent <= 2 && a.start <= SHMQW_START_TIME &&
        a.read_level <= SHMQW_LEVEL_DURABLE &&
        (!grouped || a.until == SHMQW_NONE);
}

static bool create_legal(const struct shmqw_message *m)
{
    struct shmqw_create c;
    shmqw_fixed(m, &c, sizeof c);
    return c.ring <= 2 && c.on_full <= 3 && c.durability <= 2 &&
        c.flags <= 31 && c.timestamps <= 3;
}

static bool publish_legal(const struct shmqw_message *m)
{
    struct shmqw_publish p;
    shmqw_fixed(m, &p, sizeof p);
    if (p.level > SHMQW_LEVEL_DURABLE || p.record_cnt == 0 ||
        p.record_cnt > SHMQW_RECORDS_MAX)
        return false;
    if (p.producer_id == 0)
        return p.sequence == 0 && p.settled == 0 && p.since == 0 &&
            p.epoch == 0;
    return p.epoch > 0 && p.settled <= p.sequence &&
        p.sequence <= UINT64_MAX - SHMQW_RECORDS_MAX;
}

static bool hello_legal(const struct shmqw_message *m)
{
    struct shmqw_hello h;
    shmqw_fixed(m, &h, sizeof h);
    return h.proto_min <= h.proto_max;
}

static bool seek_legal(const struct shmqw_message *m)
{
    struct shmqw_seek s;
    shmqw_fixed(m, &s, sizeof s);
    return s.start >= SHMQW_START_EARLIEST && s.start <= SHMQW_START_TIME;
}

static bool nack_legal(const struct shmqw_message *m)
{
    struct shmqw_nack n;
    shmqw_fixed(m, &n, sizeof n);
    return n.delay_ns <= SHMQW_DELAY_MAX_NS && ranges_legal(m);
}

static bool commit_legal(const struct shmqw_message *m)
{
    struct shmqw_commit c;
    shmqw_fixed(m, &c, sizeof c);
    return c.level <= SHMQW_LEVEL_DURABLE;
}

static bool deliver_legal(const struct shmqw_message *m)
{
    struct shmqw_deliver d;
    shmqw_fixed(m, &d, sizeof d);
    return d.record_cnt > 0;
}

static bool puback_legal(const struct shmqw_message *m)
{
    struct shmqw_puback p;
    shmqw_fixed(m, &p, sizeof p);
    uint32_t cnt = shmqw_position_cnt(m);
    return p.level <= SHMQW_LEVEL_DURABLE &&
        p.record_cnt <= SHMQW_RECORDS_MAX && (cnt == 0 || cnt == p.record_cnt);
}

static bool gap_legal(const struct shmqw_message *m)
{
    struct shmqw_gap g;
    shmqw_fixed(m, &g, sizeof g);
    return g.from <= g.to;
}

/* Fields of the fixed part. */
static bool fields_legal(const struct shmqw_message *m)
{
    bool reply = m->flags & SHMQW_FLAG_REPLY;
    switch (m->command) {
    case SHMQW_HELLO:
        return hello_legal(m);
    case SHMQW_CREATE:
        return reply || create_legal(m);
    case SHMQW_ATTACH:
        return reply || attach_legal(m);
    case SHMQW_DELIVER:
        return deliver_legal(m);
    case SHMQW_COMMIT:
        return reply || commit_legal(m);
    case SHMQW_SEEK:
        return reply || seek_legal(m);
    case SHMQW_PUBLISH:
        return publish_legal(m);
    case SHMQW_PUBACK:
        return puback_legal(m);
    case SHMQW_GAP:
        return gap_legal(m);
    case SHMQW_ACK:
        return reply || ranges_legal(m);
    case SHMQW_NACK:
        return reply || nack_legal(m);
    default:
        return true;
    }
}

static bool needs_met(const struct shmqw_message *m, uint32_t needs)
{
    for (uint32_t type = 1; type < SHMQW_TLV_CNT; type++)
        if ((needs & 1u << type) && !m->tlv[type].at)
            return false;
    return true;
}

static bool crc_right(const uint8_t *bytes, size_t len)
{
    static const uint8_t zeros[4] = {0};
    const size_t at = offsetof(struct shmqw_header, crc32c);
    uint32_t said, crc = shmqw_crc32c(0, bytes, at);
    memcpy(&said, bytes + at, sizeof said);
    crc = shmqw_crc32c(crc, zeros, sizeof zeros);
    return shmqw_crc32c(crc, bytes + at + 4, len - at - 4) == said;
}

/* The header, and where the parts lie. */
static enum shmqw_status open_header(
    const uint8_t *bytes, size_t len, struct shmqw_message *ret)
{
    struct shmqw_header h;
    if (len < sizeof h || len > SHMQW_CONTROL_MAX)
        return SHMQW_BAD_FRAME;
    memcpy(&h, bytes, sizeof h);
    if (h.magic[0] != 'S' || h.magic[1] != 'Q')
        return SHMQW_BAD_FRAME;
    ret->command = h.command;
    ret->corr_id = h.corr_id;
    ret->stream_id = h.stream_id;
    if (h.version != SHMQW_VERSION)
        return SHMQW_UNSUPPORTED_VERSION;
    if (!crc_right(bytes, len))
        return SHMQW_CRC_MISMATCH;
    if (h.fixed_bytes > len - sizeof h)
        return SHMQW_BAD_FRAME;
    ret->flags = h.flags;
    ret->status = h.status;
    ret->fixed = bytes + sizeof h;
    ret->fixed_bytes = h.fixed_bytes;
    ret->tlvs.at = ret->fixed + h.fixed_bytes;
    ret->tlvs.len = (uint32_t)(len - sizeof h - h.fixed_bytes);
    return SHMQW_OK;
}

enum shmqw_status shmqw_open(
    const void *bytes, size_t len, bool has_payload, struct shmqw_message *ret)
{
    memset(ret, 0, sizeof *ret);
    enum shmqw_status status = open_header(bytes, len, ret);
    if (status != SHMQW_OK)
        return status;
    bool reply = ret->flags & SHMQW_FLAG_REPLY;
    if (ret->command >= SHMQW_COMMAND_CNT ||
        (!rules[ret->command].asked && !rules[ret->command].answered))
        return SHMQW_UNKNOWN_COMMAND;
    const struct rule *rule = &rules[ret->command];
    uint32_t least = reply ? rule->answered : rule->asked;
    bool flagged = ret->flags & SHMQW_FLAG_PAYLOAD;
    if (least == 0 || ret->fixed_bytes < least || flagged != has_payload ||
        flagged != rule->payload)
        return SHMQW_BAD_FRAME;
    status = open_tlvs(ret);
    if (status != SHMQW_OK)
        return status;
    if (!reply && !needs_met(ret, rule->needs))
        return SHMQW_BAD_FRAME;
    return fields_legal(ret) ? SHMQW_OK : SHMQW_INVALID;
}
