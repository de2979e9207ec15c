#define _GNU_SOURCE
#include "reap.h"

#include <unistd.h>

#include "clear.h"
#include "error.h"
#include "groups.h"
#include "wait.h"

#define ADMIN_TRIES 9 /* of 11 ms */

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
        const struct shmqi_ring *r = &s->ring;
        shmqi_clear_membership(r, self, victim, identity);
        if (r->ring == SHMQ_RING_MPMC)
            shmqi_clear_announcements(r, self, victim, identity);
        shmqi_clear_half_made(r, victim, identity);
        if (s->data_writable) /* else the next producer does it */
            shmqi_clear_producer(r, id);
        if (name)
            shmqi_wake_members(s);
    }
    remove_doorbell(s, id);
    bool counts = victim < s->ring.producer_cnt + s->ring.member_cnt;
    if (shmqi_clear_identity(&s->ring, victim, identity) && counts)
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

/* An admin endpoint, which must be had by whoever must reap. When all are
 * taken, one of a dead administrator is freed without naming anything: it has
 * no claims and no roles, only half-made groups; its announcements are taken
 * back by the next owner of its number. */
static int admin_entry(
    struct shmqi_segment *s, uint32_t *ret_idx, uint64_t *ret_identity)
{
    struct shmqi_ring *r = &s->ring;
    int rc = shmqi_endpoint_claim(s, SHMQ_ROLE_ADMIN, ret_idx, ret_identity);
    for (uint32_t i = r->producer_cnt + r->member_cnt;
         rc == SHMQ_ERR_LIMIT && i < r->endpoint_cnt; i++) {
        uint64_t identity = shmqi_identity_at(r, i);
        if (!shmqi_endpoint_dead(s, i, identity))
            continue;
        if (!(identity & SHMQI_IDENTITY_INIT))
            shmqi_clear_half_made(r, i, identity);
        (void)shmqi_clear_identity(r, i, identity);
        rc = shmqi_endpoint_claim(s, SHMQ_ROLE_ADMIN, ret_idx, ret_identity);
    }
    if (rc == SHMQ_OK && r->ring == SHMQ_RING_MPMC)
        shmqi_clear_announcements(r, *ret_idx, *ret_idx, *ret_identity);
    return rc;
}

/* Entries of the dead that were only half made need some patience, and so do
 * many who come at once. Bounded: in the end it is LIMIT. */
static int admin_entry_soon(
    struct shmqi_segment *s, uint32_t *ret_idx, uint64_t *ret_identity)
{
    int rc = admin_entry(s, ret_idx, ret_identity);
    for (int i = 0; rc == SHMQ_ERR_LIMIT && i < ADMIN_TRIES; i++) {
        (void)usleep(SHMQI_HALF_MADE_NS / 1000 + 1000);
        rc = admin_entry(s, ret_idx, ret_identity);
    }
    return rc;
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
    shmqi_sigbus_unblock();
    int rc = role == SHMQ_ROLE_ADMIN
        ? admin_entry_soon(s, ret_idx, ret_identity)
        : shmqi_endpoint_claim(s, role, ret_idx, ret_identity);
    if (rc == SHMQ_OK) {
        (void)shmqi_reap_all(s, *ret_idx);
        return rc;
    }
    if (rc != SHMQ_ERR_LIMIT)
        return rc;
    if (role != SHMQ_ROLE_ADMIN)
        rc = admin_entry_soon(s, &admin, &admin_identity);
    if (rc)
        return rc == SHMQ_ERR_LIMIT ? no_entry(s, SHMQ_ROLE_ADMIN) : rc;
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
