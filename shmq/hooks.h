/* hooks.h - what a test program sees of every access to shared memory.
 *
 * Only in builds with SHMQ_HOOKS. A test that sets shmqi_hooks takes every
 * access over: it is told the edge, the address, the operands and the order,
 * and decides what is loaded and when. So it can switch to another thread,
 * stop or kill the caller, or answer with any value that the memory model
 * allows. With shmqi_hooks NULL the accesses happen as in the shipped library.
 * Not thread-safe: set it before the first call into the library. */
#ifndef SHMQI_HOOKS_H
#define SHMQI_HOOKS_H

#ifdef SHMQ_HOOKS

#include <stdbool.h>
#include <stdint.h>

enum shmqi_rmw {
    SHMQI_RMW_ADD = 0,
    SHMQI_RMW_OR = 1,
    SHMQI_RMW_AND = 2,
    SHMQI_RMW_XCHG = 3
};

/* `edge` is the id of edges.h as text, `order` a memory_order, `bytes` 4 or 8.
 * A 4-byte word is 8-aligned and alone in its 8 bytes. */
struct shmqi_hooks {
    uint64_t (*load)(
        const char *edge, const void *word, uint32_t bytes, int order);
    void (*store)(const char *edge, void *word, uint32_t bytes, uint64_t value,
        int order);
    bool (*cas)(const char *edge, void *word, uint64_t expected,
        uint64_t desired, int order);
    /* Returns the value before. */
    uint64_t (*rmw)(const char *edge, void *word, uint32_t bytes,
        enum shmqi_rmw op, uint64_t value, int order);
    void (*fence)(const char *edge, int order);
    /* Plain bytes of frames and records; either side of get, and the source of
     * put, may as well be private memory. */
    void (*get)(void *to, const void *from, uint64_t bytes);
    void (*put)(void *to, const void *from, uint64_t bytes);
};
extern const struct shmqi_hooks *shmqi_hooks;

#endif
#endif
