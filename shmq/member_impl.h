/* member_impl.h - what member.c and member_past.c share: taking a claimed frame
 * into the held ones. */
#ifndef SHMQI_MEMBER_IMPL_H
#define SHMQI_MEMBER_IMPL_H

#include "consumer_impl.h"

#define SHMQI_CLAIM_TRIES 4096

/* What a look for frames brings. */
struct shmqi_taking {
    struct shmq_consumer *c;
    uint32_t slot; /* TAKEN: held[slot] is filled */
    int rc; /* FAIL */
};

/* A claim that was free at this lap: its records may have been handed out. A
 * fresh group may begin in the middle of a frame; that does not count. */
static inline bool shmqi_member_handed_before(struct shmq_consumer *c,
    uint64_t seq, bool again, const struct shmqi_claim *k)
{
    struct shmqi_group_shm *g = &c->ring->groups[c->member.entry];
    if (again) {
        uint64_t floor = shmqi_cursor_pos(shm_ld(S1, &g->floor), seq);
        if (k->attempt > 0 || k->done == 0 || floor != shmqi_pos(seq, k->done))
            return true;
    }
    return shmqi_cursor_pos(shm_ld(J9, &g->seen), seq) > shmqi_pos(seq, 0);
}

/* Held entry `h` has the frame's bytes; now its claim word. Records that are
 * done already are passed over. */
static inline void shmqi_member_keep(struct shmq_consumer *c,
    struct shmqi_held *h, uint64_t seq, uint64_t claim, bool again)
{
    struct shmqi_claim k = shmqi_claim_unpack(claim);
    h->claim = claim;
    h->redelivered = shmqi_member_handed_before(c, seq, again, &k);
    while (h->next_idx < k.done && h->next_idx < h->cnt) {
        struct shmqi_view v;
        if (!shmqi_record_view(h->bytes, h->len, h->next_off, &v))
            break;
        h->next_off = v.next;
        h->next_idx++;
    }
    h->done = h->next_idx;
}

/* Expired records that wait for their copies are not the application's. */
static inline bool shmqi_member_is_full(const struct shmq_consumer *c)
{
    uint32_t waiting = c->dead.cnt - c->dead.claim_cnt;
    uint32_t most = c->held_max - c->held_limit;
    return c->held_cnt >= c->held_limit + (waiting < most ? waiting : most);
}

/* The frame is gone or senseless: done with it, as a gap of one frame that is
 * joined to the one before. */
void shmqi_member_discard(
    struct shmq_consumer *c, uint64_t seq, uint64_t claim, uint32_t reason);
/* Gives one claim back of which nothing was handed out; no attempt counts. */
void shmqi_member_unclaim(
    struct shmq_consumer *c, uint64_t seq, uint64_t held, bool again);
/* Manual acknowledgement: room for another frame. */
bool shmqi_member_abandon_one(struct shmq_consumer *c);
/* The next frame of a durable topic, from the ring or from the log. */
int shmqi_member_claim_past(struct shmq_consumer *c, uint32_t *ret_slot);

/* -- member_ack.c -----------------------------------------------------------
 */

/* Tells the group how far the frame is done. While records of it are being
 * looked at in the ring it is not told to be done altogether: then its memory
 * could go. STALE: the claim is not ours any more. */
int shmqi_member_tell_done(struct shmq_consumer *c, struct shmqi_held *h);
/* Gives a nacked claim back, or keeps it for as long as was asked. */
int shmqi_member_free_nacked(struct shmq_consumer *c, struct shmqi_held *h);
/* Shows how many frames are held. */
void shmqi_member_count_holds(struct shmq_consumer *c);

#endif
