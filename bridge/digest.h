/* digest.h - a number that stands for a user's producer and that nobody else
 * can make. Pure. */
#ifndef SHMQZ_DIGEST_H
#define SHMQZ_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 (FIPS 180-4) of `len` bytes. */
void shmqz_sha256(const void *bytes, size_t len, uint8_t ret[32]);

/* What stands in the topic for producer id `id` of `user`: never 0. The id
 * itself without a user's name; else 64 bits of a hash of both, so that those
 * who read it in the topic cannot find an id of theirs that becomes it. */
uint64_t shmqz_producer_of(const char *user, uint64_t id);

#endif
