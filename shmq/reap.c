#define _GNU_SOURCE
#include "reap.h"

#include <unistd.h>

#include "claims.h"
#include "error.h"
#include "groups.h"
#include "wait.h"

static struct shmqi_claims claims_of(struct shmqi_segment *s, uint32_t entry)
{
    struct shmqi_ring *r = &s->ring;
    struct shmqi_claims c = {&r->groups[entry],
        r->claims + ((uint64_t)entry << r->claim_lg2), r->claim_lg2,
        r->endpoint_cnt};
    return c;
}

static bool still(const struct shmqi_ring *r, uint32_t idx, uint64_t identity)
{
    return shm_ld(E6, &r->endpoints[idx].identity) == identity;
}

bool shmqi_claims_free_of(struct shmqi_segment *s, uint32_t self,
    uint32_t entry, uint32_t victim, uint64_t identity, bool living)
{
    struct shmqi_ring *r = &s->ring;
    bool all = true;
    struct shmqi_claims c = claims_of(s, entry);
    uint64_t near = shm_ld(G1, &r->data->tail);
    uint64_t floor = shmqi_claims_floor(&c, near);
    shmqi_freeing_begin(&c, self);
    for (uint64_t q = floor; q < floor + (1ull << c.lg2); q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(&c, q));
        if (shmqi_claim_age(&c, k, q) != 0 || !shmqi_claim_held_by(k, victim))
            continue;
        if (living && shm_ld(V1, &r->endpoints[victim].views) != 0) {
            all = false;
            break;
        }
        if (!still(r, victim, identity))
            break;
        (void)shm_cas(S9, shmqi_claim_at(&c, q), k, shmqi_claim_freed(k));
    }
    shmqi_freeing_end(&c, self);
    shmqi_claims_walk(&c, near);
    return all;
}

/* The victim may have died between freeing claims and telling so: the bump has
 * been done above, now its announcement may go. */
static void clear_freeing_bit(
    struct shmqi_segment *s, uint32_t entry, uint32_t victim, uint64_t identity)
{
    if (still(&s->ring, victim, identity))
        (void)shm_and(S7, &s->ring.groups[entry].freeing[victim >> 6],
            ~(1ull << (victim & 63)));
}

/* What the victim had in the group that it was a member of. */
static void reap_membership(
    struct shmqi_segment *s, uint32_t self, uint32_t victim, uint64_t identity)
{
    struct shmqi_ring *r = &s->ring;
    uint64_t name = shm_ld(J6, &r->endpoints[victim].member_of);
    uint32_t entry = (uint32_t)(name >> 28) - 1;
    if (name == 0 || entry >= r->group_cnt)
        return;
    uint64_t w = shmqi_group_touch(s, self, entry);
    struct shmqi_gword gw = shmqi_gword_unpack(w);
    /* READY after naming, or nothing: claims of a group that is being removed
     * matter to nobody, and its words may become another group's. */
    if (shmqi_naming(entry, gw.generation) == name &&
        gw.state == SHMQI_GROUP_READY) {
        struct shmqi_group_shm *g = &r->groups[entry];
        if ((shm_ld(N1, &g->attrs) & 0xff) == SHMQ_GROUP_SHARED) {
            (void)shmqi_claims_free_of(s, self, entry, victim, identity, false);
            clear_freeing_bit(s, entry, victim, identity);
        } else {
            (void)shm_cas(E7, &g->reader, identity, 0);
        }
    }
    shmqi_group_untouch(s, self);
}

/* Groups whose reaper, expirer or nacker the victim was: its announcements
 * there. */
static void reap_announcements(
    struct shmqi_segment *s, uint32_t self, uint32_t victim, uint64_t identity)
{
    struct shmqi_ring *r = &s->ring;
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        struct shmqi_group_shm *g = &r->groups[i];
        uint64_t bit = 1ull << (victim & 63);
        if ((shm_ld(S8, &g->freeing[victim >> 6]) & bit) == 0)
            continue;
        uint64_t w = shmqi_group_touch(s, self, i);
        if (shmqi_gword_unpack(w).state == SHMQI_GROUP_READY) {
            struct shmqi_claims c = claims_of(s, i);
            shmqi_freeing_end(&c, self); /* the bump */
            clear_freeing_bit(s, i, victim, identity);
        }
        shmqi_group_untouch(s, self);
    }
}

/* Entries that the victim was making. Their word holds its number and a
 * generation that only a reaper ends, so no naming is needed. */
static void reap_half_made(
    struct shmqi_segment *s, uint32_t victim, uint64_t identity)
{
    struct shmqi_ring *r = &s->ring;
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint64_t w = shm_ld(J1, &r->groups[i].word);
        struct shmqi_gword gw = shmqi_gword_unpack(w);
        if ((gw.state == SHMQI_GROUP_CREATING ||
                gw.state == SHMQI_GROUP_GATING) &&
            gw.endpoint == victim && still(r, victim, identity))
            shmqi_group_settle_dead(s, i, w);
    }
}

static void reap_producer(struct shmqi_segment *s, uint64_t identity)
{
    struct shmqi_ring *r = &s->ring;
    if (!s->data_writable)
        return; /* the next producer does it */
    if (r->ring == SHMQ_RING_SPSC) {
        (void)shm_cas(E7, &r->data->role, identity, 0);
        return;
    }
    for (uint32_t i = 0; i < r->producer_cnt; i++)
        if (shm_ld(A1, &r->arenas[i].owner) == identity)
            (void)shm_cas(A2, &r->arenas[i].owner, identity, 0);
}

static void remove_doorbell(const struct shmqi_segment *s, uint64_t identity)
{
    char path[256];
    shmqi_doorbell_path(path, s, identity);
    (void)unlink(path);
}

/* A dead endpoint without own entries in claims or groups. `self` names what
 * is touched. */
static void reap(
    struct shmqi_segment *s, uint32_t self, uint32_t victim, uint64_t identity)
{
    uint64_t id = identity & ~SHMQI_IDENTITY_INIT;
    if (!(identity & SHMQI_IDENTITY_INIT)) {
        uint64_t name = shm_ld(J6, &s->ring.endpoints[victim].member_of);
        reap_membership(s, self, victim, identity);
        if (s->ring.ring == SHMQ_RING_MPMC)
            reap_announcements(s, self, victim, identity);
        reap_half_made(s, victim, identity);
        reap_producer(s, id);
        if (name)
            shmqi_wake_members(s);
    }
    remove_doorbell(s, id);
    bool counts = victim < s->ring.producer_cnt + s->ring.member_cnt;
    if (shm_cas(E2, &s->ring.endpoints[victim].identity, identity, 0) && counts)
        (void)shm_add(N3, &s->ring.control->reaped, 1);
}

bool shmqi_reap_if_dead(struct shmqi_segment *s, uint32_t self, uint32_t idx)
{
    uint64_t identity = shmqi_identity_at(&s->ring, idx);
    if (idx == self || !shmqi_endpoint_dead(s, idx, identity))
        return false;
    reap(s, self, idx, identity);
    return true;
}

uint32_t shmqi_reap_all(struct shmqi_segment *s, uint32_t self)
{
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++)
        cnt += shmqi_reap_if_dead(s, self, i);
    shmqi_groups_sweep(s);
    return cnt;
}

/* Admin endpoints are reaped without naming anything: they have no claims and
 * no roles, only half-made groups and announcements that bounded looks cover.
 * So there is always an entry for whoever must reap. */
static void reap_admins(struct shmqi_segment *s)
{
    struct shmqi_ring *r = &s->ring;
    for (uint32_t i = r->producer_cnt + r->member_cnt; i < r->endpoint_cnt;
         i++) {
        uint64_t identity = shmqi_identity_at(r, i);
        if (!shmqi_endpoint_dead(s, i, identity))
            continue;
        if (!(identity & SHMQI_IDENTITY_INIT))
            reap_half_made(s, i, identity);
        (void)shm_cas(E2, &r->endpoints[i].identity, identity, 0);
    }
}

static int no_entry(const struct shmqi_segment *s, uint32_t role)
{
    const struct shmqi_ring *r = &s->ring;
    if (role == SHMQ_ROLE_PRODUCER)
        return shmqi_fail(SHMQ_ERR_LIMIT,
            "%s: %u producers are open already; "
            "close one, or create the topic with more "
            "--max-producers",
            s->topic, r->producer_cnt);
    if (role == SHMQ_ROLE_ADMIN)
        return shmqi_fail(SHMQ_ERR_LIMIT,
            "%s: %u administrators at work; try "
            "again",
            s->topic, SHMQI_ADMIN_ENDPOINTS);
    return shmqi_fail(SHMQ_ERR_LIMIT,
        "%s: %u consumers are open already; "
        "close one, or create the topic with more "
        "--max-members",
        s->topic, r->member_cnt);
}

static bool any_half_made(const struct shmqi_ring *r)
{
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if (shmqi_identity_at(r, i) & SHMQI_IDENTITY_INIT)
            return true;
    return false;
}

int shmqi_attach(struct shmqi_segment *s, uint32_t role, uint32_t *ret_idx,
    uint64_t *ret_identity)
{
    uint32_t admin;
    uint64_t admin_identity;
    int rc = shmqi_endpoint_claim(s, role, ret_idx, ret_identity);
    if (rc == SHMQ_OK) {
        (void)shmqi_reap_all(s, *ret_idx);
        return rc;
    }
    if (rc != SHMQ_ERR_LIMIT)
        return rc;
    reap_admins(s);
    rc = shmqi_endpoint_claim(s, SHMQ_ROLE_ADMIN, &admin, &admin_identity);
    if (rc)
        return rc == SHMQ_ERR_LIMIT ? no_entry(s, SHMQ_ROLE_ADMIN) : rc;
    if (role == SHMQ_ROLE_ADMIN) {
        *ret_idx = admin;
        *ret_identity = admin_identity;
        (void)shmqi_reap_all(s, admin);
        return SHMQ_OK;
    }
    /* Twice: entries of the dead that were only half made need some patience.
     */
    for (int i = 0; i < 2; i++) {
        (void)shmqi_reap_all(s, admin);
        rc = shmqi_endpoint_claim(s, role, ret_idx, ret_identity);
        if (rc != SHMQ_ERR_LIMIT || !any_half_made(&s->ring))
            break;
        (void)usleep(SHMQI_HALF_MADE_NS / 1000 + 1000);
    }
    shmqi_endpoint_free(s, admin, admin_identity);
    return rc == SHMQ_ERR_LIMIT ? no_entry(s, role) : rc;
}
