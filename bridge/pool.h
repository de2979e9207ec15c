/* pool.h - memory of large message parts, used again.
 *
 * Payloads come and go by the gigabyte, each freed on a thread of ZeroMQ's
 * when it has been sent. An allocator either keeps such memory (and the
 * bridge's bound is gone) or gives it back to the system at once (and each
 * payload faults its pages in anew). Here a bounded amount is kept, and less
 * of it when less is used. */
#ifndef SHMQZ_POOL_H
#define SHMQZ_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Smaller ones are the allocator's business. */
#define SHMQZ_POOL_LEAST 16384u
/* Free memory kept for the next ones, at most. */
#define SHMQZ_POOL_KEEP (UINT64_C(32) << 20)

/* Memory of at least `bytes` bytes, aligned to 16; NULL: none. Any thread. */
void *shmqz_pool_take(size_t bytes);

/* Gives it back. NULL is legal. Any thread. */
void shmqz_pool_give(void *memory);

/* Bytes that may be written at `memory`: at least those asked for. */
size_t shmqz_pool_room(const void *memory);

/* Frees part of what has not been used since the last call, all of it after
 * some calls. To be called now and then. */
void shmqz_pool_trim(void);

/* Free memory kept now, in bytes. */
uint64_t shmqz_pool_kept(void);

#endif
