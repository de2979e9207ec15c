/* Every crash state of recorded runs of the storage engine: the log that is
 * recovered holds everything acknowledged, nothing superseded, no hole.
 *     fault_crash_states [--states N] [--from-seed S] [--subsets N]
 *                        [--seconds N] [--control NAME]
 * Without options: at least 10^5 states, then the negative controls, each of
 * which must be caught. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/storage/bugs.h"
#include "fault/crash_states/crash_states.h"

enum shmqd_bug shmqd_bug;
bool shmqi_log_bug_no_chain;

static const struct control {
    const char *name;
    enum shmqd_bug bug;
    bool no_chain, stale, failures;
} controls[] = {
    {"no-directory-fsync", SHMQD_BUG_NO_DIR_SYNC, false, false, false},
    {"ack-in-completion-order", SHMQD_BUG_ACK_BY_COMPLETION, false, false,
        false},
    {"no-salt", SHMQD_BUG_NO_SALT, false, true, false},
    {"no-chain", SHMQD_BUG_NO_CHAIN, true, false, false},
    {"retry-of-fsync", SHMQD_BUG_RETRY_SYNC, false, false, true},
    {"name-before-durable", SHMQD_BUG_NAME_EARLY, false, false, false},
    {"recovery-without-fsync", SHMQD_BUG_NO_SYNC_FIRST, false, false, true},
    {"ack-before-fsync", SHMQD_BUG_ACK_BEFORE_SYNC, false, false, false},
    {"unreadable-is-the-end", SHMQD_BUG_UNREADABLE_IS_END, false, false, true},
};

static void print(const char *name, const struct totals *t)
{
    printf("%s: %llu states, %llu distinct, %llu events, %llu recoveries, %llu "
           "lives; acknowledged lost %llu, superseded resurrected %llu, holes "
           "%llu, refused %llu, positions reused %llu; %llu lives with an "
           "unreadable block (%llu refused); longest recovery %.1f ms\n",
        name, (unsigned long long)t->states, (unsigned long long)t->distinct,
        (unsigned long long)t->events, (unsigned long long)t->recoveries,
        (unsigned long long)t->lives, (unsigned long long)t->lost,
        (unsigned long long)t->resurrected, (unsigned long long)t->holes,
        (unsigned long long)t->refused, (unsigned long long)t->reused,
        (unsigned long long)t->unreadable, (unsigned long long)t->refusals,
        (double)t->worst_recovery_ns / 1e6);
    if (violations(t))
        printf("  first: %s\n", t->first);
    fflush(stdout);
}

static struct plan plan_of(uint64_t seed, uint32_t subsets)
{
    struct plan p = {.seed = seed,
        .style = {.os = seed % 8 == 5 || seed % 8 == 7, .spsc = seed % 8 >= 6},
        .frames = 6 + (uint32_t)(seed % 13),
        .subsets = subsets,
        .nest_each = 400,
        .depth = 2,
        .stale = seed % 2,
        .no_zeros = seed % 4 == 1,
        .kills = true,
        .unreadable = true};
    return p;
}

static void run(uint64_t states, uint64_t seed, uint32_t subsets,
    time_t seconds, struct totals *t)
{
    time_t until = time(NULL) + seconds;
    for (; t->states < states && time(NULL) < until; seed++) {
        struct plan p = plan_of(seed, subsets);
        explore(&p, t);
        if ((seed - 1) % 64 < 4) {
            p.subsets = 4;
            p.style.os = (seed - 1) % 2;
            p.style.spsc = (seed - 1) / 2 % 2;
            explore_failures(&p, t);
        }
    }
    printf("next seed: %llu\n", (unsigned long long)seed);
}

/* True when the mistake was found. */
static bool run_control(const struct control *c)
{
    struct totals t = {.stop_at_first = true};
    shmqd_bug = c->bug;
    shmqi_log_bug_no_chain = c->no_chain;
    for (uint64_t seed = 1; seed < 40 && !violations(&t); seed++) {
        struct plan p = plan_of(seed, 64);
        p.nest_each = 20;
        if (c->stale) {
            p.stale = p.no_zeros = true;
            p.frames = 12;
        }
        if (c->failures)
            explore_failures(&p, &t);
        else
            explore(&p, &t);
    }
    shmqd_bug = SHMQD_BUG_NONE;
    shmqi_log_bug_no_chain = false;
    printf("control %s: %s after %llu states (%s)\n", c->name,
        violations(&t) ? "caught" : "NOT CAUGHT", (unsigned long long)t.states,
        t.first);
    fflush(stdout);
    return violations(&t) != 0;
}

int main(int argc, char **argv)
{
    uint64_t states = 100000, seed = 1;
    uint32_t subsets = 64;
    time_t seconds = 1 << 30;
    bool partly = false;
    const char *control = NULL;
    bool quick = argc == 1;
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--states") == 0)
            states = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--from-seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--subsets") == 0)
            subsets = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = (time_t)strtol(argv[i + 1], NULL, 10);
            partly = true; /* goes on with the next seed another time */
        } else if (strcmp(argv[i], "--control") == 0)
            control = argv[i + 1];
        else
            return 2;
    }
    bool ok = true;
    if (!control) {
        struct totals t = {0};
        run(states, seed, subsets, seconds, &t);
        print("RUNG 8", &t);
        ok = violations(&t) == 0 && (t.states >= states || partly);
    }
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (quick || (control && strcmp(control, controls[i].name) == 0))
            ok &= run_control(&controls[i]);
    printf("RUNG 8: %s\n", ok ? "PASS" : "FAIL");
    return ok ? 0 : 1;
}
