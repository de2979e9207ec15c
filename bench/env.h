/* env.h - the machine and the circumstances of a run. */
#ifndef LAB_ENV_H
#define LAB_ENV_H

#include <stdint.h>
#include <stdio.h>

#define LAB_ENV_TEXT 160

struct lab_env {
    char cpu_model[LAB_ENV_TEXT];
    char mitigations[LAB_ENV_TEXT * 2]; /* what is in force, shortened */
    char governor[32];
    char smt[32];
    char kernel[LAB_ENV_TEXT];
    char virtual_machine[64]; /* hypervisor, or "none seen" */
    char compiler[LAB_ENV_TEXT];
    char flags[LAB_ENV_TEXT * 6], library_flags[LAB_ENV_TEXT * 6];
    char versions[LAB_ENV_TEXT * 2]; /* ours and the peers' */
    char cpus[LAB_ENV_TEXT]; /* used */
    char thp[LAB_ENV_TEXT];
    uint32_t cpus_online, numa_nodes;
    uint64_t memory_bytes, shm_bytes;
    double load1;
    uint64_t steal_ticks; /* of all cores, since boot, in 1/100 s */
    char started[40]; /* RFC 3339 UTC */
};

void lab_env_read(struct lab_env *env);
uint64_t lab_env_steal(void);
double lab_env_load(void);

/* Two lines for people. */
void lab_env_print_short(FILE *f);

#endif
