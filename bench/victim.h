/* victim.h - a process that is there to be killed: with some memory touched,
 * and the moment of its death known. */
#ifndef LAB_VICTIM_H
#define LAB_VICTIM_H

#include <stdint.h>
#include <sys/types.h>

/* Maps and writes private memory, in small pages. 0 or -1. */
int lab_victim_touch(uint64_t bytes);

/* Sends SIGKILL to the child `pid`, sleeps until the kernel says that it is
 * gone, collects it. Times in ticks. 0 or -1. */
int lab_victim_kill(pid_t pid, uint64_t *ret_kill, uint64_t *ret_proof);

#endif
