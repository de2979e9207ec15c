/* life.h - the words of a group's life: made, bound, joined, removed, freed.
 *
 * The states and who leaves them are in groups.h. Everything here is one load
 * and one CAS of exactly the word that was loaded, so any of it may be done by
 * anybody, twice, or late. Invariants:
 *   BOUND   a group exists iff its name's `bind` word names an entry
 *   FINAL   floor and claims of an entry are final before it is sealed, and
 *           it is sealed before it is bound
 *   SEALED  an entry leaves SEALED only when `bind` has left the value that it
 *           replaces, which never comes back; who moves `bind` away from a
 *           sealed entry makes it READY first
 *   NAMED   who changes words of an entry that is not its own names {entry,
 *           generation} in its endpoint first and then finds the word READY;
 *           DELETING -> FREE follows a scan that found nobody naming it. */
#ifndef SHMQI_LIFE_H
#define SHMQI_LIFE_H

#include <shmq/group.h>

#include "pin.h"

/* What a change of a group means for others; the caller wakes them. */
enum shmqi_life_wake {
    SHMQI_WAKE_NONE = 0,
    SHMQI_WAKE_PRODUCERS = 1, /* there may be room */
    SHMQI_WAKE_ALL = 2 /* members must notice, too */
};

static inline uint64_t shmqi_life_word(
    const struct shmqi_ring *r, uint32_t entry)
{
    return shm_ld(J1, &r->groups[entry].word);
}

static inline uint64_t shmqi_bind_word(
    const struct shmqi_ring *r, uint32_t name_idx)
{
    return shm_ld(J11, &r->names[name_idx].bind);
}

static inline uint32_t shmqi_life_generation(uint64_t word)
{
    return shmqi_gword_unpack(word).generation;
}

/* The word of the entry when it is free again. */
static inline uint64_t shmqi_life_freed(uint64_t word)
{
    struct shmqi_gword g = shmqi_gword_unpack(word);
    g.generation++;
    g.state = SHMQI_GROUP_FREE;
    g.joins = g.endpoint = 0;
    return shmqi_gword_pack(g);
}

/* -- naming -----------------------------------------------------------------
 */

static inline void shmqi_life_untouch(const struct shmqi_ring *r, uint32_t self)
{
    shm_st(E5, &r->endpoints[self].touching, 0);
}

/* Names the entry in endpoint `self` and looks at its word after that. 0 (FREE
 * of generation 0) when it became another group meanwhile. */
static inline uint64_t shmqi_life_touch(
    const struct shmqi_ring *r, uint32_t self, uint32_t entry)
{
    uint32_t generation = shmqi_life_generation(shmqi_life_word(r, entry));
    shm_st(J5, &r->endpoints[self].touching, shmqi_naming(entry, generation));
    uint64_t w = shmqi_life_word(r, entry);
    if (shmqi_life_generation(w) == generation)
        return w;
    shmqi_life_untouch(r, self);
    return 0;
}

/* True when an endpoint names {entry, generation}; *ret_idx gets the first.
 * `members_only` looks at memberships; `skip` is not looked at. */
static inline bool shmqi_life_named(const struct shmqi_ring *r, uint32_t entry,
    uint32_t generation, bool members_only, uint32_t skip, uint32_t *ret_idx)
{
    uint64_t name = shmqi_naming(entry, generation);
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        struct shmqi_endpoint_shm *e = &r->endpoints[i];
        /* What stands in a free entry, or in one being taken, is its last
         * owner's; an owner stores its own names after it is through. */
        uint64_t identity = shm_ld(J6, &e->identity);
        if (i == skip || identity == 0 || (identity & SHMQI_IDENTITY_INIT))
            continue;
        if (shm_ld(J6, &e->member_of) == name ||
            (!members_only && shm_ld(J6, &e->touching) == name)) {
            if (ret_idx)
                *ret_idx = i;
            return true;
        }
    }
    return false;
}

/* -- making -----------------------------------------------------------------
 */

/* A free entry becomes CREATING(self): its other words are the caller's. */
static inline bool shmqi_life_take(const struct shmqi_ring *r, uint32_t self,
    uint32_t entry, uint64_t *ret_word)
{
    uint64_t w = shmqi_life_word(r, entry);
    if (shmqi_gword_unpack(w).state != SHMQI_GROUP_FREE)
        return false;
    uint64_t mine = shmqi_gword_with(w, SHMQI_GROUP_CREATING, self);
    if (!shm_cas(J2, &r->groups[entry].word, w, mine))
        return false;
    *ret_word = mine;
    return true;
}

/* Gives an entry that was never sealed back. */
static inline void shmqi_life_drop(
    const struct shmqi_ring *r, uint32_t entry, uint64_t word)
{
    (void)shm_cas(J2, &r->groups[entry].word, word, shmqi_life_freed(word));
}

static inline uint32_t shmqi_life_name(
    const struct shmqi_ring *r, uint32_t entry)
{
    return (uint32_t)(shm_ld(N1, &r->groups[entry].attrs) >> 32) & 0xffffff;
}

/* Whoever meets a sealed entry finishes what its creator has begun: binds it,
 * if the name still means what it meant then, and makes it READY; else it is
 * the loser of the name, and DELETING. What was read belongs to this word when
 * it is still the word afterwards; a CAS of `bind` that comes later than that
 * finds that `bind` has moved on (SEALED). */
static inline void shmqi_life_settle(const struct shmqi_ring *r, uint32_t entry)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    uint64_t w = shmqi_life_word(r, entry);
    struct shmqi_gword gw = shmqi_gword_unpack(w);
    if (gw.state != SHMQI_GROUP_SEALED)
        return;
    uint32_t name = shmqi_life_name(r, entry);
    uint64_t was = shm_ld(N1, &g->replaces);
    uint64_t bind = shmqi_bind((was >> 16) + 1, entry + 1);
    if (name >= r->name_cnt || shmqi_life_word(r, entry) != w)
        return;
    if (shm_cas(J8, &r->names[name].bind, was, bind) ||
        shmqi_bind_word(r, name) == bind) {
        (void)shm_cas(
            J2, &g->word, w, shmqi_gword_with(w, SHMQI_GROUP_READY, 0));
    } else if (shm_cas(J2, &g->word, w,
                   shmqi_gword_with(w, SHMQI_GROUP_DELETING, gw.endpoint))) {
        shmqi_version_add(r);
    }
}

enum shmqi_life_made {
    SHMQI_MADE,
    SHMQI_MADE_BY_OTHERS, /* the name means something else by now */
    SHMQI_MADE_AGAIN /* it was stolen before it was sealed: once more */
};

/* Seals and binds an entry whose words are final, and which endpoint `self`
 * names: from the CAS of `bind` on, whoever does it, the group exists. */
static inline enum shmqi_life_made shmqi_life_bind(const struct shmqi_ring *r,
    uint64_t old_bind, uint32_t entry, uint64_t gating)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    uint32_t self = shmqi_gword_unpack(gating).endpoint;
    uint32_t other = shmqi_bind_entry(old_bind);
    if (other != 0 && other <= r->group_cnt)
        shmqi_life_settle(r, other - 1);
    shm_st(N2, &g->replaces, old_bind);
    if (!shm_cas(J2, &g->word, gating,
            shmqi_gword_with(gating, SHMQI_GROUP_SEALED, self)))
        return SHMQI_MADE_AGAIN;
    shmqi_life_settle(r, entry);
    /* Not used again while it is named. A removed group's endpoint is 0. */
    struct shmqi_gword w = shmqi_gword_unpack(shmqi_life_word(r, entry));
    return w.state == SHMQI_GROUP_DELETING && w.endpoint == self
        ? SHMQI_MADE_BY_OTHERS
        : SHMQI_MADE;
}

/* A creator that was stopped before it sealed its entry holds the ring up for
 * nothing: its entry is taken from it. It names the entry, which so is not
 * used again before it has noticed. False: it has moved on. */
static inline bool shmqi_life_steal(
    const struct shmqi_ring *r, uint32_t entry, uint64_t word)
{
    if (shmqi_gword_unpack(word).state != SHMQI_GROUP_GATING ||
        !shm_cas(J2, &r->groups[entry].word, word,
            shmqi_gword_with(word, SHMQI_GROUP_DELETING, 0)))
        return false;
    shmqi_version_add(r);
    return true;
}

/* The group exists no more. False: it did not, or is another one by now. */
static inline bool shmqi_life_unbind(
    const struct shmqi_ring *r, uint32_t name_idx, uint64_t bind)
{
    uint32_t entry = shmqi_bind_entry(bind);
    if (entry != 0 && entry <= r->group_cnt)
        shmqi_life_settle(r, entry - 1);
    return shm_cas(
        J8, &r->names[name_idx].bind, bind, shmqi_bind((bind >> 16) + 1, 0));
}

/* -- joining ----------------------------------------------------------------
 */

enum shmqi_life_joined {
    SHMQI_JOINED,
    SHMQI_JOIN_AGAIN, /* look at bind again */
    SHMQI_JOIN_ABSENT, /* it has stopped gating: make it anew */
    SHMQI_JOIN_SWEEP /* it is being removed: help, then look again */
};

/* One try of endpoint `self` to become a member of `entry`, which `bind` of
 * the name was seen to mean. It names the entry when it has joined. */
static inline enum shmqi_life_joined shmqi_life_join(const struct shmqi_ring *r,
    uint32_t self, uint32_t entry, uint32_t name_idx, uint64_t bind,
    uint32_t *ret_generation)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    struct shmqi_endpoint_shm *me = &r->endpoints[self];
    enum shmqi_life_joined how = SHMQI_JOIN_AGAIN;
    uint32_t generation = shmqi_life_generation(shmqi_life_word(r, entry));
    shm_st(J5, &me->member_of, shmqi_naming(entry, generation));
    uint64_t w = shmqi_life_word(r, entry);
    struct shmqi_gword gw = shmqi_gword_unpack(w);
    if (gw.generation == generation && shmqi_bind_word(r, name_idx) == bind) {
        if (gw.state == SHMQI_GROUP_SEALED) {
            shmqi_life_settle(r, entry);
        } else if (gw.state == SHMQI_GROUP_ABSENT) {
            how = SHMQI_JOIN_ABSENT;
        } else if (gw.state == SHMQI_GROUP_READY) {
            gw.joins = (gw.joins + 1) & 0xfffffu;
            gw.joins += gw.joins == 0; /* 0: never had a member */
            *ret_generation = generation;
            if (shm_cas(J12, &g->word, w, shmqi_gword_pack(gw)))
                return SHMQI_JOINED;
        } else {
            how = SHMQI_JOIN_SWEEP;
        }
    }
    shm_st(E5, &me->member_of, 0);
    return how;
}

static inline void shmqi_life_leave(const struct shmqi_ring *r, uint32_t self)
{
    shm_st(E5, &r->endpoints[self].member_of, 0);
}

/* -- finishing what others left ---------------------------------------------
 */

static inline bool shmqi_life_bound(const struct shmqi_ring *r, uint32_t entry)
{
    uint32_t name = shmqi_life_name(r, entry);
    return name < r->name_cnt &&
        shmqi_bind_entry(shmqi_bind_word(r, name)) == entry + 1;
}

/* A half-made entry of a dead endpoint, whose word was loaded before that was
 * known: sealed -> as its creator would, else -> FREE. */
static inline void shmqi_life_settle_dead(
    const struct shmqi_ring *r, uint32_t entry, uint64_t word)
{
    uint32_t state = shmqi_gword_unpack(word).state;
    if (state == SHMQI_GROUP_SEALED) {
        shmqi_life_settle(r, entry);
    } else if (state == SHMQI_GROUP_GATING || state == SHMQI_GROUP_CREATING) {
        shmqi_life_drop(r, entry, word);
        shmqi_version_add(r);
    }
}

/* From the state that was seen to the next: SEALED -> READY or DELETING,
 * unbound READY or ABSENT -> DELETING, unnamed DELETING -> FREE, memberless
 * absent=release -> ABSENT. */
static inline enum shmqi_life_wake shmqi_life_sweep(
    const struct shmqi_ring *r, uint32_t entry)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    enum shmqi_life_wake wake = SHMQI_WAKE_NONE;
    shmqi_life_settle(r, entry);
    uint64_t w = shmqi_life_word(r, entry);
    struct shmqi_gword gw = shmqi_gword_unpack(w);
    bool live = gw.state == SHMQI_GROUP_READY || gw.state == SHMQI_GROUP_ABSENT;
    if (live && !shmqi_life_bound(r, entry)) {
        uint64_t d = shmqi_gword_with(w, SHMQI_GROUP_DELETING, 0);
        if (!shm_cas(J2, &g->word, w, d))
            return wake;
        shmqi_version_add(r);
        wake = SHMQI_WAKE_ALL;
        w = d;
        gw = shmqi_gword_unpack(w);
    }
    bool release = ((shm_ld(N1, &g->attrs) >> 8) & 0xff) == SHMQ_ABSENT_RELEASE;
    uint64_t to = w;
#ifdef SHMQ_BUG_ENTRY_FREED_AT_ONCE
    if (gw.state == SHMQI_GROUP_DELETING)
#else
    if (gw.state == SHMQI_GROUP_DELETING &&
        !shmqi_life_named(r, entry, gw.generation, false, UINT32_MAX, NULL))
#endif
        to = shmqi_life_freed(w);
    else if (gw.state == SHMQI_GROUP_READY && release && gw.joins != 0 &&
        !shmqi_life_named(r, entry, gw.generation, true, UINT32_MAX, NULL))
        to = shmqi_gword_with(w, SHMQI_GROUP_ABSENT, 0);
    if (to == w || !shm_cas(J2, &g->word, w, to))
        return wake;
    shmqi_version_add(r);
    return wake == SHMQI_WAKE_NONE ? SHMQI_WAKE_PRODUCERS : wake;
}

#endif
