/* atomics.h - the only file that names C11 atomic operations.
 *
 * Every access to a shared word goes through one of these macros with the id
 * of its edge. edges.h gives each id its memory order and its partners, and
 * docs/memory-model.md explains them, so an order is changed in exactly one
 * place and a build may weaken one (-DEDGE_M5=memory_order_relaxed) to see
 * which proof notices.
 *
 * With SHMQ_HOOKS a test may take every access over (hooks.h); without it the
 * hooks do not exist. */
#ifndef SHMQI_ATOMICS_H
#define SHMQI_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "edges.h"
#include "hooks.h"

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a locked atomic cannot be shared");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a locked atomic cannot be shared");

#ifndef SHMQ_OPAQUE_WORDS
typedef _Atomic uint64_t shmqi_word;
#define SHMQI_ATOMIC(p) (p)
#else
/* For the compiler's eyes only: a shared word that is used like a variable, and
 * so by no macro of this file, is an error (test `words`). */
typedef struct {
    _Atomic uint64_t value;
} shmqi_word;
#define SHMQI_ATOMIC(p) (&(p)->value)
#endif

/* A failed CAS gives no value back: whoever lost loads again and re-checks
 * everything, so the failure order is never relied upon. */
static inline bool shmqi_cas(
    shmqi_word *p, uint64_t expected, uint64_t desired, memory_order order)
{
    return atomic_compare_exchange_strong_explicit(
        SHMQI_ATOMIC(p), &expected, desired, order, memory_order_relaxed);
}

/* Words of this process alone that a signal handler looks at, too: no edge
 * between processes, no hook. */
#define private_ld(p) atomic_load_explicit((p), memory_order_seq_cst)
#define private_st(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define private_add(p, v) \
    atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)

#ifndef SHMQ_HOOKS

/* A model checker's harness may define this to act at every access. */
#ifndef SHMQI_HOOK
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

#else

#define SHMQI_INLINE static inline __attribute__((always_inline, unused))

SHMQI_INLINE uint64_t shmqi_hooked_ld(
    const char *edge, const shmqi_word *p, memory_order order)
{
    return shmqi_hooks ? shmqi_hooks->load(edge, (const void *)p, 8, (int)order)
                       : atomic_load_explicit(SHMQI_ATOMIC(p), order);
}
SHMQI_INLINE uint32_t shmqi_hooked_ld32(
    const char *edge, const _Atomic uint32_t *p, memory_order order)
{
    return shmqi_hooks
        ? (uint32_t)shmqi_hooks->load(edge, (const void *)p, 4, (int)order)
        : atomic_load_explicit(p, order);
}
SHMQI_INLINE void shmqi_hooked_st(
    const char *edge, shmqi_word *p, uint64_t v, memory_order order)
{
    if (shmqi_hooks)
        shmqi_hooks->store(edge, (void *)p, 8, v, (int)order);
    else
        atomic_store_explicit(SHMQI_ATOMIC(p), v, order);
}
SHMQI_INLINE bool shmqi_hooked_cas(const char *edge, shmqi_word *p,
    uint64_t expected, uint64_t desired, memory_order order)
{
    return shmqi_hooks
        ? shmqi_hooks->cas(edge, (void *)p, expected, desired, (int)order)
        : shmqi_cas(p, expected, desired, order);
}
SHMQI_INLINE uint64_t shmqi_hooked_add(
    const char *edge, shmqi_word *p, uint64_t v, memory_order order)
{
    return shmqi_hooks
        ? shmqi_hooks->rmw(edge, (void *)p, 8, SHMQI_RMW_ADD, v, (int)order)
        : atomic_fetch_add_explicit(SHMQI_ATOMIC(p), v, order);
}
SHMQI_INLINE uint32_t shmqi_hooked_add32(
    const char *edge, _Atomic uint32_t *p, uint32_t v, memory_order order)
{
    return shmqi_hooks ? (uint32_t)shmqi_hooks->rmw(
                             edge, (void *)p, 4, SHMQI_RMW_ADD, v, (int)order)
                       : atomic_fetch_add_explicit(p, v, order);
}
SHMQI_INLINE uint64_t shmqi_hooked_or(
    const char *edge, shmqi_word *p, uint64_t v, memory_order order)
{
    return shmqi_hooks
        ? shmqi_hooks->rmw(edge, (void *)p, 8, SHMQI_RMW_OR, v, (int)order)
        : atomic_fetch_or_explicit(SHMQI_ATOMIC(p), v, order);
}
SHMQI_INLINE uint64_t shmqi_hooked_and(
    const char *edge, shmqi_word *p, uint64_t v, memory_order order)
{
    return shmqi_hooks
        ? shmqi_hooks->rmw(edge, (void *)p, 8, SHMQI_RMW_AND, v, (int)order)
        : atomic_fetch_and_explicit(SHMQI_ATOMIC(p), v, order);
}
SHMQI_INLINE uint64_t shmqi_hooked_xchg(
    const char *edge, shmqi_word *p, uint64_t v, memory_order order)
{
    return shmqi_hooks
        ? shmqi_hooks->rmw(edge, (void *)p, 8, SHMQI_RMW_XCHG, v, (int)order)
        : atomic_exchange_explicit(SHMQI_ATOMIC(p), v, order);
}
SHMQI_INLINE void shmqi_hooked_fence(const char *edge, memory_order order)
{
    if (shmqi_hooks)
        shmqi_hooks->fence(edge, (int)order);
    else
        atomic_thread_fence(order);
}

#define shm_ld(ID, p) \
    _Generic((p), _Atomic uint32_t * : shmqi_hooked_ld32, default \
             : shmqi_hooked_ld)(#ID, (p), EDGE_##ID)
#define shm_st(ID, p, v) shmqi_hooked_st(#ID, (p), (v), EDGE_##ID)
#define shm_cas(ID, p, expected, desired) \
    shmqi_hooked_cas(#ID, (p), (expected), (desired), EDGE_##ID)
#define shm_add(ID, p, v) \
    _Generic((p), _Atomic uint32_t * : shmqi_hooked_add32, default \
             : shmqi_hooked_add)(#ID, (p), (v), EDGE_##ID)
#define shm_or(ID, p, v) shmqi_hooked_or(#ID, (p), (v), EDGE_##ID)
#define shm_and(ID, p, v) shmqi_hooked_and(#ID, (p), (v), EDGE_##ID)
#define shm_xchg(ID, p, v) shmqi_hooked_xchg(#ID, (p), (v), EDGE_##ID)
#define shm_fence(ID) shmqi_hooked_fence(#ID, EDGE_##ID)

#endif

#endif
