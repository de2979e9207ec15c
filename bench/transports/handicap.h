/* handicap.h - settings of the lab's own test transports; set before the
 * parties start. */
#ifndef LAB_HANDICAP_H
#define LAB_HANDICAP_H

#include <stdint.h>

/* Steps of a chain of multiplications that `handicap` does before each send. */
extern uint32_t lab_handicap_steps;

/* What `broken` does to one message. */
enum lab_damage { LAB_WHOLE, LAB_LOSE, LAB_TWICE, LAB_FLIP, LAB_SWAP };
extern enum lab_damage lab_damage;

/* What `injected` does to message number `seq`: how long serving it takes. */
struct lab_injection {
    uint64_t base_ns; /* every message */
    uint64_t delay_ns; /* more, for one message in `delay_every` */
    uint64_t delay_every;
    uint64_t stall_ns; /* more, for one message in `stall_every` */
    uint64_t stall_every;
};
extern struct lab_injection lab_injection;

static inline uint64_t lab_injected_ns(
    const struct lab_injection *in, uint64_t seq)
{
    uint64_t ns = in->base_ns;

    if (in->delay_every && seq % in->delay_every == in->delay_every / 2)
        ns += in->delay_ns;
    if (in->stall_every && seq % in->stall_every == in->stall_every / 2)
        ns += in->stall_ns;
    return ns;
}

/* Waits until everything before it is done. */
static inline void lab_serialize(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#elif defined(__aarch64__)
    __asm__ __volatile__("dsb ld; isb" ::: "memory");
#endif
}

/* Does `steps` steps, about one nanosecond each, with nothing before or
 * behind them going on meanwhile: else the processor hides them. */
static inline void lab_handicap_burn(uint32_t steps)
{
    uint64_t x = steps;

    lab_serialize();
    for (uint32_t i = 0; i < steps; i++) {
        x = x * UINT64_C(0x9e3779b97f4a7c15) + 1;
        __asm__ __volatile__("" : "+r"(x));
    }
    lab_serialize();
}

#endif
