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

/* Gives the claims of endpoint `victim` (identity `identity`) in group `entry`
 * back. Used for the dead, and, with `living`, for the evicted: then a claim
 * goes only when the victim's views were seen down after the claim's word was
 * loaded. (Views go up before a claim is made, so whoever sees the claim sees
 * them, unless they have been down since and the claim is not looked at any
 * more.) False: stopped at a claim that may be looked at. */
bool shmqi_claims_free_of(struct shmqi_segment *s, uint32_t self,
    uint32_t entry, uint32_t victim, uint64_t identity, bool living);

#endif
