#include "relieve.h"

#include <stdio.h>
#include <string.h>

#include "clear.h"
#include "reap.h"
#include "seek.h"
#include "wait.h"
#include "watermarks.h"

static bool shared_and_ready(struct shmqi_segment *s, uint32_t entry)
{
    struct shmqi_group_shm *g = &s->ring.groups[entry];
    uint32_t state = shmqi_gword_unpack(shm_ld(J1, &g->word)).state;
    return state == SHMQI_GROUP_READY &&
        shmqi_attrs_shared(&s->ring, shm_ld(N1, &g->attrs));
}

/* Names the entry and looks once more. READY after naming: whoever deletes it
 * does so later and then finds the name. */
static bool touch_shared(struct shmqi_segment *s, uint32_t self, uint32_t entry)
{
    if (!shared_and_ready(s, entry))
        return false;
    uint64_t w = shmqi_life_touch(&s->ring, self, entry);
    if (shmqi_gword_unpack(w).state == SHMQI_GROUP_READY &&
        shared_and_ready(s, entry))
        return true;
    shmqi_life_untouch(&s->ring, self);
    return false;
}

void shmqi_walk_floors(struct shmqi_segment *s, uint32_t self)
{
    if (s->ring.ring != SHMQ_RING_MPMC)
        return;
    for (uint32_t i = 0; i < s->ring.group_cnt; i++) {
        if (!touch_shared(s, self, i))
            continue;
        struct shmqi_claims c = shmqi_claims_of(&s->ring, i);
        shmqi_claims_walk(&c, shm_ld(G1, &s->ring.data->tail));
        shmqi_life_untouch(&s->ring, self);
    }
}

uint32_t shmqi_leases_end(
    struct shmqi_segment *s, uint32_t self, uint32_t entry)
{
    return shmqi_clear_leases(&s->ring, self, entry, shmqi_now_monotonic());
}

/* The gating group with the lowest floor: false when there is none. */
static bool find_lowest(struct shmqi_segment *s, struct shmqi_blamed *ret)
{
    struct shmqi_ring *r = &s->ring;
    uint64_t end = shmqi_ring_end(r);
    bool found = false;
    if (r->gated_by != SHMQI_GATED_BY_GROUPS)
        return false;
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        struct shmqi_group_shm *g = &r->groups[i];
        if (!shmqi_group_gates(r, i, shm_ld(G3, &g->word)))
            continue;
        uint64_t floor = shmqi_pos_of(r, shm_ld(J9, &g->floor));
        if (floor >= end || (found && floor >= ret->floor))
            continue;
        found = true;
        ret->floor = floor;
        ret->entry = i;
    }
    return found;
}

/* Whoever makes a group has some patience to finish it; then its entry, if it
 * is the one that holds the ring up, is taken away (it begins anew when it goes
 * on). The time is when it began, by the wall clock: a clock that has been set
 * costs a creator one more try. */
static void steal_half_made(struct shmqi_segment *s)
{
    struct shmqi_blamed b;
#ifdef SHMQ_BUG_HALF_MADE_KEPT
    return;
#endif
    if (!find_lowest(s, &b))
        return;
    struct shmqi_group_shm *g = &s->ring.groups[b.entry];
    uint64_t w = shm_ld(J1, &g->word);
    if (shmqi_gword_unpack(w).state != SHMQI_GROUP_GATING)
        return;
    uint64_t began = shm_ld(N1, &g->idle_since_ns);
    uint64_t now = shmqi_now_realtime();
    if ((now < began || now - began >= SHMQI_HALF_MADE_NS) &&
        shmqi_life_steal(&s->ring, b.entry, w))
        shmqi_wake_producers(s);
}

void shmqi_relieve(struct shmqi_segment *s, uint32_t self)
{
    struct shmqi_ring *r = &s->ring;
    (void)shmqi_reap_all(s, self);
    steal_half_made(s);
    if (r->ring != SHMQ_RING_MPMC)
        return;
    shmqi_walk_floors(s, self);
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        if (shm_ld(N1, &r->groups[i].lease_ns) == 0 ||
            !touch_shared(s, self, i))
            continue;
        (void)shmqi_leases_end(s, self, i);
        shmqi_life_untouch(&s->ring, self);
    }
}

/* -- blame --------------------------------------------------------------------
 */

static uint32_t holder_of(
    struct shmqi_segment *s, uint32_t entry, uint64_t floor)
{
    struct shmqi_ring *r = &s->ring;
    struct shmqi_group_shm *g = &r->groups[entry];
    struct shmqi_gword gw = shmqi_gword_unpack(shm_ld(J1, &g->word));
    uint32_t idx = UINT32_MAX;
    if (gw.state == SHMQI_GROUP_GATING || gw.state == SHMQI_GROUP_SEALED)
        return gw.endpoint; /* stopped while making it */
    if (shmqi_attrs_shared(r, shm_ld(N1, &g->attrs))) {
        struct shmqi_claims c = shmqi_claims_of(&s->ring, entry);
        uint64_t seq = shmqi_pos_seq(floor);
        uint64_t k = shm_ld(S2, shmqi_claim_at(&c, seq));
        struct shmqi_claim u = shmqi_claim_unpack(k);
        if (shmqi_claim_age(&c, k, seq) == 0 &&
            (u.state == SHMQI_CLAIM_CLAIMED ||
                u.state == SHMQI_CLAIM_DEADLETTER))
            return u.owner;
    } else {
        uint64_t reader = shm_ld(J9, &g->reader);
        for (uint32_t i = 0; reader && i < r->endpoint_cnt; i++)
            if (shmqi_identity_at(r, i) == reader)
                return i;
    }
    (void)shmqi_life_named(r, entry, gw.generation, true, UINT32_MAX, &idx);
    return idx;
}

bool shmqi_blame_find(struct shmqi_segment *s, struct shmqi_blamed *ret)
{
    struct shmqi_ring *r = &s->ring;
    if (!find_lowest(s, ret))
        return false;
    uint64_t a = shm_ld(N1, &r->groups[ret->entry].attrs);
    shmqi_group_name_read(r, (uint32_t)(a >> 32) & 0xffffff, ret->group);
    ret->endpoint = holder_of(s, ret->entry, ret->floor);
    return true;
}

enum shmq_state shmqi_peer_state(
    struct shmqi_segment *s, uint32_t idx, const struct shmqi_peer *peer)
{
    struct shmqi_procstat st;
    if (shmqi_endpoint_dead(s, idx, peer->identity))
        return SHMQ_STATE_DEAD;
    if (!shmqi_peer_pid_valid(peer) || !shmqi_procstat(peer->pid, &st))
        return SHMQ_STATE_UNKNOWN;
    return st.state == 'T' || st.state == 't' ? SHMQ_STATE_STOPPED
                                              : SHMQ_STATE_RUNNING;
}

void shmqi_blame(struct shmqi_segment *s, char *buf, size_t size)
{
    static const char *const names[] = {
        "", "running", "stopped", "dead", "in another pid namespace"};
    struct shmqi_blamed b;
    struct shmqi_peer peer;
    if (s->ring.gated_by == SHMQI_GATED_BY_DRAIN) {
        (void)snprintf(buf, size,
            shmqi_marks_served(s)
                ? "shmqd has not brought it to disk yet; look at shmq stat"
                : "shmqd does not serve it; start it");
        return;
    }
    if (!shmqi_blame_find(s, &b)) {
        (void)snprintf(buf, size, "a single record or loan fills the arena");
        return;
    }
    if (b.endpoint >= s->ring.endpoint_cnt ||
        !shmqi_peer_read(&s->ring, b.endpoint, &peer)) {
        (void)snprintf(buf, size,
            "held up by group %s, which has no reader; "
            "start one, or remove the group",
            b.group);
        return;
    }
    enum shmq_state state = shmqi_peer_state(s, b.endpoint, &peer);
    (void)snprintf(buf, size,
        "held up by group %s, pid %u (%s, endpoint %u), "
        "%s; wait, evict it, or remove the group",
        b.group, peer.pid, peer.comm, b.endpoint, names[state]);
}
