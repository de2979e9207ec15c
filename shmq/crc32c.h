/* crc32c.h - CRC-32C (Castagnoli), the checksum of the log on disk.
 *
 * The usual one: reflected polynomial 0x82f63b78, begins and ends inverted, so
 * the CRC of "123456789" is 0xe3069283. Thread-safe. */
#ifndef SHMQI_CRC32C_H
#define SHMQI_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of some bytes whose CRC is `crc` (0: none) followed by `len` more:
 * crc(ab) = shmqi_crc32c(shmqi_crc32c(0, a), b). Uses the processor's
 * instruction where it has one. */
uint32_t shmqi_crc32c(uint32_t crc, const void *bytes, size_t len);

/* The same by tables alone; for processors without the instruction, and as the
 * twin that tests compare with. */
uint32_t shmqi_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif
