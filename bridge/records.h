/* records.h - records of payload frames as the library takes them. */
#ifndef SHMQZ_RECORDS_H
#define SHMQZ_RECORDS_H

#include <shmq/message.h>

#include "codec/payload.h"

/* Records made ready to be published. Zero it before the first use. */
struct shmqz_records {
    struct shmq_record *records;
    struct shmq_attr *attrs; /* of all records */
    uint64_t *positions; /* filled in by publishing */
    uint32_t record_cap, attr_cap;
    struct shmq_origin origin;
};

/* Reads `record_cnt` records from a payload that was checked
 * (shmqw_publish_check()); with an origin (may be NULL) as an attribute of the
 * first. They point into payload and `into`. False: no memory. */
bool shmqz_records_read(struct shmqz_records *into, const void *payload,
    size_t bytes, uint32_t record_cnt, const struct shmq_origin *origin);

/* The same for one record, whose attributes were checked. */
bool shmqz_records_one(
    struct shmqz_records *into, const struct shmqw_record *record);

void shmqz_records_free(struct shmqz_records *records);

#endif
