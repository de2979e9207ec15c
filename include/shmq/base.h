/* shmq/base.h - what every other header needs: linkage, version, limits, time.
 * Thread-safe throughout; nothing here blocks or touches shared memory, so a
 * process killed inside leaves nothing. */
#ifndef SHMQ_BASE_H
#define SHMQ_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus) && defined(__GNUC__)
/* shmq_topic_stat() and others are named like their struct, as stat(2) is. */
#define SHMQ_BEGIN_DECLS \
    extern "C" { \
    _Pragma("GCC diagnostic push") \
        _Pragma("GCC diagnostic ignored \"-Wshadow\"")
#define SHMQ_END_DECLS \
    _Pragma("GCC diagnostic pop") \
    }
#elif defined(__cplusplus)
#define SHMQ_BEGIN_DECLS extern "C" {
#define SHMQ_END_DECLS }
#else
#define SHMQ_BEGIN_DECLS
#define SHMQ_END_DECLS
#endif

#if defined(__GNUC__)
#define SHMQ_API __attribute__((visibility("default")))
#else
#define SHMQ_API
#endif

/* Version of these headers; shmq_version() tells that of the library. */
#define SHMQ_VERSION_MAJOR 0
#define SHMQ_VERSION_MINOR 1
#define SHMQ_VERSION_PATCH 0

/* Longest names, without the closing NUL. */
#define SHMQ_NAMESPACE_MAX 32
#define SHMQ_TOPIC_MAX 128
#define SHMQ_GROUP_MAX 128

/* Most records that one publish (one frame) can carry. */
#define SHMQ_BATCH_MAX 4096

/* A deadline that never comes. */
#define SHMQ_FOREVER UINT64_MAX

SHMQ_BEGIN_DECLS

/* Version of the library in use, for example "0.1.0". Static storage. */
SHMQ_API const char *shmq_version(void);

/* The deadline `timeout_ns` from now on CLOCK_MONOTONIC, for the functions
 * whose names end in _wait. SHMQ_FOREVER stays SHMQ_FOREVER. */
SHMQ_API uint64_t shmq_deadline(uint64_t timeout_ns);

SHMQ_END_DECLS

#endif
