/* relieve.h - what anybody who is held up does: finish what others left, end
 * leases that are over, clear away the dead; and say who holds the ring up. */
#ifndef SHMQI_RELIEVE_H
#define SHMQI_RELIEVE_H

#include <shmq/stat.h>

#include "groups.h"

/* Moves the floors of shared groups over what is done. */
void shmqi_walk_floors(struct shmqi_segment *s, uint32_t self);

/* Claims whose owner's lease is over go back. `entry` is a leased group.
 * Returns how many moved. */
uint32_t shmqi_leases_end(
    struct shmqi_segment *s, uint32_t self, uint32_t entry);

/* All of it: walk, end leases, reap. */
void shmqi_relieve(struct shmqi_segment *s, uint32_t self);

/* Who holds producers up now: the gating group with the lowest floor, and the
 * endpoint in it that is responsible. False when nobody does. */
struct shmqi_blamed {
    char group[SHMQ_GROUP_MAX + 1];
    uint32_t entry;
    uint32_t endpoint; /* UINT32_MAX: the group has no reader */
    uint64_t floor;
};
bool shmqi_blame_find(struct shmqi_segment *s, struct shmqi_blamed *ret);

/* As a phrase: "held up by group G, pid N (comm), stopped". */
void shmqi_blame(struct shmqi_segment *s, char *buf, size_t size);

/* State of a living endpoint's process. */
enum shmq_state shmqi_peer_state(
    struct shmqi_segment *s, uint32_t idx, const struct shmqi_peer *peer);

#endif
