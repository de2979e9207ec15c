/* store_support.h - a store with one log, for tests of the storage engine. */
#ifndef TEST_STORE_SUPPORT_H
#define TEST_STORE_SUPPORT_H

#include "../../../daemon/storage/topic_log.h"

struct store_case {
    struct shmqd_store *store;
    struct shmqd_log *log;
    struct shmqd_recovery found;
    char dir[256]; /* of the log */
    uint64_t next_slot;
};

/* Opens (or makes) the store in `dir` and the log in it, and begins at the end
 * of the log. Asserts success. `io` becomes the store's. */
void store_case_open(struct store_case *c, const char *dir, struct shmqd_io *io,
    enum shmqd_log_level level, uint64_t segment_bytes);

/* Adds `cnt` frames of one record of `size` bytes, turning as needed. */
void store_case_add(struct store_case *c, uint32_t cnt, uint32_t size);

/* Turns until everything that was added has reached the level. */
void store_case_settle(struct store_case *c);

void store_case_close(struct store_case *c, bool clean);

/* Reads from the start: every frame from slot `from` to `to` is there, as
 * store_case_add() made them with this size. Returns how many. */
uint64_t store_case_read(const struct store_case *c, uint64_t from, uint64_t to,
    uint32_t size, uint64_t limit_pos);

#endif
