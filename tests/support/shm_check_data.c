/* shm_check_data.c - the data file's words; see shm_check.h. */
#include <stdlib.h>

#include <shmq/topic.h>

#include "frame.h"
#include "support/shm_check.h"
#include "watermarks.h"

#define FRAMES_MAX 4096u

/* -- mpmc -------------------------------------------------------------------
 */

static uint64_t slot_of(const struct shmqi_ring *r, uint64_t seq)
{
    return shm_word(&r->slots[seq & ((1ull << r->cap_lg2) - 1)]);
}

static uint64_t mpmc_end(const struct shmqi_ring *r)
{
    uint64_t t = shm_word(&r->data->tail);
    return shmqi_slot_age(slot_of(r, t), t, r->cap_lg2) == 0 ? t + 1 : t;
}

static void check_slots(const struct shmqi_ring *r, struct shm_report *report)
{
    uint64_t n = 1ull << r->cap_lg2, end = mpmc_end(r);
    uint64_t from = end > n ? end - n : 0;
    if (from < r->start_seq)
        from = r->start_seq;
    for (uint64_t q = from; q < end; q++)
        if (shmqi_slot_age(slot_of(r, q), q, r->cap_lg2) != 0)
            shm_broken(report, "slot of %llu below the end is not its (I1)",
                (unsigned long long)q);
    for (uint64_t q = end; q < from + n; q++)
        if (shmqi_slot_age(slot_of(r, q), q, r->cap_lg2) != -1)
            shm_broken(report, "slot of %llu beyond the end (I3)",
                (unsigned long long)q);
    uint64_t gate = shm_word(&r->data->gate);
    if (gate > end || gate < r->start_seq)
        shm_broken(report, "gate %llu, end %llu (I11)",
            (unsigned long long)gate, (unsigned long long)end);
}

static bool records_fit(const struct shmqi_frame *f)
{
    uint32_t off = sizeof f->head;
    struct shmqi_view v;
    for (uint32_t i = 0; i < f->head.record_cnt; i++, off = v.next)
        if (!shmqi_record_view(f->bytes, f->head.len_bytes, off, &v))
            return false;
    return true;
}

struct extent {
    const uint8_t *from, *to;
    uint64_t seq;
};

static int by_place(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* Lowest floor of the groups that gate, or what is not on disk yet: from there
 * on everything is needed. */
static uint64_t needed_from(const struct shmqi_ring *r, uint64_t end)
{
    uint64_t low = end;
    if (r->gated_by == SHMQI_GATED_BY_DRAIN && r->marks)
        return shmqi_marks_drained(r, end);
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        const struct shmqi_group_shm *g = &r->groups[i];
        uint64_t f = shm_word(&g->floor);
        bool pin = (shmqi_cursor_tag(f) & SHMQI_TAG_PIN) != 0;
        if (shmqi_gword_unpack(shm_word(&g->word)).state != SHMQI_GROUP_READY ||
            pin)
            continue;
        uint64_t floor = r->ring == SHMQ_RING_SPSC
            ? shmqi_cursor_place(f) << 3
            : shmqi_pos_seq(shmqi_cursor_pos(f, end));
        if (floor < low)
            low = floor;
    }
    return low;
}

/* Every frame from the lowest floor on is whole, and no two share a byte. */
static void check_frames(const struct shmqi_ring *r, struct shm_report *report)
{
    static struct extent extents[FRAMES_MAX];
    uint64_t end = mpmc_end(r);
    uint64_t from = needed_from(r, end);
    uint32_t cnt = 0;
    if (r->on_full == SHMQ_ON_FULL_DROP_OLD)
        return;
    if (end - from > 1ull << r->cap_lg2) {
        shm_broken(report, "a floor is %llu frames behind (I11)",
            (unsigned long long)(end - from));
        return;
    }
    for (uint64_t q = from; q < end && cnt < FRAMES_MAX; q++) {
        struct shmqi_frame f;
        if (!shmqi_frame_open(r, slot_of(r, q), &f) || !records_fit(&f)) {
            shm_broken(
                report, "frame %llu is not whole (I5)", (unsigned long long)q);
            continue;
        }
        if (shm_word(&r->arenas[f.arena].reclaimed) > q)
            shm_broken(report, "frame %llu is needed but reclaimed (I7)",
                (unsigned long long)q);
        extents[cnt].from = f.bytes;
        extents[cnt].to = f.bytes + f.head.len_bytes;
        extents[cnt++].seq = q;
    }
    qsort(extents, cnt, sizeof extents[0], by_place);
    for (uint32_t i = 1; i < cnt; i++)
        if (extents[i].from < extents[i - 1].to)
            shm_broken(report, "frames %llu and %llu overlap (I5)",
                (unsigned long long)extents[i - 1].seq,
                (unsigned long long)extents[i].seq);
}

static void check_arenas(
    const struct shmqi_ring *r, uint32_t flags, struct shm_report *report)
{
    uint64_t end = mpmc_end(r);
    for (uint32_t i = 0; i < r->producer_cnt; i++) {
        uint64_t owner = shm_word(&r->arenas[i].owner);
        uint64_t reclaimed = shm_word(&r->arenas[i].reclaimed);
        if (reclaimed > end)
            shm_broken(report, "arena %u: reclaimed %llu, end %llu (I11)", i,
                (unsigned long long)reclaimed, (unsigned long long)end);
        if (owner == 0)
            continue;
        if ((flags & SHM_DESERTED) || !shm_identity_known(r, owner))
            shm_broken(report, "arena %u belongs to nobody (I9)", i);
        for (uint32_t k = 0; k < i; k++)
            if (shm_word(&r->arenas[k].owner) == owner)
                shm_broken(report, "arenas %u and %u have one owner", k, i);
    }
}

/* -- spsc -------------------------------------------------------------------
 */

static uint64_t commit_at(const struct shmqi_ring *r, uint64_t pos)
{
    return shm_word(
        (shmqi_word *)(void *)(r->arena_base + (pos & (r->arena_bytes - 1))));
}

/* Walks the chain of commit words from `pos`. Returns its end, or UINT64_MAX
 * for nonsense; *ret_passed tells whether `through` was a boundary. */
static uint64_t walk(const struct shmqi_ring *r, uint64_t pos, uint64_t through,
    bool *ret_passed)
{
    *ret_passed = pos == through;
    for (uint64_t i = 0; i <= r->arena_bytes / 8; i++) {
        uint64_t w = commit_at(r, pos);
        uint64_t len = shmqi_commit_len(w);
        if (w == 0)
            return pos;
        if (!shmqi_commit_fits(w, pos) || len < 8 ||
            len > r->arena_bytes - (pos & (r->arena_bytes - 1)))
            return UINT64_MAX;
        pos += len;
        if (pos == through)
            *ret_passed = true;
    }
    return UINT64_MAX;
}

static uint64_t spsc_end(const struct shmqi_ring *r)
{
    bool passed;
    return walk(r, shm_word(&r->data->hint), UINT64_MAX, &passed);
}

static void check_chain(const struct shmqi_ring *r, struct shm_report *report)
{
    uint64_t hint = shm_word(&r->data->hint);
    uint64_t gate = shm_word(&r->data->gate), end = spsc_end(r);
    bool passed;
    if (end == UINT64_MAX) {
        shm_broken(report, "nonsense behind the hint (I5)");
        return;
    }
    if (gate > end || hint > end)
        shm_broken(report, "gate or hint beyond the end (I11)");
    uint64_t low = needed_from(r, end);
    if (end - low > r->arena_bytes)
        shm_broken(report, "a floor is more than a ring behind (I11)");
    else if (walk(r, low, hint, &passed) != end)
        shm_broken(report, "the chain from the lowest floor breaks (I1)");
    else if (hint >= low && !passed)
        shm_broken(report, "the hint is no boundary (I11)");
    if (shm_word(&r->data->reclaimed) > end + 8)
        shm_broken(report, "reclaimed beyond the end (I11)");
    if (low < end && shm_word(&r->data->reclaimed) > low)
        shm_broken(report, "needed bytes are reclaimed (I7)");
}

static void check_role(
    const struct shmqi_ring *r, uint32_t flags, struct shm_report *report)
{
    uint64_t role = shm_word(&r->data->role);
    uint64_t cnt = shm_word(&r->data->role_cnt), last = 0;
    if (role != 0 && ((flags & SHM_DESERTED) || !shm_identity_known(r, role)))
        shm_broken(report, "the producer role belongs to nobody (I9)");
    uint64_t from = cnt > SHMQI_ROLE_HISTORY ? cnt - SHMQI_ROLE_HISTORY : 0;
    for (uint64_t i = from; i < cnt; i++) {
        uint64_t start =
            shm_word(&r->data->history[i % SHMQI_ROLE_HISTORY].start);
        if (start < last || start > spsc_end(r))
            shm_broken(report, "history entry %llu is out of order (I13)",
                (unsigned long long)i);
        last = start;
    }
}

/* -- both --------------------------------------------------------------------
 */

uint64_t shm_end(const struct shmqi_ring *r)
{
    return r->ring == SHMQ_RING_SPSC ? spsc_end(r) : mpmc_end(r);
}

void shm_check_data(
    const struct shmqi_ring *r, uint32_t flags, struct shm_report *report)
{
    if (r->ring == SHMQ_RING_SPSC) {
        check_chain(r, report);
        check_role(r, flags, report);
        return;
    }
    check_slots(r, report);
    check_frames(r, report);
    check_arenas(r, flags, report);
}
