/* explore.c - at every event of a recorded run: which subsets of what was not
 * synced may be on the disk, and is each of them a legal log? */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/crash_states/explore_impl.h"

#define FREE_UNITS 12 /* so many are enumerated in full */
#define SEEN (1u << 22)

uint64_t rng;

static uint64_t dice(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

char phase[64];

static uint64_t *seen;

static bool seen_before(uint64_t h)
{
    if (!seen)
        seen = calloc(SEEN, sizeof *seen);
    assert(seen);
    for (uint32_t i = 0; i < 16; i++) {
        uint64_t *at = &seen[(h + i) & (SEEN - 1)];
        if (*at == h)
            return true;
        if (*at == 0) {
            *at = h;
            return false;
        }
    }
    return false; /* full: counted as new */
}

static void explore_life(const struct plan *p, const struct sim_image *from,
    const struct oracle *before, uint32_t depth, struct totals *t);

/* What the marks of a life say, one after the other. */
void note_mark(struct oracle *o, uint8_t *life, uint64_t mark)
{
    uint32_t value = (uint32_t)mark;
    switch (mark >> 56) {
    case MARK_LIFE: /* it begins; until it has recovered, the last one counts */
        *life = (uint8_t)value;
        break;
    case MARK_FOUND:
        for (; o->est < value; o->est++)
            o->life_of[o->est] = o->est < o->start ? 0 : o->life;
        break;
    case MARK_START:
        o->life = *life;
        o->start = value;
        o->acked = 0;
        break;
    case MARK_ACKED:
        o->acked = value;
        break;
    }
}

struct boundary {
    const struct plan *plan;
    const struct sim_replay *replay;
    struct oracle oracle;
    uint32_t depth;
    struct totals *totals;
    struct sim_image *image;
    size_t event;
};

/* One state: chosen[] of the units, one of them perhaps torn. */
static void one_state(
    const struct boundary *b, const uint8_t *chosen, int torn, uint64_t number)
{
    const struct sim_replay *r = b->replay;
    struct totals *t = b->totals;
    char where[128];
    if (t->stop_at_first && violations(t))
        return;
    sim_image_copy(b->image, &r->base);
    for (int i = 0; i < r->unit_cnt; i++)
        if (chosen[i] || i == torn)
            sim_unit_apply(b->image, &r->units[i], i == torn);
    t->states++;
    t->distinct += !seen_before(sim_image_hash(b->image));
    snprintf(where, sizeof where, "seed %llu%s depth %u event %zu state %llu",
        (unsigned long long)b->plan->seed, phase, b->depth, b->event,
        (unsigned long long)number);
    judge(b->image, &b->oracle, t, where);
    if (b->depth && b->plan->nest_each && dice() % b->plan->nest_each == 0) {
        struct sim_image copy;
        sim_image_init(&copy);
        sim_image_copy(&copy, b->image);
        explore_life(b->plan, &copy, &b->oracle, b->depth - 1, t);
        sim_image_free(&copy);
    }
}

static void all_subsets(const struct boundary *b)
{
    uint8_t chosen[SIM_UNITS];
    int n = b->replay->unit_cnt;
    for (uint64_t set = 0; set < 1ull << n; set++) {
        for (int i = 0; i < n; i++)
            chosen[i] = (uint8_t)(set >> i & 1);
        one_state(b, chosen, -1, set);
    }
}

/* Too many: random ones, among them prefixes, all and nothing. */
static void some_subsets(const struct boundary *b, uint64_t cnt)
{
    uint8_t chosen[SIM_UNITS];
    int n = b->replay->unit_cnt;
    for (uint64_t k = 0; k < cnt; k++) {
        uint64_t style = k % 4, pivot = dice() % (uint64_t)(n + 1);
        for (int i = 0; i < n; i++)
            chosen[i] = (uint8_t)(k == 0 ? 1
                    : k == 1             ? 0
                    : style == 0         ? (uint64_t)i < pivot
                    : style == 1         ? (uint64_t)i != pivot
                    : style == 2         ? (uint64_t)i == pivot
                                         : dice() & 1);
        one_state(b, chosen, -1, k);
    }
}

static void torn_sectors(const struct boundary *b, uint32_t cnt)
{
    uint8_t chosen[SIM_UNITS];
    int n = b->replay->unit_cnt;
    for (int u = 0; u < n && (uint32_t)u < cnt; u++) {
        int torn = n <= (int)cnt ? u : (int)(dice() % (uint64_t)n);
        if (b->replay->units[torn].kind != SIM_UNIT_SECTOR)
            continue;
        for (int style = 0; style < 3; style++) {
            for (int i = 0; i < n; i++)
                chosen[i] = style == 2 ? dice() & 1 : (uint8_t)style;
            chosen[torn] = 0;
            one_state(b, chosen, torn, (uint64_t)(1000000 + u * 3 + style));
        }
    }
}

static void at_event(const struct boundary *b)
{
    int n = b->replay->unit_cnt;
    uint32_t cap = b->depth == b->plan->depth ? b->plan->subsets
                                              : b->plan->subsets / 16 + 4;
    assert(!b->replay->overflow);
    if (n <= FREE_UNITS && 1ull << n <= cap)
        all_subsets(b);
    else
        some_subsets(b, cap);
    torn_sectors(b, cap / 4 + 1);
}

/* Replays a trace and looks at each boundary from event `first` on. */
void explore_trace(const struct plan *p, const struct sim_image *from,
    const struct sim_trace *trace, size_t first, uint32_t every,
    const struct oracle *before, uint32_t depth, struct totals *t)
{
    struct sim_replay *r = malloc(sizeof *r);
    struct sim_image image;
    assert(r);
    sim_replay_init(r, from);
    sim_image_init(&image);
    struct oracle now = *before;
    uint8_t life = before->life;
    for (size_t i = 0; i < trace->cnt; i++) {
        const struct sim_event *e = &trace->events[i];
        sim_replay_step(r, e);
        if (e->kind == SIM_MARK)
            note_mark(&now, &life, e->value);
        if (i < first || (every > 1 && i % every && i + 1 < trace->cnt))
            continue;
        t->events++;
        struct boundary b = {p, r, now, depth, t, &image, i};
        at_event(&b);
        if (t->stop_at_first && violations(t))
            break;
    }
    sim_replay_free(r);
    sim_image_free(&image);
    free(r);
}

/* -- blocks of somebody else
 * ------------------------------------------------ */

static uint8_t foreign[SIM_FILE_MAX];
static uint32_t foreign_len;

/* A segment of another log, far ahead of this one: what a file system that does
 * not clear blocks may show in a new file. Its batches are as right as ours and
 * lie where ours will lie; only the salt tells them apart. */
static void make_foreign(const struct plan *p)
{
    static const struct sim_faults none = {.seed = 1};
    struct sim_image empty;
    struct sim_trace trace = {0};
    struct totals unused = {0};
    sim_image_init(&empty);
    struct sim_disk *disk = sim_disk_new(&empty, &none, &trace);
    sim_disk_keep(disk, true);
    life_first = 300;
    (void)live(disk, 9, p->seed, 12, false, &unused);
    life_first = 0;
    const struct sim_image *m = sim_disk_image(disk);
    foreign_len = 0;
    for (int i = 0; i < m->inode_cnt; i++)
        if (m->inodes[i].high > foreign_len && m->inodes[i].high > 8192) {
            foreign_len = m->inodes[i].high;
            memcpy(foreign, m->inodes[i].data, foreign_len);
        }
    assert(foreign_len);
    sim_disk_free(disk);
    sim_trace_free(&trace);
}

static void explore_life(const struct plan *p, const struct sim_image *from,
    const struct oracle *before, uint32_t depth, struct totals *t)
{
    struct sim_trace trace = {0};
    uint64_t seed = p->seed + before->life * 7919u + dice() % 1000;
    struct sim_faults f = {.seed = seed,
        .shuffle = true,
        .short_writes = seed % 3 == 0,
        .stale = p->stale,
        .stale_bytes = foreign,
        .stale_len = foreign_len};
    struct sim_disk *disk = sim_disk_new(from, &f, &trace);
    sim_disk_keep(disk, true);
    uint8_t life = (uint8_t)(before->life + 1);
    (void)live(disk, life, seed, p->frames, p->no_zeros, t);
    explore_trace(p, from, &trace, 0, 1, before, depth, t);
    sim_disk_free(disk);
    sim_trace_free(&trace);
}

void explore(const struct plan *p, struct totals *t)
{
    struct sim_image empty;
    struct oracle none;
    memset(&none, 0, sizeof none);
    rng = p->seed * 0x2545f4914f6cdd1dull + 88172645463325252ull;
    sim_image_init(&empty);
    life_style(p->style);
    if (p->stale)
        make_foreign(p);
    explore_life(p, &empty, &none, p->depth, t);
    sim_image_free(&empty);
}
