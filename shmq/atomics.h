/* atomics.h - the only file that names C11 atomic operations.
 *
 * Every access to a shared word goes through one of these macros with the id
 * of its edge. edges.h gives each id its memory order and its partners, and
 * docs/memory-model.md explains them, so an order is changed in exactly one
 * place and a build may weaken one (-DEDGE_M5=memory_order_relaxed) to see
 * which proof notices.
 *
 * With SHMQ_HOOKS every access is also a named point at which a test may stop,
 * kill or switch to another thread; without it the hook is nothing. */
#ifndef SHMQI_ATOMICS_H
#define SHMQI_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "edges.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a locked atomic cannot be shared");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a locked atomic cannot be shared");

typedef _Atomic uint64_t shmqi_word;

#ifdef SHMQ_HOOKS
extern void (*shmqi_hook)(const char *point);
#define SHMQI_HOOK(point) (shmqi_hook ? shmqi_hook(point) : (void)0)
#else
#define SHMQI_HOOK(point) ((void)0)
#endif

#define shm_ld(ID, p) \
    (SHMQI_HOOK("load:" #ID), atomic_load_explicit((p), EDGE_##ID))
#define shm_st(ID, p, v) \
    (SHMQI_HOOK("store:" #ID), atomic_store_explicit((p), (v), EDGE_##ID))
#define shm_cas(ID, p, expected, desired) \
    (SHMQI_HOOK("cas:" #ID), shmqi_cas((p), (expected), (desired), EDGE_##ID))
#define shm_add(ID, p, v) \
    (SHMQI_HOOK("add:" #ID), atomic_fetch_add_explicit((p), (v), EDGE_##ID))
#define shm_or(ID, p, v) \
    (SHMQI_HOOK("or:" #ID), atomic_fetch_or_explicit((p), (v), EDGE_##ID))
#define shm_and(ID, p, v) \
    (SHMQI_HOOK("and:" #ID), atomic_fetch_and_explicit((p), (v), EDGE_##ID))
#define shm_xchg(ID, p, v) \
    (SHMQI_HOOK("xchg:" #ID), atomic_exchange_explicit((p), (v), EDGE_##ID))
#define shm_fence(ID) (SHMQI_HOOK("fence:" #ID), atomic_thread_fence(EDGE_##ID))

/* A failed CAS gives no value back: whoever lost loads again and re-checks
 * everything, so the failure order is never relied upon. */
static inline bool shmqi_cas(
    shmqi_word *p, uint64_t expected, uint64_t desired, memory_order order)
{
    return atomic_compare_exchange_strong_explicit(
        p, &expected, desired, order, memory_order_relaxed);
}

#endif
