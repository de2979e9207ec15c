/* shmq/message.h - records as given to a producer and as received.
 *
 * A record is a payload of 0 bytes or more and up to 64 KiB of attributes:
 * key, content type, reply-to, correlation id, and free name/value pairs.
 * Producer identity, per-producer sequence and time are added by the library.
 * Nothing here blocks or writes anything shared, so a process killed inside
 * leaves nothing. A message is for the thread that uses its consumer; otherwise
 * the functions are thread-safe. */
#ifndef SHMQ_MESSAGE_H
#define SHMQ_MESSAGE_H

#include <shmq/base.h>

/* Attribute types. Applications use the first five; the others are written by
 * the library. Bit 15 set means "a reader that does not know it must not
 * process the record". */
enum shmq_attr_type {
    SHMQ_ATTR_KEY = 1,
    SHMQ_ATTR_CONTENT_TYPE = 2,
    SHMQ_ATTR_REPLY_TO = 3,
    SHMQ_ATTR_CORRELATION_ID = 4,
    SHMQ_ATTR_HEADER = 5, /* free name/value pair */
    SHMQ_ATTR_RECORD_TIME = 6,
    SHMQ_ATTR_EXPIRY = 7,
    SHMQ_ATTR_DEAD_LETTER = 8, /* "topic position group attempts reason",
                                  reason attempts or expired; one for each
                                  time it went to a dead-letter topic. Where
                                  a record has no room for it and all its own
                                  attributes, the last of those are left out;
                                  where the topic takes no record as long as
                                  that, this one is */
    SHMQ_ATTR_ORIGIN = 9 /* struct shmq_origin: which publish of which remote
                            producer the frame's records are; on its first
                            record */
};

/* Value of SHMQ_ATTR_ORIGIN, little-endian, 24 bytes. Whoever takes publishes
 * from producers that may repeat them (shmq-bridge) finds in the topic itself
 * which of them are there. */
struct shmq_origin {
    uint64_t producer; /* chosen by the producer, not 0 */
    uint32_t epoch; /* of the producer: a greater one fences the smaller */
    uint32_t record_cnt; /* records of the publish, all in this frame */
    uint64_t sequence; /* the producer's number of the frame's first record */
};

/* One attribute. `name` is used by SHMQ_ATTR_HEADER only (1 to 255 bytes,
 * without NUL); NULL elsewhere. Value: up to 65,000 bytes, any content. */
struct shmq_attr {
    uint32_t type; /* enum shmq_attr_type */
    uint32_t value_bytes;
    const void *value;
    const char *name;
};

/* A record to publish. The memory stays the caller's and is copied. */
struct shmq_record {
    const void *data; /* may be NULL when size is 0 */
    uint64_t size;
    const struct shmq_attr *attrs; /* may be NULL when attr_cnt is 0 */
    uint32_t attr_cnt;
    uint32_t reserved; /* 0 */
};

enum shmq_message_flags {
    /* The record was, or may have been, handed out before to a reader of this
     * group that died, gave it back or let its lease end. */
    SHMQ_MESSAGE_REDELIVERED = 1u << 0
};

/* A received record. `data` and `attrs` point into memory that the consumer
 * handle owns or guards: valid until the record is released, acknowledged
 * negatively, or its handle is closed; read-only. */
struct shmq_message {
    const void *data;
    uint64_t size;
    uint64_t position;
    uint64_t producer; /* identity of the producing endpoint, 62 bits */
    uint64_t sequence; /* that producer's record number, from 0, without holes
                          between records it published */
    int64_t time_ns; /* publisher's CLOCK_REALTIME, resolution of one clock
                        tick (1 to 10 ms); not monotone */
    uint32_t attempt; /* earlier deliveries of this record that failed */
    uint32_t flags; /* enum shmq_message_flags */
    const void *attrs; /* encoded; read by shmq_message_attr() */
    uint32_t attr_bytes;
    uint32_t internal[3]; /* the handle's own; do not touch */
};

SHMQ_BEGIN_DECLS

/* The `nth` (from 0) attribute of `type`; `type` 0 takes any type, so that all
 * can be listed. Fills *ret, whose pointers live as long as the message.
 * `name` of a header is NUL-terminated.
 * Returns 0 or SHMQ_ERR_NOENT. */
SHMQ_API int shmq_message_attr(const struct shmq_message *msg, uint32_t type,
    uint32_t nth, struct shmq_attr *ret);

/* Bytes that one record with these attributes takes in a frame, alignment
 * included. A frame of `n` records takes 64 bytes more than their sum at most.
 * Returns 0 on success, SHMQ_ERR_INVAL for an attribute that is not legal. */
SHMQ_API int shmq_record_bytes(
    const struct shmq_record *record, uint64_t *ret_bytes);

SHMQ_END_DECLS

#endif
