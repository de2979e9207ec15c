/* reader_gap.c - records that a reader has missed: told, counted, passed over.
 */
#include "adopt.h"
#include "consumer_impl.h"

shmqi_word *shmqi_gap_counter(const struct shmq_consumer *c, uint32_t reason)
{
    struct shmqi_control_shm *control = c->ring->control;
    switch ((enum shmq_gap_reason)reason) {
    case SHMQ_GAP_CORRUPT:
        return &control->dropped_corrupt;
    case SHMQ_GAP_RETENTION:
        return &control->gap_retention;
    case SHMQ_GAP_TRUNCATED:
        return &control->gap_truncated;
    case SHMQ_GAP_LOST:
        return &control->gap_lost;
    case SHMQ_GAP_DROPPED:
        break;
    }
    return &control->dropped_old;
}

int shmqi_reader_gap(
    struct shmq_consumer *c, uint64_t to_pos, uint64_t frames, uint32_t reason)
{
    uint64_t from =
        shmqi_is_mpmc(c) ? shmqi_pos(c->next, c->next_idx) : c->next;
    struct shmq_gap g = {from, to_pos, frames, UINT64_MAX, reason, 0};
    c->gap = g;
    c->gap_known = true;
    (void)shm_add(N3, shmqi_gap_counter(c, reason), frames ? frames : 1);
    bool nothing_held = c->first == c->last;
    uint64_t freeze = c->freeze, done = c->done_pos;
    shmqi_reader_set_next(c, to_pos, c->skip_before);
    c->freeze = freeze;
    if (!nothing_held)
        c->done_pos = done;
    return SHMQ_ERR_GAP;
}

/* A gap ends where the next record begins. */
static uint64_t behind_pad(const struct shmqi_ring *r, uint64_t pos)
{
    uint64_t w;
    if (shmqi_spsc_look_racy(r, pos, &w) == SHMQI_SPSC_PAD &&
        shmqi_spsc_copy_valid(r, pos, w))
        return pos + shmqi_commit_len(w);
    return pos;
}

int shmqi_reader_lapped(struct shmq_consumer *c)
{
    const struct shmqi_ring *r = c->ring;
    if (c->past)
        return SHMQI_LAPPED;
    uint64_t to = shmqi_ring_low(r);
    if (shmqi_is_mpmc(c)) {
        uint64_t end = shmqi_mpmc_end(r), n = 1ull << r->cap_lg2;
        uint64_t seq = shmqi_pos_seq(to);
        if (end > n && seq < end - n)
            seq = end - n; /* a gate that lags: scribbled */
        if (seq <= c->next)
            seq = c->next + 1;
        return shmqi_reader_gap(
            c, shmqi_pos(seq, 0), seq - c->next, SHMQ_GAP_DROPPED);
    }
    if (to <= c->next)
        to = shmqi_ring_end(r);
    to = behind_pad(r, to);
    return shmqi_reader_gap(
        c, to > c->next ? to : c->next, 0, SHMQ_GAP_DROPPED);
}
