/* parts.h - what the threads of several scenarios do. */
#ifndef SHMQ_TEST_PARTS_H
#define SHMQ_TEST_PARTS_H

#include "oracle.h"

#define EVERYBODY 0xfeu

/* Publishes `cnt` records of `words` words; waits while the ring is full, gives
 * up when nobody will make room. */
void p_produce(
    struct shmq_producer *p, uint32_t author, uint32_t cnt, uint32_t words);
/* Opens a producer as soon as it can be had; NULL: never. */
struct shmq_producer *p_producer_wait(uint32_t author);
/* Receives and releases up to `cnt` records; waits while there are none. Ends
 * at STALE and CLOSED. Returns how many. */
uint32_t p_consume(struct o_reader *r, uint32_t cnt);
/* The same through shmq_consumer_poll(). */
void p_poll(struct o_reader *r, uint32_t cnt);
/* Opens a reader as soon as the role can be had; false: never. */
bool p_reader_wait(
    const char *name, uint32_t group, uint32_t kind, struct o_reader *ret);

/* end(): closes the reader of process `who` if that still lives. */
void p_close(uint32_t who, struct o_reader *r);
/* end(): who was stopped is killed; whoever is dead is reaped. */
void p_bury(void);
/* end(): the group's role passes, and what is left is drained and all done. */
void p_finish_exclusive(const char *name, uint32_t group);
/* end(): a claim that was given back is found by a member that looks on, even
 * while its giver stands still before having told so. Not those with so many
 * attempts: for them it may wait. */
void p_check_found(struct o_reader *r, uint32_t attempts);
/* end(): drained by a member that was there all the time. */
void p_finish_shared(struct o_reader *r);
/* end(): a new producer gets room for as many frames as there are slots, so
 * nothing has leaked; the reader takes them. */
void p_fill(struct o_reader *r, uint32_t author);

#endif
