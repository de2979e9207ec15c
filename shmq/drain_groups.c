/* drain_groups.c - places of groups between shared memory and the journal.
 *
 * Whatever stands in a group's words was written by members and is checked
 * before it is believed: a floor beyond what is safe on disk is cut to that, a
 * name that is not legal is no group. */
#include <string.h>

#include "drain_impl.h"
#include "error.h"
#include "files.h"
#include "groups.h"

enum { TRIES = 16 }; /* for a place that moves while it is read */

uint32_t shmqi_drain_groups_max(const struct shmqi_drain *d)
{
    return d->ring->group_cnt;
}

/* Handed out up to here. */
static uint64_t next_of(const struct shmqi_ring *r, uint32_t entry,
    const struct shmqi_member *m, uint64_t floor)
{
    struct shmqi_group_shm *g = &r->groups[entry];
    uint64_t next = shmqi_pos_of(r, shm_ld(J9, &g->seen));
    if (m->kind == SHMQ_GROUP_SHARED) {
        uint64_t seq =
            shmqi_seq_expand(shm_ld(S5, &g->next), shmqi_pos_seq(floor));
        if (shmqi_pos(seq, 0) > next)
            next = shmqi_pos(seq, 0);
    }
    return next;
}

/* STALE: it was moved or made anew meanwhile. */
static int try_place(
    struct shmqi_drain *d, uint32_t name_idx, struct shmqi_group_place *ret)
{
    struct shmqi_segment *s = d->segment;
    struct shmqi_ring *r = &s->ring;
    struct shmqi_group_place p;
    struct shmqi_member m;
    uint64_t bind = shmqi_bind_word(r, name_idx);
    uint32_t entry = shmqi_bind_entry(bind) - 1;
    if (shmqi_bind_entry(bind) == 0 || entry >= r->group_cnt)
        return SHMQ_ERR_NOENT;
    uint64_t word = shmqi_life_word(r, entry);
    memset(&p, 0, sizeof p);
    memset(&m, 0, sizeof m);
    shmqi_group_read_attrs(s, entry, &m);
    shmqi_group_name_read(r, name_idx, p.name);
    if (m.name_idx != name_idx || shmqi_group_name_check(p.name) != SHMQ_OK)
        return shmqi_bind_word(r, name_idx) != bind ? SHMQ_ERR_STALE
                                                    : SHMQ_ERR_NOENT;
    p.kind = m.kind;
    p.absent = m.absent;
    p.max_attempts = m.max_attempts;
    p.lease_ns = m.lease_ns;
    if (shmqi_topic_name_check(m.dead_letter, true) == SHMQ_OK)
        (void)strcpy(p.dead_letter, m.dead_letter);
    uint64_t safe = shm_ld(N1, &d->marks->drained);
    uint64_t end = shmqi_ring_end(r);
    p.floor = shmqi_pos_of(r, shm_ld(J9, &r->groups[entry].floor));
    p.next = next_of(r, entry, &m, p.floor);
    if (p.next > end)
        p.next = end;
    if (p.floor > safe)
        p.floor = safe;
    if (p.next < p.floor)
        p.next = p.floor;
    p.internal = shmqi_naming(entry, shmqi_life_generation(word));
    if (shmqi_bind_word(r, name_idx) != bind)
        return SHMQ_ERR_STALE;
    *ret = p;
    return SHMQ_OK;
}

uint32_t shmqi_drain_groups(struct shmqi_drain *d,
    struct shmqi_group_place *buf, uint32_t cap, bool *ret_all)
{
    uint32_t cnt = 0, i = 0;
    bool all = true;
    for (; i < d->ring->name_cnt && cnt < cap; i++) {
        int rc = SHMQ_ERR_STALE;
        for (int n = 0; n < TRIES && rc == SHMQ_ERR_STALE; n++)
            rc = try_place(d, i, &buf[cnt]);
        if (rc == SHMQ_OK)
            cnt++;
        all &= rc != SHMQ_ERR_STALE;
    }
    *ret_all = all && i == d->ring->name_cnt;
    return cnt;
}

uint64_t shmqi_drain_group_reach(
    const struct shmqi_drain *d, const struct shmqi_group_place *place)
{
    const struct shmqi_ring *r = d->ring;
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        if (shmqi_identity_at(r, i) != 0 &&
            shm_ld(J6, &r->endpoints[i].member_of) == place->internal)
            return shmqi_ring_end(r);
    }
    return place->next;
}

int shmqi_drain_restore(
    struct shmqi_drain *d, const struct shmqi_group_place *place)
{
    struct shmqi_segment *s = d->segment;
    struct shmqi_make make;
    memset(&make, 0, sizeof make);
    make.attrs.struct_bytes = sizeof make.attrs;
    make.attrs.kind = place->kind;
    make.attrs.absent = place->absent;
    make.attrs.max_attempts = place->max_attempts;
    make.attrs.lease_ns = place->lease_ns;
    make.attrs.dead_letter = place->dead_letter[0] ? place->dead_letter : NULL;
    make.start.kind = SHMQ_START_POSITION;
    make.start.value = place->floor;
    make.seen = place->next;
    int rc = shmqi_group_name(s, place->name, true, &make.name_idx);
    if (rc)
        return rc;
    make.old_bind = shmqi_bind_word(&s->ring, make.name_idx);
    if (shmqi_bind_entry(make.old_bind) != 0)
        return SHMQ_ERR_EXISTS;
    return shmqi_group_make(s, d->idx, &make);
}

/* The entry's earlier group first counts as none, so that nobody takes this
 * floor for its. Names of entries never come back. */
static bool tell_place(
    struct shmqi_drain *d, const struct shmqi_group_place *place)
{
    uint32_t entry = shmqi_naming_entry(place->internal);
    if (place->internal == 0 || entry >= d->constants.group_cnt)
        return false;
    struct shmqi_journaled_shm *j = &d->marks->groups[entry];
    if (shm_ld(N1, &j->group) != place->internal) {
        shm_st(M8, &j->group, 0);
        shm_st(M8, &j->floor, place->floor);
        shm_st(M8, &j->group, place->internal);
    } else if (shm_ld(N1, &j->floor) != place->floor) {
        shm_st(M8, &j->floor, place->floor);
    } else {
        return false;
    }
    return true;
}

void shmqi_drain_journaled(
    struct shmqi_drain *d, const struct shmqi_group_place *places, uint32_t cnt)
{
    bool news = false;
    for (uint32_t i = 0; i < cnt; i++)
        news |= tell_place(d, &places[i]);
    if (news)
        shmqi_drain_wake(d);
}

uint64_t shmqi_drain_commits(struct shmqi_drain *d)
{
    d->commits = shm_ld(M7, &d->ring->control->commits);
    return d->commits;
}
