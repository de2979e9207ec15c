/* victim.h - what operations use in the victim; each ends the process with a
 * word when it fails. */
#ifndef SHMQ_CRASH_VICTIM_H
#define SHMQ_CRASH_VICTIM_H

#include "proof.h"
#include "topic_impl.h"

void v_must(int rc, const char *what);
void v_topic(struct victim *v);
/* Opens topic and producer, and fills the ring where the victim has to. */
void v_producer(struct victim *v);
/* Fills the ring, where the victim has to, through a producer of its own. */
void v_fill_apart(struct victim *v);
struct shmq_consumer_options v_options(struct victim *v, enum group group);
void v_consumer(struct victim *v, enum group group, uint32_t flags);
void v_receive(struct victim *v, uint32_t i); /* into msg[i] and tags[i] */

#endif
