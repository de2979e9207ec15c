/* deadletter.c - a record that used up its attempts goes to another topic.
 *
 * Only the record at the claim's `done` index goes; the rest of its frame
 * stays in the group. Order: claim as DEADLETTER, copy, look at the claim word
 * again (still mine?), publish, and only when the copy is safe (deadletter.h)
 * move on: a handler killed in between leaves a claim that is freed and tried
 * again. */
#include <stdlib.h>
#include <string.h>

#include "member_impl.h"
#include "mpmc.h"

/* Record `k.done` of a copied frame. */
static enum shmqi_sent send(struct shmq_consumer *c, const uint8_t *frame,
    uint32_t len, uint64_t seq, struct shmqi_claim k, uint64_t *ret_at)
{
    struct shmqi_view v = {0};
    uint32_t off = sizeof(struct shmqi_frame_shm);
    for (uint32_t i = 0; i <= k.done; i++, off = v.next)
        if (!shmqi_record_view(frame, len, off, &v))
            return SHMQI_SENT_SAFE; /* nonsense: nothing to save */
    struct shmq_message msg;
    memset(&msg, 0, sizeof msg);
    msg.data = v.data;
    msg.size = v.size;
    msg.attrs = v.attrs;
    msg.attr_bytes = v.attr_bytes;
    msg.position = shmqi_pos(seq, k.done);
    return shmqi_dead_send(c, &msg, k.attempt, "attempts", ret_at);
}

/* Copies the frame while the claim is ours, and says whether it still was
 * afterwards. NULL: not now; with a reason: never, the frame is gone. */
static uint8_t *copy_frame(struct shmq_consumer *c, uint64_t seq,
    uint64_t slot_word, uint64_t held, struct shmqi_frame *f,
    uint32_t *ret_reason)
{
    *ret_reason = 0;
    if (slot_word == SHMQI_SLOT_IN_LOG)
        return shmqi_past_copy(c, seq, f);
    if (!shmqi_frame_open(c->ring, slot_word, f)) {
        *ret_reason = shmqi_mpmc_given_up(c->ring, seq, slot_word)
            ? SHMQ_GAP_DROPPED
            : SHMQ_GAP_CORRUPT;
        return NULL;
    }
    uint8_t *copy = malloc(f->head.len_bytes);
    if (!copy)
        return NULL;
    shmqi_copy_racy(copy, f->bytes, f->head.len_bytes);
    shm_fence(C2);
    if (shm_ld(S2, shmqi_claim_at(&c->find.claims, seq)) == held) {
        if (shmqi_mpmc_copy_valid(c->ring, seq, slot_word, f->arena))
            return copy;
        *ret_reason = SHMQ_GAP_DROPPED;
    }
    free(copy);
    return NULL;
}

void shmqi_dead_end(struct shmq_consumer *c, uint64_t seq, uint64_t held,
    uint32_t record_cnt, bool arrived)
{
    const struct shmqi_claims *claims = &c->find.claims;
    if (!arrived) {
        shmqi_claim_unburied(claims, seq, held);
        return;
    }
    if (shmqi_claim_buried(claims, c->idx, seq, held, record_cnt))
        (void)shm_add(N3, &claims->group->dead_lettered, 1);
    shmqi_claims_walk(claims, c->find.near);
}

/* What the copies that are under way leave room for. */
static bool may_try(struct shmq_consumer *c)
{
    return !c->dead.failed && c->dead.claim_cnt < SHMQI_DYING_CLAIMS &&
        shmqi_dead_room(c);
}

void shmqi_dead_letter(
    struct shmq_consumer *c, uint64_t seq, uint64_t k, uint64_t slot_word)
{
    struct shmqi_claim was = shmqi_claim_unpack(k);
    struct shmqi_dying d = {0};
    enum shmqi_sent sent = SHMQI_SENT_REFUSED;
    struct shmqi_frame f;
    uint32_t gone;
    if (!may_try(c) ||
        !shmqi_claim_take(
            &c->find.claims, seq, k, c->idx, SHMQI_CLAIM_DEADLETTER, &d.claim))
        return;
    d.seq = seq;
    uint8_t *copy = copy_frame(c, seq, slot_word, d.claim, &f, &gone);
    /* A durable topic's log has what was given up meanwhile. */
    if (gone && !(gone == SHMQ_GAP_DROPPED && c->past)) {
        shmqi_member_discard(c, seq, d.claim, gone);
        return;
    }
    if (copy) {
        d.record_cnt = f.head.record_cnt;
#ifdef SHMQ_BUG_BURIED_FIRST
        shmqi_dead_end(c, seq, d.claim, d.record_cnt, true);
#endif
        sent = send(c, copy, f.head.len_bytes, seq, was, &d.at);
    }
    free(copy);
    if (sent == SHMQI_SENT_WAITS) {
        shmqi_dead_keep(c, &d);
        return;
    }
    if (sent == SHMQI_SENT_FULL)
        shmqi_dead_count_wait(c);
    c->dead.failed = sent != SHMQI_SENT_SAFE;
    shmqi_dead_end(c, seq, d.claim, d.record_cnt, sent == SHMQI_SENT_SAFE);
}
