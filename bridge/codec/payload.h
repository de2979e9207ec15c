/* payload.h - payload frames: records, runs, attributes; and the feed.
 *
 * Reading never goes beyond the bytes given, whatever they hold: each reader
 * returns false at the end or at the first nonsense, and tells which. */
#ifndef SHMQW_PAYLOAD_H
#define SHMQW_PAYLOAD_H

#include "message.h"

/* One record. Pointers into the payload frame (reading) or of the caller
 * (writing); NULL is legal for no bytes. */
struct shmqw_record {
    const void *data;
    uint32_t size;
    const void *attrs; /* encoded */
    uint32_t attr_bytes;
};

/* A record as delivered. */
struct shmqw_delivered {
    struct shmqw_record record;
    uint64_t position;
    uint64_t producer;
    uint64_t sequence;
    int64_t time_ns;
    uint32_t attempt;
    uint32_t flags; /* enum shmqw_run_flags */
    uint32_t run; /* number of its run in this payload, from 0 */
};

/* Reading place in a payload frame. Zero it, set at and len. */
struct shmqw_cursor {
    const uint8_t *at;
    size_t len;
    size_t off;
    bool broken; /* nonsense was met */
    /* of the run */
    struct shmqw_run run;
    size_t run_end;
    uint32_t run_left, run_cnt;
};

/* The next record of a PUBLISH's payload. False at the end (broken is unset)
 * or at nonsense. */
bool shmqw_record_next(struct shmqw_cursor *cursor, struct shmqw_record *ret);

/* The next record of a DELIVER's payload, through its runs. */
bool shmqw_delivered_next(
    struct shmqw_cursor *cursor, struct shmqw_delivered *ret);

/* Whether a PUBLISH's payload is `record_cnt` records, exactly, with attributes
 * that a client may send, and the CRC of its body. OK, CRC_MISMATCH, BAD_FRAME,
 * INVALID (attributes). */
enum shmqw_status shmqw_publish_check(
    const struct shmqw_publish *body, const void *payload, size_t len);

/* Whether a DELIVER's payload is `record_cnt` records in runs, exactly. OK,
 * CRC_MISMATCH, BAD_FRAME. */
enum shmqw_status shmqw_deliver_check(
    const struct shmqw_deliver *body, const void *payload, size_t len);

/* -- attributes ----------------------------------------------------------- */

struct shmqw_attr {
    uint32_t type;
    uint32_t value_bytes;
    const void *value;
    const char *name; /* of a header, NUL-terminated; else NULL */
};

/* The next attribute of `attr_bytes` bytes at `attrs`; false at the end, or
 * when the rest is no attribute. Begin with *cursor = 0; at the end of
 * well-formed ones it is attr_bytes. */
bool shmqw_attr_next(const void *attrs, uint32_t attr_bytes, uint32_t *cursor,
    struct shmqw_attr *ret);

/* Well-formed throughout, and (from_client) of types that clients may send. */
bool shmqw_attrs_legal(
    const void *attrs, uint32_t attr_bytes, bool from_client);

/* Bytes that an attribute takes, or 0 when it is not legal. */
uint32_t shmqw_attr_bytes(const struct shmqw_attr *attr);

/* Writes a legal attribute of shmqw_attr_bytes() bytes; returns its end. */
uint8_t *shmqw_attr_put(uint8_t *at, const struct shmqw_attr *attr);

/* -- writing -------------------------------------------------------------- */

/* Bytes that a record takes in a payload frame. */
uint64_t shmqw_record_bytes(uint64_t size, uint32_t attr_bytes);

/* A payload frame being written into the caller's memory. */
struct shmqw_payload {
    uint8_t *at;
    size_t cap, len;
    uint32_t record_cnt;
    uint64_t base_pos, end_pos; /* of a DELIVER: first, and last + 1 */
    /* of the run */
    size_t run_at;
    uint64_t next_pos, next_seq;
    struct shmqw_run run;
};

void shmqw_payload_begin(struct shmqw_payload *p, void *buf, size_t cap);

/* Adds a record to a PUBLISH; false, and nothing changed, without room. */
bool shmqw_put_record(
    struct shmqw_payload *p, const struct shmqw_record *record);

/* Adds a record to a DELIVER, to the last run when it continues it, else in a
 * new one (`run` of *d is not looked at; new_run: begin one in any case).
 * False, and nothing changed, without room. */
bool shmqw_put_delivered(
    struct shmqw_payload *p, const struct shmqw_delivered *d, bool new_run);

/* Takes `cnt` encoded records, `bytes` long, that stand behind the payload (at
 * + len) already, in memory of the writer's: they continue the last run, and
 * fit into it. */
void shmqw_put_more(struct shmqw_payload *p, uint32_t cnt, uint64_t bytes);

/* -- feed ----------------------------------------------------------------- */

/* Takes the header of a feed message apart; false for another version or
 * length. */
bool shmqw_feed_open(const void *bytes, size_t len, struct shmqw_feed *ret);

/* The topic in a feed message's first part (topic NUL, or NUL HB topic NUL),
 * and whether that form is a heartbeat's. False for anything else. */
bool shmqw_feed_topic(
    const void *bytes, size_t len, struct shmqw_view *ret, bool *ret_heartbeat);

/* -- checksum ------------------------------------------------------------- */

/* CRC-32C of some bytes whose CRC is `crc` (0: none) followed by `len` more. */
uint32_t shmqw_crc32c(uint32_t crc, const void *bytes, size_t len);

/* The same by tables alone: the twin for tests and other processors. */
uint32_t shmqw_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif
