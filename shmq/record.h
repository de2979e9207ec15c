/* record.h - encoding records: sizes and writing into memory that the caller
 * owns. */
#ifndef SHMQI_RECORD_H
#define SHMQI_RECORD_H

#include <stdbool.h>

#include <shmq/message.h>

/* Bytes of the encoded attributes, unpadded; INVAL when one is not legal. */
int shmqi_attrs_bytes(
    const struct shmq_attr *attrs, uint32_t cnt, uint32_t *ret_bytes);

/* Writes record header and attributes at `at` (8-aligned); returns where the
 * payload of `size` bytes goes. */
uint8_t *shmqi_record_begin(uint8_t *at, uint64_t size,
    const struct shmq_attr *attrs, uint32_t cnt, uint32_t attr_bytes);

/* Encoded size: header, attributes and payload, each padded to 8. */
uint64_t shmqi_record_len(uint64_t size, uint32_t attr_bytes);

#endif
