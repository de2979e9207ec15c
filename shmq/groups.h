/* groups.h - the life of groups: names, creation, joining, removal.
 *
 * A name is entered once and stays for the life of the topic; its `bind` word
 * says which entry is the group of that name now. Bound = exists.
 *
 * Invariant NAMED: whoever touches words of an entry (member, reaper, helper)
 * first stores {entry, generation} in its own endpoint and then finds the
 * entry's word unchanged in generation. DELETING -> FREE happens only after a
 * scan that found no endpoint naming it, so a stopped process quarantines one
 * entry and nobody's words are touched by mistake.
 *
 * States and who leaves them:
 *   FREE -> CREATING(me)      creator; it owns the entry
 *   CREATING -> GATING(me)    creator, floor stored; `version` is bumped next
 *   GATING -> SEALED(me)      creator: floor and claims are final, and
 *                             `replaces` says which bind word is to be
 *                             replaced
 *   SEALED -> READY           anybody, when it is bound (and binds it)
 *   SEALED -> DELETING(me)    anybody, when the name means something else
 *   GATING -> DELETING        whom it holds up while its creator is stopped
 *   GATING/CREATING -> FREE   its creator, or its reaper
 *   READY(j) -> READY(j+1)    a member joins (after naming)
 *   READY(j) -> ABSENT(j)     absent=release, no living member: CAS of the
 *                             word loaded before the scan
 *   (ABSENT comes back as a new entry of the same name, see revive: raising
 *   the floor in place could not be helped safely by others)
 *   READY/ABSENT -> DELETING  whoever finds that bind does not name it
 *   DELETING -> FREE(gen+1)   scan found no endpoint naming it */
#ifndef SHMQI_GROUPS_H
#define SHMQI_GROUPS_H

#include <shmq/consumer.h>

#include "endpoint.h"
#include "life.h"

/* A consumer's membership, or what an admin looked up. Private. */
struct shmqi_member {
    uint32_t entry, name_idx, generation;
    uint64_t bind;
    uint32_t kind, absent, max_attempts;
    uint64_t lease_ns;
    bool views; /* the group hands out zero-copy views */
    bool created;
    uint64_t lost_from, lost_to; /* gap on return from ABSENT, if from < to */
    char dead_letter[SHMQI_TOPIC_ROOM];
};

int shmqi_group_name_check(const char *name);

/* Index of `name` in the name table; inserts it when asked to. NOENT, LIMIT,
 * EXISTS (another name of the same hash). */
int shmqi_group_name(
    struct shmqi_segment *s, const char *name, bool insert, uint32_t *ret_idx);
/* Copies the name of a name-table index; "" when incomplete. Printable whatever
 * stands there, since it goes into error texts. */
void shmqi_group_name_read(
    const struct shmqi_ring *r, uint32_t idx, char ret[SHMQ_GROUP_MAX + 1]);

/* What a group is made from. old_bind: the bind word to replace (unbound, or
 * for a reset the old group's); seen: records below it are redelivered. */
struct shmqi_make {
    uint32_t name_idx;
    uint64_t old_bind;
    struct shmq_group_attrs attrs;
    struct shmq_start start;
    uint64_t seen;
    uint64_t place; /* durable topics: where `start` is; set by make */
};

/* Makes a group and binds it. EXISTS when somebody else was first. */
int shmqi_group_make(
    struct shmqi_segment *s, uint32_t self, struct shmqi_make *make);

/* Joins the group `name` (made when missing unless no_create). The endpoint
 * names it until shmqi_group_leave(). */
int shmqi_group_join(struct shmqi_segment *s, uint32_t self, const char *name,
    const struct shmq_group_attrs *attrs, const struct shmq_start *start,
    bool no_create, struct shmqi_member *ret);
void shmqi_group_leave(
    struct shmqi_segment *s, uint32_t self, const struct shmqi_member *m);

/* After `version` changed: 0, CLOSED (removed) or STALE (reset). */
int shmqi_group_check(struct shmqi_segment *s, const struct shmqi_member *m);

/* Attributes of the entry into *m. */
void shmqi_group_read_attrs(
    struct shmqi_segment *s, uint32_t entry, struct shmqi_member *m);

/* Loads the word and finishes what others left: sealed -> READY or DELETING,
 * unbound READY -> DELETING, unnamed DELETING -> FREE, memberless
 * absent=release -> ABSENT. */
void shmqi_group_sweep(struct shmqi_segment *s, uint32_t entry);
void shmqi_groups_sweep(struct shmqi_segment *s);

#endif
