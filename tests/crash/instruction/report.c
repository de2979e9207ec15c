/* report.c - coverage, effects, figures, and the rungs' lines. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modes.h"

#define FLIPS_MAX 512u

extern char __executable_start;

struct flip {
    _Atomic uint64_t rip; /* less where the program begins */
    char op[32];
    _Atomic uint64_t times;
};
static struct flip *flips;

/* -- times -------------------------------------------------------------------
 */

void span_note(struct spans *s, uint64_t ns)
{
    unsigned lg2 = ns < 4 ? 2 : 63u - (unsigned)__builtin_clzll(ns);
    atomic_fetch_add(&s->cnt[4 * lg2 + (ns >> (lg2 - 2) & 3)], 1);
    atomic_raise(&s->max_ns, ns);
}

double span_ms(struct spans *s, double share)
{
    uint64_t all = 0, seen = 0;
    for (uint32_t i = 0; i < SPANS; i++)
        all += atomic_load(&s->cnt[i]);
    for (uint32_t i = 0; i < SPANS && all; i++) {
        seen += atomic_load(&s->cnt[i]);
        if ((double)seen >= share * (double)all)
            return (double)((5ull + i % 4) << (i / 4) >> 2) / 1e6;
    }
    return 0;
}

/* -- effects ------------------------------------------------------------------
 */

void report_init(void)
{
    flips = figures_memory(FLIPS_MAX * sizeof *flips);
}

void flip_note(const struct op *op, uint64_t rip)
{
    rip -= (uint64_t)&__executable_start;
    for (uint32_t i = 0; i < FLIPS_MAX; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&flips[i].rip, &none, rip))
            (void)snprintf(flips[i].op, sizeof flips[i].op, "%s", op->name);
        else if (none != rip || strcmp(flips[i].op, op->name) != 0)
            continue;
        atomic_fetch_add(&flips[i].times, 1);
        return;
    }
}

void flip_print(void)
{
    char exe[256], command[512];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    (void)printf("where effects appear:\n");
    for (uint32_t i = 0; i < FLIPS_MAX && flips[i].rip; i++) {
        char line[400] = "?\n";
        (void)snprintf(command, sizeof command,
            "addr2line -i -s -e '%s' %" PRIx64 " 2>/dev/null | paste -sd' '",
            exe, (uint64_t)flips[i].rip);
        (void)fflush(stdout);
        FILE *pipe = popen(command, "r");
        if (pipe && !fgets(line, sizeof line, pipe))
            line[0] = '\0';
        if (pipe)
            (void)pclose(pipe);
        (void)printf("  %-24s %6" PRIu64 " times  %s", flips[i].op,
            (uint64_t)flips[i].times, line);
    }
}

static uint64_t get(_Atomic uint64_t *at)
{
    return atomic_load(at);
}

static void print_spans(const char *what, struct spans *s)
{
    (void)printf("%-36s median %.3f, 99.9 %% %.3f, longest %.3f ms\n", what,
        span_ms(s, 0.5), span_ms(s, 0.999), (double)get(&s->max_ns) / 1e6);
}

static uint64_t addresses(enum mark kind)
{
    uint64_t cnt = 0;
    for (size_t i = 0; i < (size_t)(library_end - library_begin); i++)
        cnt += marks[kind][i] != 0;
    return cnt;
}

/* Executed where everything is stepped, and stepped to by mode S. */
static uint64_t addresses_both(void)
{
    uint64_t cnt = 0;
    for (size_t i = 0; i < (size_t)(library_end - library_begin); i++)
        cnt += marks[EXECUTED][i] != 0 && marks[STEPPED][i] != 0;
    return cnt;
}

bool report(uint32_t config_cnt, uint64_t seed, uint64_t ns)
{
    struct totals *t = totals;
    uint64_t executed = addresses(EXECUTED), stepped = addresses(STEPPED);
    uint64_t both = addresses_both();
    flip_print();
    (void)printf("%" PRIu64 " of %u configurations, seed %" PRIu64 ", %.1f s\n",
        get(&t->configs), config_cnt, seed, (double)ns / 1e9);
    (void)printf("states judged %" PRIu64 ", effects at exactly one "
                 "instruction %" PRIu64 ", points not met again %" PRIu64 "\n",
        get(&t->judged), get(&t->flips), get(&t->missed));
    (void)printf("the others' calls beside a held victim:");
    for (uint32_t i = 0; i < WAIT_OPS; i++)
        (void)printf("%s %s %" PRIu64, i ? "," : "", wait_ops[i],
            get(&t->wait_steps[i]));
    (void)printf(" instructions at most, with dead letters to move %" PRIu64
                 ", on durable topics %" PRIu64 "\n",
        get(&t->wait_steps_dead), get(&t->wait_steps_log));
    (void)printf("of %" PRIu64
                 " addresses executed in runs with everything stepped %" PRIu64
                 " were stepped to by mode S, which stepped to %" PRIu64
                 " in all; victims held at %" PRIu64 " and killed at %" PRIu64
                 " of them\n",
        executed, both, stepped, addresses(HELD), addresses(KILLED));
    print_spans("wait of the others, a call", &t->waits);
    print_spans("recovery, attach included", &t->reaps);
    print_spans("SIGKILL to proof of death", &t->proofs);
    print_spans("sleep on after the waker was killed", &t->wakes);
    (void)printf("broken in S %" PRIu64 ", Z %" PRIu64 ", K %" PRIu64
                 ", R %" PRIu64 "\n",
        get(&t->broken_in[0]), get(&t->broken_in[1]), get(&t->broken_in[2]),
        get(&t->broken_in[3]));
    uint64_t four =
        get(&t->broken_in[0]) + get(&t->broken_in[1]) + get(&t->broken_in[2]);
    uint64_t five = get(&t->broken_in[3]);
    (void)printf("RUNG 4: %" PRIu64 " kill points at %" PRIu64
                 " addresses, %" PRIu64 " of %" PRIu64
                 " executed ones missed, %" PRIu64 " resumes, %" PRIu64
                 " real kills, %" PRIu64 " broken %s\n",
        get(&t->points), stepped, executed - both, executed, get(&t->resumes),
        get(&t->kills), four,
        four == 0 && executed == both && get(&t->points) ? "PASS" : "FAIL");
    (void)printf("RUNG 5: %" PRIu64 " crash states, %" PRIu64
                 " kill points in their recovery, %" PRIu64 " resumes, %" PRIu64
                 " real kills, %" PRIu64 " broken %s\n",
        get(&t->states), get(&t->reap_points), get(&t->reap_resumes),
        get(&t->reap_kills), five, five == 0 ? "PASS" : "FAIL");
    return four + five == 0 && executed == both && get(&t->broken) == 0 &&
        get(&t->points) != 0;
}
