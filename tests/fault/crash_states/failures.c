/* failures.c - lives that something disturbs: a call that fails, a block that
 * cannot be read, a process that is killed while the system lives on. */
#include <stdio.h>
#include <string.h>

#include "fault/crash_states/explore_impl.h"

/* A process is killed at a random event, another one goes on on the same
 * system, and then the power is cut. */
static void explore_kill(const struct plan *p, uint64_t seed, struct totals *t)
{
    struct sim_image empty;
    struct oracle none;
    struct sim_trace trace = {0};
    struct sim_faults f = {.seed = seed, .shuffle = true};
    memset(&none, 0, sizeof none);
    sim_image_init(&empty);
    struct sim_disk *disk = sim_disk_new(&empty, &f, &trace);
    sim_disk_keep(disk, true);
    life_turns = 4 + (int)(seed * 7 % 40);
    struct outcome first = live(disk, 1, seed, p->frames, false, t);
    life_turns = 1 << 30;
    sim_disk_again(disk, seed + 1);
    struct outcome second = live(disk, 2, seed, p->frames / 2 + 1, false, t);
    snprintf(phase, sizeof phase, " killed %llu", (unsigned long long)seed);
    if (second.open_rc || second.found < first.acked) {
        if (violations(t) == 0)
            snprintf(t->first, sizeof t->first,
                "kill, seed %llu: %u acknowledged, %u found",
                (unsigned long long)seed, first.acked, second.found);
        t->lost++;
    }
    explore_trace(p, &empty, &trace, 0, 3, &none, 0, t);
    sim_disk_free(disk);
    sim_trace_free(&trace);
    sim_image_free(&empty);
}

static void one_failure(const struct plan *p, const struct sim_faults *f,
    const struct sim_image *from, const struct oracle *before, struct totals *t)
{
    struct sim_trace trace = {0};
    struct sim_disk *disk = sim_disk_new(from, f, &trace);
    char where[128];
    sim_disk_keep(disk, true);
    struct outcome o =
        live(disk, (uint8_t)(before->life + 1), f->seed, p->frames, false, t);
    snprintf(where, sizeof where, " life %u, call %llu%s fails with %d %s",
        before->life + 1, (unsigned long long)f->fail_at,
        f->fail_data ? " of data" : "", f->err,
        f->fail_on ? "for ever" : "once");
    snprintf(phase, sizeof phase, "%.60s", where);
    if (f->fail_data && !f->fail_on &&
        (o.read_only || o.open_rc || o.acked != o.added)) {
        if (violations(t) == 0)
            snprintf(t->first, sizeof t->first,
                "seed %llu%s: service stops: %u of %u%s",
                (unsigned long long)p->seed, where, o.acked, o.added,
                o.read_only ? ", read-only" : "");
        t->refused++;
    }
    /* Its last moments, and some before. */
    uint32_t every = (uint32_t)(trace.cnt / 3) + 1;
    struct oracle known = *before;
    known.gaps = p->style.os;
    explore_trace(p, from, &trace, trace.cnt / 4, every, &known, 0, t);
    sim_disk_free(disk);
    sim_trace_free(&trace);
}

/* A life that nothing disturbed, killed at its end: what it leaves, and what
 * must be found. */
static struct oracle leave_behind(const struct plan *p, uint64_t seed,
    struct sim_image *ret, struct totals *t)
{
    struct sim_image empty;
    struct sim_trace trace = {0};
    struct sim_faults f = {.seed = seed, .shuffle = true};
    struct oracle o;
    uint8_t life = 0;
    memset(&o, 0, sizeof o);
    sim_image_init(&empty);
    struct sim_disk *disk = sim_disk_new(&empty, &f, &trace);
    sim_disk_keep(disk, true);
    life_turns = 10 + (int)(seed * 7 % 60);
    (void)live(disk, 1, seed, p->frames, false, t);
    life_turns = 1 << 30;
    sim_disk_again(disk, seed);
    for (size_t i = 0; i < trace.cnt; i++)
        if (trace.events[i].kind == SIM_MARK)
            note_mark(&o, &life, trace.events[i].value);
    sim_image_copy(ret, sim_disk_image(disk));
    sim_disk_free(disk);
    sim_trace_free(&trace);
    return o;
}

static bool enough(const struct totals *t)
{
    return t->stop_at_first && violations(t);
}

/* Every call of a first life fails, or (`before`) of the next one, whose first
 * calls are recovery. */
static void explore_calls(const struct plan *p, const struct sim_image *from,
    const struct oracle *before, struct totals *t)
{
    static const int errors[] = {5, 28}; /* EIO, ENOSPC */
    for (int style = 0; style < 8; style++) {
        struct sim_faults f = {.seed = p->seed + (uint64_t)(style & 1) * 2,
            .shuffle = true,
            .fail_on = style & 1,
            .fail_data = style & 2,
            .err = errors[style >> 2]};
        for (f.fail_at = 1; f.fail_at < 400 && !enough(t); f.fail_at++) {
            struct sim_trace trace = {0};
            struct sim_disk *probe = sim_disk_new(from, &f, &trace);
            sim_disk_keep(probe, true);
            (void)live(probe, (uint8_t)(before->life + 1), f.seed, p->frames,
                false, t);
            bool reached = sim_disk_calls(probe) >= f.fail_at;
            sim_disk_free(probe);
            sim_trace_free(&trace);
            if (!reached)
                break;
            one_failure(p, &f, from, before, t);
        }
    }
}

/* A block cannot be read for one life, which refuses or goes on; afterwards it
 * can, and everything acknowledged is there. */
static void explore_unreadable(const struct plan *p,
    const struct sim_image *from, const struct oracle *before, struct totals *t)
{
    for (int i = 1; i < from->inode_cnt; i++) {
        struct sim_faults f = {
            .seed = p->seed, .shuffle = true, .bad_inode = i};
        if (from->inodes[i].dir || from->inodes[i].high < 8192)
            continue; /* no segment that was used */
        for (; f.bad_off < from->inodes[i].size && !enough(t);
             f.bad_off += SHMQI_LOG_BLOCK) {
            struct sim_trace trace = {0};
            struct sim_disk *disk = sim_disk_new(from, &f, &trace);
            sim_disk_keep(disk, true);
            struct outcome o = live(
                disk, (uint8_t)(before->life + 1), f.seed, p->frames, false, t);
            t->unreadable++;
            snprintf(phase, sizeof phase, " unreadable %d %llu", i,
                (unsigned long long)f.bad_off);
            t->refusals += o.open_rc != 0;
            uint32_t every = (uint32_t)(trace.cnt / 3) + 1;
            explore_trace(p, from, &trace, 0, every, before, 0, t);
            sim_disk_free(disk);
            sim_trace_free(&trace);
        }
    }
}

void explore_failures(const struct plan *p, struct totals *t)
{
    struct sim_image from;
    struct oracle none;
    memset(&none, 0, sizeof none);
    rng = p->seed * 0x2545f4914f6cdd1dull + 1;
    life_style(p->style);
    sim_image_init(&from);
    explore_calls(p, &from, &none, t);
    for (uint64_t seed = 1; p->unreadable && seed <= 6; seed++) {
        struct oracle left = leave_behind(p, p->seed * 10 + seed, &from, t);
        explore_unreadable(p, &from, &left, t);
        if (seed == 1)
            explore_calls(p, &from, &left, t);
        sim_image_free(&from);
        sim_image_init(&from);
    }
    for (uint64_t seed = 1; p->kills && seed <= 40 && !enough(t); seed++)
        explore_kill(p, p->seed * 100 + seed, t);
    sim_image_free(&from);
    phase[0] = '\0';
}
