/* wire.h - the numbers and the bytes of the wire protocol (docs/wire.md).
 *
 * The structs below are the fixed parts of control frames exactly as they are
 * sent: little-endian, naturally aligned, no padding; their offsets are
 * asserted. This file is their one owner. Hosts of other byte order are not
 * served by this codec.
 *
 * Prefix shmqw_ ("wire"): codec, shared by the bridge and the C client. It is
 * pure: no sockets, no allocation, no state. */
#ifndef SHMQW_WIRE_H
#define SHMQW_WIRE_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the codec needs a little-endian host"
#endif

#define SHMQW_VERSION 1u
#define SHMQW_NONE UINT64_MAX /* no position, not known */
#define SHMQW_CONTROL_MAX 65536u /* bytes of a control frame */
#define SHMQW_RANGES_MAX 4095u /* in one ACK or NACK */
#define SHMQW_RECORDS_MAX 4096u /* in one PUBLISH, in one run */
#define SHMQW_TOPIC_MAX 140u
#define SHMQW_GROUP_MAX 128u
#define SHMQW_ATTR_VALUE_MAX 65000u
#define SHMQW_DELAY_MAX_NS (24ull * 3600 * 1000000000)

enum shmqw_command {
    SHMQW_HELLO = 1,
    SHMQW_WELCOME = 2,
    SHMQW_LIST = 3,
    SHMQW_DESCRIBE = 4,
    SHMQW_CREATE = 5,
    SHMQW_ATTACH = 7,
    SHMQW_CREDIT = 8,
    SHMQW_DELIVER = 9,
    SHMQW_COMMIT = 10,
    SHMQW_SEEK = 11,
    SHMQW_DETACH = 12,
    SHMQW_PUBLISH = 14,
    SHMQW_PUBACK = 15,
    SHMQW_GAP = 16,
    SHMQW_PING = 17,
    SHMQW_PONG = 18,
    SHMQW_REVOKE = 19,
    SHMQW_ERROR = 21,
    SHMQW_BYE = 22,
    SHMQW_ACK = 23,
    SHMQW_NACK = 24,
    SHMQW_CHECK = 25,
    SHMQW_END = 26,
    SHMQW_COMMAND_CNT = 27
};

enum shmqw_flags {
    SHMQW_FLAG_REPLY = 1u << 0,
    SHMQW_FLAG_MORE = 1u << 1,
    SHMQW_FLAG_PAYLOAD = 1u << 2
};

enum shmqw_status {
    SHMQW_OK = 0,
    SHMQW_BAD_FRAME = 1,
    SHMQW_UNSUPPORTED_VERSION = 2,
    SHMQW_UNKNOWN_COMMAND = 3,
    SHMQW_UNAUTHENTICATED = 4,
    SHMQW_FORBIDDEN = 5,
    SHMQW_NO_SUCH_TOPIC = 6,
    SHMQW_TOPIC_EXISTS = 7,
    SHMQW_OUT_OF_RANGE = 8,
    SHMQW_DATA_CORRUPT = 9,
    SHMQW_LOG_TRUNCATED = 10,
    SHMQW_NO_SPACE = 11,
    SHMQW_READ_ONLY = 12,
    SHMQW_TOO_LARGE = 13,
    SHMQW_CREDIT_EXCEEDED = 14,
    SHMQW_FENCED_GENERATION = 15,
    SHMQW_UNKNOWN_MEMBER = 16,
    SHMQW_GROUP_BUSY = 17,
    SHMQW_OUT_OF_ORDER = 18,
    SHMQW_PRODUCER_FENCED = 19,
    SHMQW_TIMEOUT_LEVEL = 20,
    SHMQW_OVERLOADED = 21,
    SHMQW_DURABILITY_FAILED = 22,
    SHMQW_COMMIT_BEYOND_END = 23,
    SHMQW_SHUTTING_DOWN = 24,
    SHMQW_CRC_MISMATCH = 25,
    SHMQW_HISTORY_GONE = 26,
    SHMQW_LIMIT = 27,
    SHMQW_STALE = 28,
    SHMQW_CLOSED = 29,
    SHMQW_INVALID = 30,
    SHMQW_NO_SUCH_GROUP = 31,
    SHMQW_GROUP_EXISTS = 32,
    SHMQW_NO_DAEMON = 33,
    SHMQW_INTERNAL = 34,
    SHMQW_UNKNOWN_SESSION = 35,
    SHMQW_UNKNOWN_STREAM = 36,
    SHMQW_FULL = 37,
    SHMQW_STATUS_CNT = 38
};

enum shmqw_tlv {
    SHMQW_TLV_TEXT = 1,
    SHMQW_TLV_NAME = 2,
    SHMQW_TLV_TOPIC = 3,
    SHMQW_TLV_GROUP = 4,
    SHMQW_TLV_NAMESPACE = 5,
    SHMQW_TLV_DEAD_LETTER = 6,
    SHMQW_TLV_SCHEMA = 7,
    SHMQW_TLV_FEED = 8,
    SHMQW_TLV_PATTERN = 9,
    SHMQW_TLV_RANGES = 10,
    SHMQW_TLV_POSITIONS = 11,
    SHMQW_TLV_GROUP_STAT = 12,
    SHMQW_TLV_ENDPOINT_STAT = 13,
    SHMQW_TLV_MEMBER = 14,
    SHMQW_TLV_CNT = 15,
    SHMQW_TLV_MUST_UNDERSTAND = 0x8000
};

enum shmqw_level {
    SHMQW_LEVEL_DEFAULT = 0,
    SHMQW_LEVEL_PUBLISHED = 1,
    SHMQW_LEVEL_WRITTEN = 2,
    SHMQW_LEVEL_DURABLE = 3
};

enum shmqw_start {
    SHMQW_START_DEFAULT = 0,
    SHMQW_START_EARLIEST = 1,
    SHMQW_START_LATEST = 2,
    SHMQW_START_POSITION = 3,
    SHMQW_START_TIME = 4
};

enum shmqw_attach_flags { SHMQW_ATTACH_NO_CREATE = 1u << 0 };
enum shmqw_run_flags { SHMQW_RUN_REDELIVERED = 1u << 0 };
enum shmqw_puback_flags {
    SHMQW_PUBACK_DUP = 1u << 0,
    SHMQW_PUBACK_POSITIONS_UNKNOWN = 1u << 1
};
enum shmqw_describe_what {
    SHMQW_DESCRIBE_GROUPS = 1u << 0,
    SHMQW_DESCRIBE_ENDPOINTS = 1u << 1
};
enum shmqw_feed_flags {
    SHMQW_FEED_HEARTBEAT = 1u << 0,
    SHMQW_FEED_OMITTED = 1u << 1,
    SHMQW_FEED_ATTRS = 1u << 2
};

/* -- control frames ------------------------------------------------------- */

struct shmqw_header {
    uint8_t magic[2];
    uint8_t version;
    uint8_t command;
    uint16_t flags;
    uint16_t status;
    uint32_t corr_id;
    uint32_t stream_id;
    uint32_t crc32c;
    uint16_t fixed_bytes;
    uint16_t reserved;
};

struct shmqw_hello {
    uint8_t proto_min, proto_max;
    uint16_t reserved;
    uint32_t lease_ms;
    uint64_t features;
    uint64_t session_id;
    uint64_t session_token;
};

struct shmqw_welcome {
    uint8_t proto, reserved0;
    uint16_t reserved1;
    uint32_t lease_ms;
    uint64_t features;
    uint64_t session_id;
    uint64_t session_token;
    uint64_t boot_id;
    int64_t server_time_ns;
    uint32_t heartbeat_ms;
    uint32_t max_payload;
    uint32_t max_streams;
    uint32_t max_attrs;
    uint64_t max_credit_bytes;
    uint64_t max_credit_records;
    uint32_t publish_msgs;
    uint32_t publish_bytes;
    uint32_t feed_max_bytes;
    uint32_t reserved2;
};

struct shmqw_list {
    uint32_t max;
    uint32_t reserved;
};

/* Replies that say no more than "done". */
struct shmqw_done {
    uint64_t reserved;
};

struct shmqw_describe {
    uint32_t what; /* enum shmqw_describe_what */
    uint32_t reserved;
};

struct shmqw_create {
    uint32_t ring;
    uint32_t on_full;
    uint32_t durability;
    uint32_t flags;
    uint64_t capacity_frames;
    uint64_t arena_bytes;
    uint64_t max_message_bytes;
    uint32_t max_producers;
    uint32_t max_groups;
    uint32_t max_members;
    uint32_t mode;
    uint32_t data_mode;
    uint32_t timestamps;
    uint64_t ttl_ns;
};

struct shmqw_described {
    struct shmqw_create attrs;
    uint64_t earliest, published, written, durable;
    uint64_t gate;
    uint64_t depth_messages, depth_bytes;
    uint64_t total_messages, total_bytes;
    uint64_t dropped_new, dropped_old, dropped_corrupt;
    uint64_t expired, reaped;
    uint64_t segment_bytes, capacity_bytes, leaked_loan_bytes;
    uint32_t producer_cnt, member_cnt, group_cnt, ring_full;
    uint32_t epoch, owner, group_owner, reserved;
};

/* Followed by u8 n, the group's name, u8 n, the dead-letter topic's name. */
struct shmqw_group_stat {
    uint32_t kind, absent, max_attempts, member_cnt, claimed, gates;
    uint64_t lease_ns;
    uint64_t floor;
    uint64_t lag_messages, lag_bytes;
    int64_t oldest_unread_ns;
    uint64_t redelivered, dead_lettered, expired;
    int64_t idle_since_ns;
};

/* Followed by u8 n, the group's name. */
struct shmqw_endpoint_stat {
    uint32_t id, role, state;
    int32_t pid;
    uint64_t identity;
    int64_t since_ns;
    uint64_t holds_frames, messages;
    uint32_t waiting, block_cnt;
    uint32_t blocks[16];
    char comm[16];
};

struct shmqw_attach {
    uint32_t flags; /* enum shmqw_attach_flags */
    uint8_t kind, absent, start, read_level;
    uint64_t start_value;
    uint64_t until;
    uint64_t group_lease_ns;
    uint32_t max_attempts;
    uint32_t prefetch_frames;
    uint64_t credit_bytes;
    uint64_t credit_records;
    uint32_t max_batch;
    uint32_t reserved;
};

struct shmqw_attached {
    uint64_t generation;
    uint64_t position;
    uint64_t earliest;
    uint64_t published;
    uint32_t epoch;
    uint8_t kind, created;
    uint16_t reserved0;
    uint32_t endpoint;
    uint32_t reserved1;
};

struct shmqw_credit {
    uint64_t bytes;
    uint64_t records;
};

struct shmqw_deliver {
    uint64_t generation;
    uint64_t delivery;
    uint64_t prev_pos;
    uint64_t base_pos;
    uint64_t published, durable;
    uint32_t record_cnt;
    uint32_t payload_crc32c;
    uint32_t epoch;
    uint32_t reserved;
    uint64_t end_pos;
};

struct shmqw_gap {
    uint64_t generation;
    uint64_t delivery;
    uint64_t from, to;
    uint64_t frames;
    uint64_t records;
    uint32_t reason;
    uint32_t epoch;
};

struct shmqw_end {
    uint64_t generation;
    uint64_t delivery;
    uint64_t next;
};

/* ACK, DETACH, CHECK and REVOKE. */
struct shmqw_generation {
    uint64_t generation;
};

struct shmqw_acked {
    uint64_t done;
    uint64_t stale;
};

struct shmqw_nack {
    uint64_t generation;
    uint64_t delay_ns;
};

struct shmqw_nacked {
    uint64_t done;
    uint64_t stale;
    uint64_t generation;
};

struct shmqw_commit {
    uint64_t generation;
    uint64_t position;
    uint8_t level;
    uint8_t reserved[3];
    uint32_t timeout_ms;
};

struct shmqw_committed {
    uint64_t floor;
    uint8_t level;
    uint8_t reserved[7];
};

struct shmqw_seek {
    uint64_t generation;
    uint8_t start;
    uint8_t reserved[7];
    uint64_t value;
};

struct shmqw_sought {
    uint64_t generation;
    uint64_t position;
};

struct shmqw_checked {
    uint8_t drained;
    uint8_t reserved[7];
    uint64_t position;
    uint64_t published;
};

struct shmqw_publish {
    uint64_t producer_id;
    uint64_t sequence;
    uint64_t settled;
    uint64_t since;
    uint32_t epoch;
    uint32_t record_cnt;
    uint32_t payload_crc32c;
    uint32_t timeout_ms;
    uint8_t level;
    uint8_t reserved[7];
};

struct shmqw_puback {
    uint64_t sequence;
    uint64_t base_pos;
    uint64_t end_pos;
    uint64_t expected;
    uint32_t record_cnt;
    uint8_t level;
    uint8_t flags; /* enum shmqw_puback_flags */
    uint16_t reserved0;
    uint32_t window_msgs;
    uint32_t window_bytes;
    uint32_t retry_after_ms;
    uint32_t reserved1;
};

struct shmqw_ping {
    uint64_t nonce;
};

struct shmqw_pong {
    uint64_t nonce;
    int64_t time_ns;
};

struct shmqw_error {
    uint64_t low, high;
    uint32_t retry_after_ms;
    uint32_t command;
    uint64_t reserved;
};

struct shmqw_bye {
    uint32_t drain_ms;
    uint32_t reserved;
};

struct shmqw_range {
    uint64_t from, to;
};

/* -- payload frames and the feed ------------------------------------------ */

struct shmqw_record_head {
    uint32_t size;
    uint16_t attr_bytes;
    uint16_t flags;
};

struct shmqw_run {
    uint64_t position;
    uint64_t producer;
    uint64_t sequence;
    int64_t time_ns;
    uint32_t record_cnt;
    uint32_t run_bytes;
    uint16_t attempt;
    uint16_t flags; /* enum shmqw_run_flags */
    uint32_t reserved;
};

/* Value of a record's origin attribute (type 9); not aligned there. */
struct shmqw_origin {
    uint64_t producer_id;
    uint32_t epoch;
    uint32_t record_cnt;
    uint64_t sequence;
};
#define SHMQW_ATTR_ORIGIN 9u

struct shmqw_feed {
    uint8_t version;
    uint8_t flags; /* enum shmqw_feed_flags */
    uint16_t reserved;
    uint32_t epoch;
    uint64_t prev_pos;
    uint64_t pos;
    uint64_t durable;
    int64_t time_ns;
    uint32_t size;
    uint32_t crc32c;
};

#define SHMQW_SIZE(s, n) \
    _Static_assert(sizeof(struct shmqw_##s) == (n), #s " is not " #n " bytes")
#define SHMQW_AT(s, f, n) \
    _Static_assert(offsetof(struct shmqw_##s, f) == (n), #s "." #f)
SHMQW_SIZE(header, 24);
SHMQW_AT(header, corr_id, 8);
SHMQW_AT(header, crc32c, 16);
SHMQW_SIZE(hello, 32);
SHMQW_SIZE(welcome, 96);
SHMQW_AT(welcome, boot_id, 32);
SHMQW_AT(welcome, max_credit_bytes, 64);
SHMQW_AT(welcome, publish_msgs, 80);
SHMQW_SIZE(list, 8);
SHMQW_SIZE(done, 8);
SHMQW_SIZE(describe, 8);
SHMQW_SIZE(create, 72);
SHMQW_AT(create, max_producers, 40);
SHMQW_AT(create, ttl_ns, 64);
SHMQW_SIZE(described, 240);
SHMQW_AT(described, gate, 104);
SHMQW_AT(described, dropped_new, 144);
SHMQW_AT(described, segment_bytes, 184);
SHMQW_AT(described, producer_cnt, 208);
SHMQW_AT(described, epoch, 224);
SHMQW_SIZE(group_stat, 96);
SHMQW_AT(group_stat, oldest_unread_ns, 56);
SHMQW_SIZE(endpoint_stat, 136);
SHMQW_AT(endpoint_stat, waiting, 48);
SHMQW_AT(endpoint_stat, comm, 120);
SHMQW_SIZE(attach, 64);
SHMQW_AT(attach, start_value, 8);
SHMQW_AT(attach, max_attempts, 32);
SHMQW_AT(attach, max_batch, 56);
SHMQW_SIZE(attached, 48);
SHMQW_AT(attached, kind, 36);
SHMQW_AT(attached, endpoint, 40);
SHMQW_SIZE(credit, 16);
SHMQW_SIZE(deliver, 72);
SHMQW_AT(deliver, record_cnt, 48);
SHMQW_AT(deliver, end_pos, 64);
SHMQW_SIZE(gap, 56);
SHMQW_AT(gap, reason, 48);
SHMQW_SIZE(end, 24);
SHMQW_SIZE(generation, 8);
SHMQW_SIZE(acked, 16);
SHMQW_SIZE(nack, 16);
SHMQW_SIZE(nacked, 24);
SHMQW_SIZE(commit, 24);
SHMQW_AT(commit, timeout_ms, 20);
SHMQW_SIZE(committed, 16);
SHMQW_SIZE(seek, 24);
SHMQW_AT(seek, value, 16);
SHMQW_SIZE(sought, 16);
SHMQW_SIZE(checked, 24);
SHMQW_SIZE(publish, 56);
SHMQW_AT(publish, epoch, 32);
SHMQW_AT(publish, level, 48);
SHMQW_SIZE(puback, 56);
SHMQW_AT(puback, level, 36);
SHMQW_AT(puback, retry_after_ms, 48);
SHMQW_SIZE(ping, 8);
SHMQW_SIZE(pong, 16);
SHMQW_SIZE(error, 32);
SHMQW_AT(error, command, 20);
SHMQW_SIZE(bye, 8);
SHMQW_SIZE(range, 16);
SHMQW_SIZE(record_head, 8);
SHMQW_SIZE(run, 48);
SHMQW_AT(run, attempt, 40);
SHMQW_SIZE(origin, 24);
SHMQW_SIZE(feed, 48);
SHMQW_AT(feed, crc32c, 44);
#undef SHMQW_SIZE
#undef SHMQW_AT

/* Short name of a status or command, for example "NO_SUCH_TOPIC"; "UNKNOWN"
 * for other numbers. Static storage. */
const char *shmqw_status_name(uint32_t status);
const char *shmqw_command_name(uint32_t command);

#endif
