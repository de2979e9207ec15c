/* message.h - control frames: opening what came, writing what goes.
 *
 * shmqw_open() checks everything that can be checked without knowing any state:
 * length, magic, version, CRC, the fixed part's size and fields, every TLV,
 * every name. What it accepted is safe to use as it is. A message that was
 * opened points into the bytes it was opened from. */
#ifndef SHMQW_MESSAGE_H
#define SHMQW_MESSAGE_H

#include <stdbool.h>

#include "wire.h"

/* Some bytes of a received frame. at is NULL when there are none. */
struct shmqw_view {
    const uint8_t *at;
    uint32_t len;
};

struct shmqw_message {
    uint8_t command; /* enum shmqw_command */
    uint16_t flags;
    uint16_t status;
    uint32_t corr_id;
    uint32_t stream_id;
    uint32_t fixed_bytes; /* at least those of this command */
    const uint8_t *fixed; /* not aligned; use shmqw_fixed() */
    struct shmqw_view tlvs; /* all of them */
    struct shmqw_view tlv[SHMQW_TLV_CNT]; /* by type: the first of it */
};

/* Opens a control frame of `len` bytes behind which a payload frame came or
 * not. Returns SHMQW_OK, or the status to answer with; then *ret holds command,
 * corr_id and stream_id when the header could be read, else zeros, and nothing
 * else of it may be used. */
enum shmqw_status shmqw_open(
    const void *bytes, size_t len, bool has_payload, struct shmqw_message *ret);

/* Copies the fixed part into a struct of this file's owner (wire.h). */
void shmqw_fixed(const struct shmqw_message *msg, void *ret, size_t bytes);

/* The next TLV; false at the end. Begin with *cursor = 0. */
bool shmqw_tlv_next(const struct shmqw_message *msg, uint32_t *cursor,
    uint32_t *ret_type, struct shmqw_view *ret);

/* Copies a TLV's text into `ret` with a NUL; false when there is none of that
 * type or it does not fit. */
bool shmqw_text(const struct shmqw_message *msg, enum shmqw_tlv type, char *ret,
    size_t cap);

/* How many ranges an ACK or NACK has, and the nth of them. */
uint32_t shmqw_range_cnt(const struct shmqw_message *msg);
struct shmqw_range shmqw_range_at(const struct shmqw_message *msg, uint32_t n);

/* How many positions a PUBACK lists, and the nth of them. */
uint32_t shmqw_position_cnt(const struct shmqw_message *msg);
uint64_t shmqw_position_at(const struct shmqw_message *msg, uint32_t n);

/* Takes GROUP_STAT or ENDPOINT_STAT apart: *ret_fixed gets the struct, the
 * views its names. False for nonsense. `ret_dead_letter` may be NULL. */
bool shmqw_open_group_stat(const struct shmqw_view *value,
    struct shmqw_group_stat *ret_fixed, struct shmqw_view *ret_name,
    struct shmqw_view *ret_dead_letter);
bool shmqw_open_endpoint_stat(const struct shmqw_view *value,
    struct shmqw_endpoint_stat *ret_fixed, struct shmqw_view *ret_group);

/* Whether a name is legal (docs/wire.md, top). */
bool shmqw_topic_legal(const void *name, size_t len);
bool shmqw_group_legal(const void *name, size_t len);

/* -- writing -------------------------------------------------------------- */

/* A control frame being written into the caller's memory. When something did
 * not fit, `full` is set, later calls do nothing, and shmqw_end() gives 0. */
struct shmqw_writer {
    uint8_t *at;
    size_t cap, len;
    bool full;
};

/* Begins; at most SHMQW_CONTROL_MAX bytes of `buf` are used. The PAYLOAD flag
 * goes with the command. */
void shmqw_begin(struct shmqw_writer *w, void *buf, size_t cap,
    enum shmqw_command command, uint32_t flags, enum shmqw_status status,
    uint32_t corr_id, uint32_t stream_id);

/* The fixed part; once, before any TLV. */
void shmqw_put_fixed(struct shmqw_writer *w, const void *fixed, size_t bytes);

/* One TLV. */
void shmqw_put(
    struct shmqw_writer *w, uint32_t type, const void *value, size_t bytes);

/* One TLV of a text that ends with NUL; none when `text` is NULL. Texts that
 * are too long for a TLV are cut. */
void shmqw_put_text(
    struct shmqw_writer *w, enum shmqw_tlv type, const char *text);

/* GROUP_STAT and ENDPOINT_STAT; names end with NUL, at most 255 bytes. */
void shmqw_put_group_stat(struct shmqw_writer *w,
    const struct shmqw_group_stat *fixed, const char *name,
    const char *dead_letter);
void shmqw_put_endpoint_stat(struct shmqw_writer *w,
    const struct shmqw_endpoint_stat *fixed, const char *group);

/* Room left for one TLV's value. */
size_t shmqw_room(const struct shmqw_writer *w);

/* Finishes with the CRC; the frame's bytes, or 0 when it did not fit. */
size_t shmqw_end(struct shmqw_writer *w);

#endif
