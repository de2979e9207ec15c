/* main.c - runs scenarios: a number of seeds each, or one seed with its trace.
 *
 * usage: explore [--runs N] [--seed N] [--first N] [--scenario NAME]...
 *                [--jobs N] [--weaken EDGE=ORDER] [--double-fetch LIST]
 *                [--list] [--expect-fail]
 * Exit status: 0 all runs passed (with --expect-fail: one failed), 1 not. */
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "oracle.h"

extern const struct x_scenario x_spsc_wrap, x_spsc_wrap_32, x_spsc_join,
    x_spsc_overwrite, x_spsc_takeover, x_mpmc_2p2c, x_mpmc_2p2c_wrap,
    x_mpmc_3p1c, x_loans, x_arena_adopt, x_mpmc_join, x_drop_old, x_shared_reap,
    x_shared_reap_wrap, x_shared_window, x_nack, x_nack_frames, x_lease, x_bury,
    x_bury_late, x_nack_later, x_expire, x_group_cycle, x_group_cycle_x,
    x_group_create, x_half_made, x_half_made_spsc, x_group_reset, x_absent,
    x_takeover, x_takeover_spsc, x_evict, x_evict_shared, x_wait_mpmc,
    x_wait_spsc, x_wait_asymmetric, x_attach, x_delete;

const struct x_scenario *const x_scenarios[] = {&x_spsc_wrap, &x_spsc_wrap_32,
    &x_spsc_join, &x_spsc_overwrite, &x_spsc_takeover, &x_mpmc_2p2c,
    &x_mpmc_2p2c_wrap, &x_mpmc_3p1c, &x_loans, &x_arena_adopt, &x_mpmc_join,
    &x_drop_old, &x_shared_reap, &x_shared_reap_wrap, &x_shared_window, &x_nack,
    &x_nack_frames, &x_lease, &x_bury, &x_bury_late, &x_nack_later, &x_expire,
    &x_group_cycle, &x_group_cycle_x, &x_group_create, &x_half_made,
    &x_half_made_spsc, &x_group_reset, &x_absent, &x_takeover, &x_takeover_spsc,
    &x_evict, &x_evict_shared, &x_wait_mpmc, &x_wait_spsc, &x_wait_asymmetric,
    &x_attach, &x_delete, NULL};

#define CALIBRATION 200u

struct options {
    uint64_t runs, first, seed;
    bool one, list, expect_fail, quiet;
    uint32_t jobs;
    const char *double_fetch; /* list of known second loads */
    const char *names[32];
    uint32_t name_cnt;
};

/* What a worker tells; shared with its parent. */
struct report {
    uint64_t runs, steps, doomed, timeouts;
    uint64_t seed; /* of the first failing run */
    uint64_t failed_after; /* runs */
    bool failed;
    char why[512];
    uint32_t edges;
    uint8_t sketch[1 << 12]; /* of the runs' hashes: how many differ */
    double seconds;
    struct x_fetches fetches;
};

static struct oracle oracle_at_start;
static void *state_at_start;
static struct x_world world_at_start;
static uint64_t now_at_start;
static uint32_t steps_typical = 400, own_typical[X_THREADS];

/* -- one run -------------------------------------------------------------- */

static uint64_t mix(uint64_t v)
{
    v += 0x9e3779b97f4a7c15ull;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ v >> 27) * 0x94d049bb133111ebull;
    return v ^ v >> 31;
}

static void draw_doom(const struct x_scenario *s)
{
    uint32_t may = s->mortal | s->stoppable;
    if (!may || x_below(2))
        return;
    for (uint32_t tries = 1 + (uint32_t)x_below(2); tries; tries--) {
        uint32_t t = 1 + (uint32_t)x_below(s->threads);
        struct x_thread *th = &x_threads[t];
        if (!(may & 1u << t))
            continue;
        bool kill =
            (s->mortal & 1u << t) && (!(s->stoppable & 1u << t) || x_below(2));
        th->doom_at = 1 + (uint32_t)x_below(own_typical[t] + 4);
        th->doom = kill       ? X_DOOM_KILL
            : x_below(3) != 0 ? X_DOOM_LATE
                              : X_DOOM_STOP;
        th->resume_at = th->doom == X_DOOM_LATE && x_below(2)
            ? (uint32_t)x_below(steps_typical + 50)
            : UINT32_MAX;
    }
}

static void draw_strategy(const struct x_scenario *s)
{
    static const uint32_t quanta[4] = {1, 3, 8, 30};
    static const uint32_t stale[4] = {0, 32, 85, 160};
    uint64_t kind = x_below(8);
    x_run.stale = stale[x_below(4)];
    x_run.lag = x_below(2);
    x_run.point = 0;
    x_run.strategy = kind < 3 ? X_WALK : kind < 6 ? X_BOUNDED : X_PCT;
    x_run.quantum = quanta[x_below(4)];
    uint32_t cnt = x_run.strategy == X_PCT ? 3 : 1 + (uint32_t)x_below(3);
    for (uint32_t i = 0; i < 3; i++)
        x_run.points[i] =
            i < cnt ? 1 + (uint32_t)x_below(steps_typical) : UINT32_MAX;
    for (uint32_t i = 0; i < 2; i++) /* sorted */
        for (uint32_t k = 0; k + 1 < 3 - i; k++)
            if (x_run.points[k] > x_run.points[k + 1]) {
                uint32_t swap = x_run.points[k];
                x_run.points[k] = x_run.points[k + 1];
                x_run.points[k + 1] = swap;
            }
    for (uint32_t i = 1; i <= s->threads; i++)
        x_threads[i].priority = 10 + (uint32_t)x_below(1000);
}

static void prepare(const struct x_scenario *s, uint64_t seed)
{
    static uint32_t number;
    x_heap_restore();
    memcpy(s->state, state_at_start, s->state_bytes);
    oracle = oracle_at_start;
    x_world = world_at_start;
    memset(&x_run, 0, offsetof(struct x_run, why));
    x_run.scenario = s;
    x_run.seed = seed;
    x_run.rng = mix(seed) | 1;
    x_run.number = ++number;
    x_run.now = now_at_start;
    x_run.switch_at = UINT32_MAX;
    for (uint32_t i = 0; i < X_THREADS; i++) {
        struct x_thread *t = &x_threads[i];
        t->state = i && i <= s->threads ? X_READY : X_UNUSED;
        t->steps = t->timeouts = t->call = 0;
        t->call_end = X_STEPS;
        t->doom_at = 0;
        t->fresh = true;
    }
    x_me = &x_threads[0];
    x_memory_begin();
}

static bool run_one(const struct x_scenario *s, uint64_t seed)
{
    prepare(s, seed);
    draw_strategy(s);
    draw_doom(s);
    x_heap_begin();
    if (x_fetching) {
        /* Nonsense in, nonsense out: only stray accesses and hangs count. */
        static const uint32_t often[4] = {3, 12, 50, 256};
        x_run.hostile = often[x_below(4)];
        (void)x_run_threads();
        x_heap_end();
        return !x_run.danger;
    }
    bool good = x_run_threads() && x_run_end();
    x_heap_end();
    return good;
}

/* -- one scenario --------------------------------------------------------- */

static void set_up(const struct x_scenario *s)
{
    memset(&x_run, 0, sizeof x_run);
    x_run.scenario = s;
    x_run.rng = 1;
    x_me = &x_threads[0];
    x_world_open(&s->setup);
    x_rules_init();
    shmqi_hooks = &x_hooks;
    x_run.direct = true;
    x_run.number = UINT32_MAX;
    for (uint32_t i = 0; i < X_THREADS; i++)
        x_threads[i].call_end = UINT32_MAX;
    x_heap_begin();
    s->begin();
    x_heap_end();
    x_heap_mark();
    state_at_start = malloc(s->state_bytes);
    memcpy(state_at_start, s->state, s->state_bytes);
    oracle_at_start = oracle;
    world_at_start = x_world;
    now_at_start = x_run.now;
}

/* How long runs are, from fixed seeds, so that what a seed does depends on
 * nothing else. */
static void calibrate(const struct x_scenario *s)
{
    uint64_t sum = 0, own[X_THREADS] = {0};
    for (uint32_t i = 0; i < X_THREADS; i++)
        own_typical[i] = 60;
    for (uint32_t i = 0; i < CALIBRATION; i++) {
        (void)run_one(s, UINT64_MAX - i);
        sum += x_run.steps;
        for (uint32_t t = 0; t < X_THREADS; t++)
            own[t] += x_threads[t].steps;
    }
    steps_typical = (uint32_t)(sum / CALIBRATION) + 1;
    for (uint32_t t = 0; t < X_THREADS; t++)
        own_typical[t] = (uint32_t)(own[t] / CALIBRATION) + 1;
}

static const struct x_scenario *current;

static void on_fault(int sig)
{
    static char text[160];
    int n = snprintf(text, sizeof text,
        "explore: %s: signal %d in a run; seed %" PRIu64
        " (an access that no hook sees?)\n",
        current ? current->name : "?", sig, x_run.seed);
    (void)!write(2, text, (size_t)n);
    _exit(1);
}

/* A loop without any access would be seen by nobody else. */
static void on_alarm(int sig)
{
    static uint32_t last;
    (void)sig;
    if (last == x_run.number)
        on_fault(SIGVTALRM);
    last = x_run.number;
}

static void watch(void)
{
    struct itimerval t = {{10, 0}, {10, 0}};
    stack_t alt = {0};
    alt.ss_size = 1u << 16;
    alt.ss_sp = malloc(alt.ss_size);
    (void)sigaltstack(&alt, NULL);
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_fault;
    sa.sa_flags = SA_ONSTACK;
    (void)sigaction(SIGSEGV, &sa, NULL);
    (void)sigaction(SIGBUS, &sa, NULL);
    sa.sa_handler = on_alarm;
    sa.sa_flags = SA_RESTART | SA_ONSTACK;
    (void)sigaction(SIGVTALRM, &sa, NULL);
    (void)setitimer(ITIMER_VIRTUAL, &t, NULL);
}

static double seconds(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* HyperLogLog with 4096 registers. */
static void sketch(struct report *r, uint64_t hash)
{
    hash = mix(hash);
    uint8_t rank = (uint8_t)(1 + __builtin_ctzll(hash >> 12 | 1ull << 51));
    if (r->sketch[hash & 4095] < rank)
        r->sketch[hash & 4095] = rank;
}

static void work(const struct x_scenario *s, const struct options *o,
    uint32_t job, struct report *r)
{
    current = s;
    watch();
    x_sched_init();
    set_up(s);
    calibrate(s);
    if (o->double_fetch)
        x_fetch_begin(x_memory_bytes(), &r->fetches);
    double start = seconds();
    for (uint64_t i = job; i < o->runs && !r->failed; i += o->jobs) {
        bool good = run_one(s, o->first + i);
        r->runs++;
        r->steps += x_run.steps;
        r->doomed += x_run.doomed != 0;
        r->timeouts += x_run.timeouts;
        for (uint32_t t = 1; x_fetching && t <= s->threads; t++)
            r->fetches.calls += x_threads[t].call;
        sketch(r, x_run.hash);
        if (!good) {
            r->failed = true;
            r->seed = o->first + i;
            r->failed_after = i + 1;
            memcpy(r->why, x_run.why, sizeof r->why);
        }
    }
    r->seconds = seconds() - start;
    r->edges = x_edges_seen(false);
}

/* One seed, with everything that happened. */
static int show(
    const struct x_scenario *s, uint64_t seed, const struct options *o)
{
    static struct x_fetches fetches;
    current = s;
    watch();
    x_sched_init();
    set_up(s);
    calibrate(s);
    if (o->double_fetch)
        x_fetch_begin(x_memory_bytes(), &fetches);
    x_trace_begin();
    x_tracing = true;
    bool good = run_one(s, seed);
    x_tracing = false;
    x_trace_print(UINT32_MAX);
    printf("%s seed %" PRIu64 ": %s%s, %u steps\n", s->name, seed,
        good ? "passed" : "FAILED: ", good ? "" : x_run.why, x_run.steps);
    return good ? 0 : 1;
}

/* -- command line --------------------------------------------------------- */

static double distinct(const struct report *all, uint32_t cnt)
{
    double sum = 0;
    uint32_t zeros = 0;
    for (uint32_t i = 0; i < 4096; i++) {
        uint8_t most = 0;
        for (uint32_t k = 0; k < cnt; k++)
            if (all[k].sketch[i] > most)
                most = all[k].sketch[i];
        zeros += most == 0;
        sum += 1.0 / (double)(1ull << most);
    }
    double e = 0.7213 / (1 + 1.079 / 4096) * 4096.0 * 4096.0 / sum;
    if (e < 2.5 * 4096 && zeros) {
        /* linear counting: 4096 ln(4096 / zeros) */
        double x = 4096.0 / zeros, ln = 0;
        while (x > 2.718281828) {
            x /= 2.718281828;
            ln += 1;
        }
        double y = (x - 1) / (x + 1), y2 = y * y;
        ln += 2 * y * (1 + y2 / 3 + y2 * y2 / 5 + y2 * y2 * y2 / 7);
        e = 4096 * ln;
    }
    return e;
}

static struct report *in_jobs(
    const struct x_scenario *s, const struct options *o)
{
    struct report *all = mmap(NULL, sizeof *all * o->jobs,
        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        abort();
    for (uint32_t i = 0; i < o->jobs; i++) {
        if (fork() == 0) {
            work(s, o, i, &all[i]);
            _exit(0);
        }
    }
    int status;
    while (wait(&status) > 0)
        if (status != 0 && !all[0].failed) {
            all[0].failed = true;
            (void)snprintf(all[0].why, sizeof all[0].why,
                "the job ended with status %d", status);
        }
    return all;
}

/* True when every run passed. */
static bool run_scenario(
    const struct x_scenario *s, const struct options *o, struct report *total)
{
    struct report *all = in_jobs(s, o);
    static struct report sum;
    memset(&sum, 0, sizeof sum);
    const struct report *bad = NULL;
    for (uint32_t i = 0; i < o->jobs; i++) {
        sum.runs += all[i].runs;
        sum.steps += all[i].steps;
        sum.doomed += all[i].doomed;
        sum.timeouts += all[i].timeouts;
        x_fetch_add(&total->fetches, &all[i].fetches);
        if (all[i].seconds > sum.seconds)
            sum.seconds = all[i].seconds;
        if (all[i].edges > sum.edges)
            sum.edges = all[i].edges;
        if (all[i].failed && (!bad || all[i].seed < bad->seed))
            bad = &all[i];
    }
    printf("%-16s %9" PRIu64 " runs, %4.0f steps each, about %.3g differ; "
           "%2.0f %% with a kill or stop; %3u edges; %6.0f runs/s\n",
        s->name, sum.runs, sum.runs ? (double)sum.steps / (double)sum.runs : 0,
        distinct(all, o->jobs),
        sum.runs ? 100.0 * (double)sum.doomed / (double)sum.runs : 0, sum.edges,
        sum.seconds > 0 ? (double)sum.runs / sum.seconds : 0);
    if (bad)
        printf("%s: FAILED after %" PRIu64 " runs: %s\n"
               "  again: explore --scenario %s%s%s --seed %" PRIu64 "\n",
            s->name, bad->failed_after, bad->why, s->name,
            o->double_fetch ? " --double-fetch " : "",
            o->double_fetch ? o->double_fetch : "", bad->seed);
    (void)fflush(stdout);
    total->runs += sum.runs;
    total->steps += sum.steps;
    total->seconds += sum.seconds;
    total->failed |= bad != NULL;
    (void)munmap(all, sizeof *all * o->jobs);
    return bad == NULL;
}

static bool chosen(const struct options *o, const struct x_scenario *s)
{
    for (uint32_t i = 0; i < o->name_cnt; i++)
        if (strcmp(o->names[i], s->name) == 0)
            return true;
    return o->name_cnt == 0;
}

static bool set_weak(const char *arg)
{
    static const struct {
        const char *name;
        int order;
    } orders[] = {{"relaxed", memory_order_relaxed},
        {"acquire", memory_order_acquire}, {"release", memory_order_release},
        {"acq_rel", memory_order_acq_rel}, {"seq_cst", memory_order_seq_cst}};
    char id[16];
    const char *eq = strchr(arg, '=');
    if (!eq || (size_t)(eq - arg) >= sizeof id)
        return false;
    memcpy(id, arg, (size_t)(eq - arg));
    id[eq - arg] = '\0';
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (strcmp(orders[i].name, eq + 1) == 0)
            return x_weaken(id, orders[i].order);
    return false;
}

static int usage(void)
{
    (void)fprintf(stderr,
        "usage: explore [--runs N] [--first N] [--seed N] [--scenario "
        "NAME]...\n"
        "               [--jobs N] [--weaken EDGE=ORDER]\n"
        "               [--double-fetch LIST] [--list] [--expect-fail]\n");
    return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--list") == 0) {
            o->list = true;
            continue;
        }
        if (strcmp(a, "--expect-fail") == 0) {
            o->expect_fail = true;
            continue;
        }
        if (!v)
            return false;
        i++;
        if (strcmp(a, "--runs") == 0)
            o->runs = strtoull(v, NULL, 0);
        else if (strcmp(a, "--first") == 0)
            o->first = strtoull(v, NULL, 0);
        else if (strcmp(a, "--jobs") == 0)
            o->jobs = (uint32_t)strtoul(v, NULL, 0);
        else if (strcmp(a, "--seed") == 0)
            o->seed = strtoull(v, NULL, 0), o->one = true;
        else if (strcmp(a, "--scenario") == 0 && o->name_cnt < 32)
            o->names[o->name_cnt++] = v;
        else if (strcmp(a, "--double-fetch") == 0)
            o->double_fetch = v;
        else if (strcmp(a, "--weaken") != 0 || !set_weak(v))
            return false;
    }
    return o->jobs >= 1 && o->jobs <= 64;
}

static bool rung_14(struct report *total, const char *list)
{
    struct x_fetches *f = &total->fetches;
    uint32_t missing = x_fetch_unlisted(f, list);
    bool pass = !total->failed && missing == 0 && f->hostile > 0;
    printf("RUNG 14: %" PRIu64 " runs, %" PRIu64 " calls, %" PRIu64
           " second loads of a word within a call, of %u kinds (%u without a "
           "reason), %" PRIu64 " answered by a hostile value; %s %s\n",
        total->runs, f->calls, f->second, f->kind_cnt, missing, f->hostile,
        total->failed ? "a crash, hang or stray access"
                      : "0 crashes, hangs and stray accesses",
        pass ? "PASS" : "FAIL");
    return pass;
}

int main(int argc, char **argv)
{
    struct options o = {.runs = 1000, .jobs = 1};
    static struct report total;
    uint32_t scenarios = 0;
    if (!parse(&o, argc, argv))
        return usage();
    for (uint32_t i = 0; x_scenarios[i]; i++) {
        const struct x_scenario *s = x_scenarios[i];
        if (!chosen(&o, s))
            continue;
        scenarios++;
        if (o.list)
            printf("%-16s %s\n", s->name, s->what);
        else if (o.one)
            return show(s, o.seed, &o);
        else if (!run_scenario(s, &o, &total) && o.expect_fail)
            break;
    }
    if (o.list)
        return 0;
    if (scenarios == 0)
        return usage();
    if (o.double_fetch)
        return rung_14(&total, o.double_fetch) == o.expect_fail;
    bool pass = total.failed == o.expect_fail;
    printf("RUNG 3: %" PRIu64 " interleavings of %u scenarios in %.0f s, "
           "%s %s\n",
        total.runs, scenarios, total.seconds,
        total.failed ? "a failure" : "0 failures", pass ? "PASS" : "FAIL");
    return pass ? 0 : 1;
}
