/* log_support.h - frames for tests of the log, and a log in a fresh directory.
 */
#ifndef TEST_LOG_SUPPORT_H
#define TEST_LOG_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Encodes one mpmc frame at slot `slot` with `cnt` records of `size` bytes
 * whose content follows from slot, index and `tag`; returns its bytes. */
size_t log_frame_make(uint8_t *at, uint64_t slot, uint32_t cnt, uint32_t size,
    uint32_t tag, int64_t time_ns);

/* The same as one of an spsc ring, at position `pos`. */
size_t log_frame_make_spsc(uint8_t *at, uint64_t pos, uint64_t slot,
    uint32_t cnt, uint32_t size, uint32_t tag, int64_t time_ns);

/* Bytes that log_frame_make() will take. */
size_t log_frame_bytes(uint32_t cnt, uint32_t size);

/* Whether the frame (header's place, as the reader gives it) is that one, of
 * whichever ring. */
bool log_frame_is(const uint8_t *bytes, uint32_t len, uint64_t slot,
    uint32_t cnt, uint32_t size, uint32_t tag);

/* A new directory below TMPDIR or /tmp; removed with all it holds at exit. */
const char *log_temporary_dir(void);

#endif
