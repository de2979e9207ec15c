/* jitter.h - how quiet are the cores right now? Every core used spins for some
 * milliseconds and notes when it was away: interrupts, other processes, the
 * host of a virtual machine. */
#ifndef LAB_JITTER_H
#define LAB_JITTER_H

#include <stdint.h>

struct lab_jitter {
    double away_share; /* of the time, on the worst core */
    double longest_ns; /* away at once */
    uint32_t valid;
};

/* Probes the first `cores` cores for `ns`. */
void lab_jitter_probe(uint32_t cores, uint64_t ns, struct lab_jitter *ret);

/* True when figures measured between the two probes should be marked. */
int lab_jitter_disturbed(
    const struct lab_jitter *before, const struct lab_jitter *after);

/* lab_measure() between two probes, again when disturbed, as long as the
 * budget of repetitions lasts. Returns 1 when what it took is disturbed. */
struct lab_quiet {
    uint32_t again_max; /* set by the caller */
    uint32_t measured, again, disturbed; /* taken although disturbed */
};
struct lab_spec;
struct lab_result;
int lab_measure_quietly(const struct lab_spec *spec, struct lab_quiet *quiet,
    struct lab_result *ret);

#endif
