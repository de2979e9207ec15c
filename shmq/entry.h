/* entry.h - the words of an endpoint's entry: taken, filled, valid, freed.
 *
 * An entry is taken by CAS 0 -> identity with INIT (E2); its fields are then
 * written by its owner alone, and CAS of INIT away (E3) makes them valid.
 * Readers are the reading half of a sequence lock: identity, fields, fence,
 * the same identity. A reaper may free an entry in the making; its owner's E3
 * then fails. Identities never come back. */
#ifndef SHMQI_ENTRY_H
#define SHMQI_ENTRY_H

#include "layout.h"

/* The identity at `idx` as is: 0, or with SHMQI_IDENTITY_INIT. */
static inline uint64_t shmqi_identity_at(
    const struct shmqi_ring *r, uint32_t idx)
{
    return shm_ld(E1, &r->endpoints[idx].identity);
}

/* True when no endpoint carries this identity (any more). */
static inline bool shmqi_identity_gone(
    const struct shmqi_ring *r, uint64_t identity)
{
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if ((shmqi_identity_at(r, i) & ~SHMQI_IDENTITY_INIT) == identity)
            return false;
    return true;
}

/* What an endpoint says of itself. */
struct shmqi_fields {
    uint64_t pid_namespace, pid /* role in the high half */, start_time;
    uint64_t image, since_ns, comm[2];
};

static inline bool shmqi_entry_take(
    const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    return shmqi_identity_at(r, idx) == 0 &&
        shm_cas(
            E2, &r->endpoints[idx].identity, 0, identity | SHMQI_IDENTITY_INIT);
}

/* The owner of an entry that it has taken writes all its words. */
static inline void shmqi_entry_fill(
    const struct shmqi_ring *r, uint32_t idx, const struct shmqi_fields *f)
{
    struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    shm_fence(E9); /* our entry before our fields */
    shm_st(N2, &e->pid_namespace, f->pid_namespace);
    shm_st(N2, &e->pid, f->pid);
    shm_st(N2, &e->start_time, f->start_time);
    shm_st(N2, &e->image, f->image);
    shm_st(N2, &e->since_ns, f->since_ns);
    shm_st(N2, &e->comm[0], f->comm[0]);
    shm_st(N2, &e->comm[1], f->comm[1]);
    shm_st(N2, &e->member_of, 0);
    shm_st(N2, &e->touching, 0);
    shm_st(N2, &e->lease, 0);
    shm_st(N2, &e->views, 0);
    shm_st(N2, &e->holds, 0);
    shm_st(N2, &e->messages, 0);
    shm_st(N2, &e->evicted, 0);
    shm_st(N2, &e->doorbell, 0);
    shm_st(N2, &e->waiting, 0);
}

/* False: reaped in the middle, the entry is somebody else's. */
static inline bool shmqi_entry_valid(
    const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    return shm_cas(E3, &r->endpoints[idx].identity,
        identity | SHMQI_IDENTITY_INIT, identity);
}

/* Roles, claims and names must have been given back. */
static inline void shmqi_entry_free(
    const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    shm_st(E5, &e->member_of, 0);
    shm_st(E5, &e->touching, 0);
    (void)shm_cas(E2, &e->identity, identity, 0);
}

/* False when the entry is free, in the making, or changed while being read. */
static inline bool shmqi_entry_read(const struct shmqi_ring *r, uint32_t idx,
    uint64_t *ret_identity, struct shmqi_fields *ret)
{
    struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    uint64_t identity = shmqi_identity_at(r, idx);
    if (identity == 0 || (identity & SHMQI_IDENTITY_INIT))
        return false;
    ret->pid = shm_ld(N1, &e->pid);
    ret->pid_namespace = shm_ld(N1, &e->pid_namespace);
    ret->start_time = shm_ld(N1, &e->start_time);
    ret->image = shm_ld(N1, &e->image);
    ret->since_ns = shm_ld(N1, &e->since_ns);
    ret->comm[0] = shm_ld(N1, &e->comm[0]);
    ret->comm[1] = shm_ld(N1, &e->comm[1]);
    shm_fence(E8); /* the fields above before the second look */
    *ret_identity = identity;
    return shm_ld(E4, &e->identity) == identity;
}

#endif
