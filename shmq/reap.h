/* reap.h - attaching, and clearing away what the dead left.
 *
 * Crash argument: every step is a CAS of exactly the word that was loaded
 * before the victim's identity was looked at again, and every step may be
 * repeated. The identity goes last, so a reaper that dies or stops in the
 * middle leaves the rest to the next; one that resumes late finds another
 * identity, or a word that has changed, and does nothing. */
#ifndef SHMQI_REAP_H
#define SHMQI_REAP_H

#include "endpoint.h"

/* Takes an endpoint for `role` and clears away dead ones. LIMIT when all
 * entries belong to the living. */
int shmqi_attach(struct shmqi_segment *s, uint32_t role, uint32_t *ret_idx,
    uint64_t *ret_identity);

/* Reaps every endpoint that is proven dead, and finishes half-done group
 * changes. `self` is the caller's own endpoint. Returns how many it reaped. */
uint32_t shmqi_reap_all(struct shmqi_segment *s, uint32_t self);

/* Reaps the endpoint at `idx` if it is dead. True when it was. */
bool shmqi_reap_if_dead(struct shmqi_segment *s, uint32_t self, uint32_t idx);

#endif
