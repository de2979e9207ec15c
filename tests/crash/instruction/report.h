/* report.h - the figures of a run. */
#ifndef SHMQ_CRASH_REPORT_H
#define SHMQ_CRASH_REPORT_H

#include "proof.h"

void report_init(void);
/* Zeroed, shared by all workers (main.c). */
void *figures_memory(size_t bytes);
/* Prints everything; true when nothing was broken. */
bool report(uint32_t config_cnt, uint64_t seed, uint64_t ns);

#endif
