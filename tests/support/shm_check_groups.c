/* shm_check_groups.c - groups, cursors and claims; see shm_check.h. */
#include <shmq/group.h>
#include <shmq/topic.h>

#include "frame.h"
#include "support/shm_check.h"

static uint64_t place_of(const struct shmqi_ring *r, uint64_t w, uint64_t end)
{
    if (r->ring == SHMQ_RING_SPSC)
        return shmqi_cursor_place(w) << 3;
    return shmqi_cursor_pos(w, end);
}

static bool is_bound(const struct shmqi_ring *r, uint32_t entry)
{
    for (uint32_t i = 0; i < r->name_cnt; i++)
        if (shmqi_bind_entry(shm_word(&r->names[i].bind)) == entry + 1)
            return true;
    return false;
}

static void check_state(const struct shmqi_ring *r, uint32_t entry,
    uint32_t flags, struct shm_report *report)
{
    const struct shmqi_group_shm *g = &r->groups[entry];
    struct shmqi_gword w = shmqi_gword_unpack(shm_word(&g->word));
    if (w.state > SHMQI_GROUP_SEALED)
        shm_broken(report, "group %u: state %u (I13)", entry, w.state);
    if ((w.state == SHMQI_GROUP_CREATING || w.state == SHMQI_GROUP_GATING ||
            w.state == SHMQI_GROUP_SEALED) &&
        (w.endpoint >= r->endpoint_cnt ||
            shm_word(&r->endpoints[w.endpoint].identity) == 0))
        shm_broken(report, "group %u is made by nobody (I13)", entry);
    if ((flags & SHM_SETTLED) == 0)
        return;
    if (w.state == SHMQI_GROUP_CREATING || w.state == SHMQI_GROUP_GATING ||
        w.state == SHMQI_GROUP_SEALED || w.state == SHMQI_GROUP_DELETING)
        shm_broken(report, "group %u is left in state %u (I9)", entry, w.state);
    if ((w.state == SHMQI_GROUP_READY || w.state == SHMQI_GROUP_ABSENT) &&
        !is_bound(r, entry))
        shm_broken(report, "group %u exists without a name (I9)", entry);
    for (uint32_t i = 0; i < 16 && w.state == SHMQI_GROUP_READY; i++)
        if (shm_word(&g->freeing[i]) != 0)
            shm_broken(report, "group %u: a freeing bit is left (I9)", entry);
}

static bool is_member(
    const struct shmqi_ring *r, uint32_t idx, uint32_t entry, uint64_t word)
{
    const struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    uint64_t id = shm_word(&e->identity);
    return id != 0 && (id & SHMQI_IDENTITY_INIT) == 0 &&
        shm_word(&e->member_of) ==
        shmqi_naming(entry, shmqi_gword_unpack(word).generation);
}

static void check_exclusive(const struct shmqi_ring *r, uint32_t entry,
    uint32_t flags, struct shm_report *report)
{
    const struct shmqi_group_shm *g = &r->groups[entry];
    uint64_t reader = shm_word(&g->reader), end = shm_end(r);
    if (r->ring == SHMQ_RING_MPMC)
        end = shmqi_pos(end, 0);
    if (place_of(r, shm_word(&g->seen), shm_end(r)) > end)
        shm_broken(report, "group %u: seen beyond the end (I11)", entry);
    if (reader != 0 && (!shm_identity_known(r, reader) || flags & SHM_DESERTED))
        shm_broken(report, "group %u is read by nobody (I9)", entry);
}

static uint32_t records_of(const struct shmqi_ring *r, uint64_t seq)
{
    struct shmqi_frame f;
    uint64_t w = shm_word(&r->slots[seq & ((1ull << r->cap_lg2) - 1)]);
    return shmqi_frame_open(r, w, &f) ? f.head.record_cnt : 0;
}

static void check_claim(const struct shmqi_ring *r, uint32_t entry,
    uint64_t seq, uint32_t flags, struct shm_report *report)
{
    uint64_t word = shm_word(&r->groups[entry].word), end = shm_end(r);
    uint64_t mask = (1ull << r->claim_lg2) - 1;
    uint64_t k =
        shm_word(&r->claims[((uint64_t)entry << r->claim_lg2) + (seq & mask)]);
    struct shmqi_claim c = shmqi_claim_unpack(k);
    int32_t age = (int32_t)(c.lap - shmqi_claim_lap(seq, r->claim_lg2));
    bool held =
        c.state == SHMQI_CLAIM_CLAIMED || c.state == SHMQI_CLAIM_DEADLETTER;
    if (c.state > SHMQI_CLAIM_DONE)
        shm_broken(report, "claim %llu: state %u (I3)", (unsigned long long)seq,
            c.state);
    if (age > 0 || (age == 0 && seq >= end && c.state != SHMQI_CLAIM_FREE))
        shm_broken(report, "claim %llu of what is not there (I3)",
            (unsigned long long)seq);
    if (age != 0 || seq >= end)
        return;
    if (c.done && c.done >= records_of(r, seq))
        shm_broken(report, "claim %llu: %u records done (I3)",
            (unsigned long long)seq, c.done);
    if (!held && c.owner != 0)
        shm_broken(report, "claim %llu: free, with an owner (I3)",
            (unsigned long long)seq);
    if (held &&
        ((flags & SHM_DESERTED) || c.owner >= r->endpoint_cnt ||
            !is_member(r, c.owner, entry, word)))
        shm_broken(report, "claim %llu is held by nobody (I9)",
            (unsigned long long)seq);
}

static void check_shared(const struct shmqi_ring *r, uint32_t entry,
    uint32_t flags, struct shm_report *report)
{
    const struct shmqi_group_shm *g = &r->groups[entry];
    uint64_t end = shm_end(r);
    uint64_t floor = shmqi_pos_seq(place_of(r, shm_word(&g->floor), end));
    uint64_t next = shmqi_seq_expand(shm_word(&g->next), floor);
    if (next > end)
        shm_broken(report, "group %u: next beyond the end (I11)", entry);
    for (uint64_t q = floor; q < floor + (1ull << r->claim_lg2); q++)
        check_claim(r, entry, q, flags, report);
}

void shm_check_groups(
    const struct shmqi_ring *r, uint32_t flags, struct shm_report *report)
{
    uint64_t end = shm_end(r);
    if (end == UINT64_MAX)
        return; /* has been reported */
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        const struct shmqi_group_shm *g = &r->groups[i];
        uint32_t state = shmqi_gword_unpack(shm_word(&g->word)).state;
        check_state(r, i, flags, report);
        if (state != SHMQI_GROUP_READY)
            continue;
        uint64_t top = r->ring == SHMQ_RING_MPMC ? shmqi_pos(end, 0) : end;
        if (place_of(r, shm_word(&g->floor), end) > top)
            shm_broken(report, "group %u: floor beyond the end (I11)", i);
        else if ((shm_word(&g->attrs) & 0xff) == SHMQ_GROUP_SHARED)
            check_shared(r, i, flags, report);
        else
            check_exclusive(r, i, flags, report);
    }
}
