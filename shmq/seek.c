#include "seek.h"

#include "error.h"
#include "frame.h"

/* Farther ahead of the end no reader waits for a position. */
#define POSITION_AHEAD_MAX (1ull << 50)

static bool frame_at(
    const struct shmqi_ring *r, uint64_t seq, struct shmqi_frame *f)
{
    uint64_t w;
    return shmqi_mpmc_look(r, seq, &w) == 0 && shmqi_frame_open(r, w, f);
}

static uint64_t mpmc_position(
    const struct shmqi_ring *r, uint64_t pos, uint64_t end)
{
    struct shmqi_frame f;
    if (pos >= end || shmqi_pos_idx(pos) == 0)
        return pos;
    uint64_t seq = shmqi_pos_seq(pos);
    if (frame_at(r, seq, &f) && shmqi_pos_idx(pos) < f.head.record_cnt)
        return pos;
    return shmqi_pos(seq + 1, 0);
}

static uint64_t mpmc_time(
    const struct shmqi_ring *r, uint64_t time_ns, uint64_t low, uint64_t end)
{
    struct shmqi_frame f;
    uint64_t to = shmqi_pos_seq(end), from = shmqi_pos_seq(low);
    if (to - from > 1ull << r->cap_lg2)
        from = to - (1ull << r->cap_lg2); /* a scribbled gate */
    for (uint64_t s = from; s < to; s++)
        if (frame_at(r, s, &f) && f.head.time_ns >= time_ns)
            return shmqi_pos(s, 0);
    return end;
}

static uint64_t spsc_time(
    const struct shmqi_ring *r, uint64_t time_ns, uint64_t low, uint64_t end)
{
    uint64_t left = r->arena_bytes / 8; /* no more fit into the ring */
    for (uint64_t p = low, w; p < end && left-- > 0; p += shmqi_commit_len(w)) {
        enum shmqi_spsc_seen seen = shmqi_spsc_look(r, p, &w);
        struct shmqi_spsc_shm head;
        if (seen == SHMQI_SPSC_EMPTY || seen == SHMQI_SPSC_NONSENSE)
            return end;
        if (seen == SHMQI_SPSC_PAD)
            continue;
        shmqi_copy_racy(&head, shmqi_spsc_at(r, p), sizeof head);
        if (head.time_ns >= time_ns)
            return p;
    }
    return end;
}

static uint64_t spsc_position(const struct shmqi_ring *r, uint64_t pos,
    uint64_t low, uint64_t end, uint64_t *ret_skip)
{
    if (pos >= end) {
        *ret_skip = pos;
        return end;
    }
    uint64_t at = shmqi_spsc_walk(r, low, pos);
    return at == UINT64_MAX ? end : at;
}

uint64_t shmqi_seek(const struct shmqi_ring *r, const struct shmq_start *start,
    uint64_t low, uint64_t *ret_skip)
{
    bool spsc = r->ring == SHMQ_RING_SPSC;
    uint64_t end = shmqi_place_latest(r, low), pos = low;
    *ret_skip = 0;
    switch (start->kind) {
    case SHMQ_START_LATEST:
        pos = end;
        break;
    case SHMQ_START_POSITION:
        if (start->value <= low)
            break;
        if (start->value - end > POSITION_AHEAD_MAX && start->value > end) {
            pos = end; /* no word could tell it from the past */
            break;
        }
        pos = spsc ? spsc_position(r, start->value, low, end, ret_skip)
                   : mpmc_position(r, start->value, end);
        break;
    case SHMQ_START_TIME:
        pos = spsc ? spsc_time(r, start->value, low, end)
                   : mpmc_time(r, start->value, low, end);
        break;
    default:
        break;
    }
    return pos < low ? low : pos;
}

int shmqi_start_check(const struct shmq_start *start)
{
    if (start && (start->kind > SHMQ_START_TIME || start->reserved))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "start: kind %u is not legal; use "
            "enum shmq_start_kind",
            start->kind);
    return SHMQ_OK;
}
