/* main.c - crash at every instruction: chooses configurations, runs the modes
 * on them, prints the figures. docs/crash-proof.md tells how it works.
 *     crash_instruction [--seconds N] [--seed N] [--op TEXT] [--modes SZKR]
 *                       [--resumes N] [--kills N] [--states N] [--jobs N]
 *                       [--full] [--part I/N] [--each] [--blind]
 * Without options: a sample of 60 s. --full does all configurations, --part the
 * I-th (from 0) of N parts of them. --each does mode S on one configuration of
 * each operation, and demands that every exported function was
 * stepped; so does --full. --blind does not step what libc calls back: a
 * negative control of the coverage. --op takes part of a configuration's text,
 * as it is printed when something is broken.
 * --figures FILE: those of this run are added to those in FILE (of the same
 * program), and the sums are printed.
 * --expect M: a negative control; succeeds as soon as mode M finds something
 * broken.
 * Exit status: 0 all held, 1 something was broken, 77 no ptrace here. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "modes.h"
#include "report.h"
#include "support/support.h"

#define WAITS 2u /* times that others are counted, for one configuration */
#define PATIENCE_S 240u /* for one experiment */

struct page *page, *second_page;
_Atomic uint64_t *the_clock;
struct totals *totals;
uint32_t *marks[MARKS];

/* Figures of several runs add up in a file, when one is given. */
static int figures_fd = -1;
static off_t figures_bytes;

static void *shared(size_t bytes)
{
    void *at = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

void *figures_memory(size_t bytes)
{
    struct stat st;
    if (figures_fd < 0)
        return shared(bytes);
    off_t from = figures_bytes;
    figures_bytes += (off_t)((bytes + 4095) & ~(size_t)4095);
    void *at = MAP_FAILED;
    if (fstat(figures_fd, &st) == 0 &&
        (st.st_size >= figures_bytes ||
            ftruncate(figures_fd, figures_bytes) == 0))
        at = mmap(
            NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, figures_fd, from);
    if (at == MAP_FAILED) {
        perror("figures");
        exit(1);
    }
    return at;
}

void atomic_raise(_Atomic uint64_t *at, uint64_t value)
{
    uint64_t seen = atomic_load(at);
    while (seen < value && !atomic_compare_exchange_weak(at, &seen, value))
        ;
}

struct options {
    uint64_t seconds, seed;
    uint32_t resumes, kills, states, jobs;
    uint32_t part, parts; /* part of all configurations, from 0 */
    const char *op, *modes, *figures;
    const char *expect; /* a mode that must find something broken */
    bool each, full;
};

/* -- configurations
 * -------------------------------------------------------------- */

static bool sensible(const struct config *c)
{
    const struct op *op = c->op;
    if (!(op->flags & (c->ring == SHMQ_RING_SPSC ? OP_SPSC : OP_MPMC)))
        return false;
    if ((op->flags & OP_NEEDS_RECORD) && c->fill == FILL_EMPTY)
        return false;
    if (op->flags & OP_FILES)
        return c->fill == FILL_EMPTY && c->warm == WARM_NONE &&
            c->origin == ORIGIN_ZERO && !c->own;
    if (c->own && (op->flags & (OP_DRAINED | OP_BEHIND)))
        return false;
    return !c->own || c->fill != FILL_EMPTY;
}

/* One of each operation, on one of the rings in turn: a record, behind the end
 * of a lap. */
static bool is_sample(const struct config *c)
{
    if (c->op->flags & OP_FILES)
        return true;
    if ((c->op->flags & OP_PAYLOAD) && c->op->arg > 1u << 16)
        return false;
    uint32_t both = OP_MPMC | OP_SPSC;
    uint32_t ring = 1 + op_index(c->op) % 2;
    if ((c->op->flags & both) == both && c->ring != ring)
        return false;
    return c->fill == FILL_ONE && c->warm == WARM_WRAPPED &&
        c->origin == ORIGIN_ZERO && !c->own;
}

static uint32_t list_configs(struct config *list, const char *only, bool each)
{
    uint32_t cnt = 0;
    for (const struct op *op = NULL; (op = op_next(op));) {
        for (uint32_t i = 0; i < 2 * FILLS * WARMS * ORIGINS * 2; i++) {
            struct config c = {op, op, 1 + i % 2, i / 2 % FILLS,
                i / 2 / FILLS % WARMS, i / 2 / FILLS / WARMS % ORIGINS,
                i / 2 / FILLS / WARMS / ORIGINS != 0};
            char text[200];
            config_text(&c, text);
            if (sensible(&c) && (!each || is_sample(&c)) &&
                (!only || strstr(text, only))) {
                if (list)
                    list[cnt] = c;
                cnt++;
            }
        }
    }
    return cnt;
}

/* So that any part of the list is a fair sample of it. */
static void shuffle(struct config *list, uint32_t cnt, uint64_t seed)
{
    for (uint32_t i = cnt; i > 1; i--) {
        uint32_t k = (uint32_t)t_below(&seed, i);
        struct config was = list[i - 1];
        list[i - 1] = list[k];
        list[k] = was;
    }
}

/* -- one configuration
 * -------------------------------------------------------------- */

static void prove(const struct options *o, struct world *w, struct tracer *t,
    const struct config *c)
{
    static struct trace trace;
    static struct pool pool;
    pool.cnt = pool.seen = 0;
    if (t->gone)
        tracer_start(t);
    page->config = *c;
    memset(&scene, 0, sizeof scene);
    scene.world = w;
    scene.mode = "S";
    if (!world_make(w, c)) {
        broken("the state cannot be made");
        return;
    }
    if (c->op->flags & OP_FILES) {
        mode_f(w, t, &trace, o->modes, 8 * o->resumes, 8 * o->kills);
        world_free(w);
        atomic_fetch_add(&totals->configs, 1);
        return;
    }
    mode_s(w, t, &trace, strchr(o->modes, 'R') ? &pool : NULL);
    if (!t->gone && !o->each)
        coverage_run(w, t, world_restore);
    scene.mode = "Z";
    if (strchr(o->modes, 'Z'))
        mode_z(w, t, &trace, o->resumes);
    if (strchr(o->modes, 'Z'))
        mode_w(w, t, &trace, WAITS);
    scene.mode = "K";
    if (strchr(o->modes, 'K') && c->fill == FILL_EMPTY && !c->own &&
        strcmp(c->op->name, "publish 64") == 0)
        mode_wake(w, &trace);
    if (strchr(o->modes, 'K'))
        mode_k(w, &trace, o->kills);
    if (strchr(o->modes, 'R'))
        mode_r(w, t, &pool, o->states, o->resumes, o->kills);
    world_free(w);
    atomic_fetch_add(&totals->configs, 1);
}

/* A negative control has what it wanted. */
static bool found(const struct options *o)
{
    const char *at = o->expect ? strchr(MODES, o->expect[0]) : NULL;
    return at && atomic_load(&totals->broken_in[at - MODES]) != 0;
}

static _Atomic uint64_t *signs_of_life;

void alive(void)
{
    (void)atomic_fetch_add(signs_of_life, 1);
}

/* A call of the library, or the victim, does not come back. */
static void hangs(int sig)
{
    (void)sig;
    broken("a call does not return (I6)");
    _exit(1);
}

/* A process beside this worker tells it by SIGALRM that it hangs. It counts
 * seconds in which it ran itself: a run that is stopped as a whole, and goes
 * on, hangs no more than one on a machine that stands still. */
static void watch_for_hangs(void)
{
    signs_of_life = shared(sizeof *signs_of_life);
    (void)signal(SIGALRM, hangs);
    pid_t worker = getpid(), pid = fork();
    if (pid < 0) {
        perror("no watch for hangs");
        exit(1);
    }
    if (pid > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    uint64_t seen = 0;
    for (uint32_t silent = 0; getppid() == worker; silent++) {
        (void)sleep(1);
        uint64_t now = atomic_load(signs_of_life);
        if (now != seen)
            silent = 0;
        seen = now;
        if (silent >= PATIENCE_S)
            (void)kill(worker, SIGALRM);
    }
    _exit(0);
}

/* -- leaving nothing behind ---------------------------------------------------
 */

static void name_spaces(struct world *w, pid_t main_pid, uint32_t job)
{
    (void)snprintf(w->ns, sizeof w->ns, "crash%d-%u", main_pid, job);
    (void)snprintf(w->copy_ns, sizeof w->copy_ns, "copy%d-%u", main_pid, job);
}

/* A process that waits until all others have gone, in whatever way, and removes
 * what they left. Returns the descriptor that all of them hold. */
static int janitor_start(uint32_t jobs)
{
    struct world w;
    char none;
    int fd[2];
    pid_t main_pid = getpid();
    if (pipe2(fd, O_CLOEXEC) != 0)
        return -1;
    if (fork() != 0) {
        (void)close(fd[0]);
        return fd[1];
    }
    (void)setsid();
    (void)signal(SIGTERM, SIG_IGN);
    (void)close(fd[1]);
    for (int i = 0; i < 3; i++)
        (void)close(i);
    while (read(fd[0], &none, 1) < 0)
        ;
    for (uint32_t job = 0; job < jobs; job++) {
        name_spaces(&w, main_pid, job);
        world_sweep(w.ns);
        world_sweep(w.copy_ns);
    }
    _exit(0);
}

static struct world world; /* of this worker */

static void work(const struct options *o, const struct config *list,
    uint32_t cnt, pid_t main_pid, uint32_t job)
{
    struct world *w = &world;
    struct tracer t = {0, true};
    uint64_t end = real_ns() + o->seconds * 1000000000u;
    watch_for_hangs();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    page = shared(sizeof *page);
    second_page = shared(sizeof *second_page);
    the_clock = shared(sizeof *the_clock);
    *the_clock = real_ns();
    name_spaces(w, main_pid, job);
    for (uint32_t i = o->part + job * o->parts; i < cnt;
         i += o->jobs * o->parts) {
        if ((o->seconds && real_ns() >= end) || found(o))
            break;
        alive();
        prove(o, w, &t, &list[i]);
    }
    tracer_stop(&t);
    mode_w_stop();
    world_sweep(w->ns);
    world_sweep(w->copy_ns);
}

static bool run_jobs(
    const struct options *o, const struct config *list, uint32_t cnt)
{
    bool fine = true;
    pid_t main_pid = getpid();
    int fd = janitor_start(o->jobs);
    for (uint32_t j = 0; j < o->jobs; j++) {
        pid_t pid = fork();
        if (pid == 0) {
            work(o, list, cnt, main_pid, j);
            (void)fflush(stdout);
            _exit(0);
        }
    }
    for (uint32_t j = 0; j < o->jobs; j++) {
        int status = 0;
        if (wait(&status) < 0 || status != 0)
            fine = false;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            exit(77);
    }
    (void)close(fd);
    (void)wait(NULL);
    return fine;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {{"seconds", 1, NULL, 't'},
        {"seed", 1, NULL, 's'}, {"op", 1, NULL, 'o'}, {"modes", 1, NULL, 'm'},
        {"resumes", 1, NULL, 'z'}, {"kills", 1, NULL, 'k'},
        {"states", 1, NULL, 'r'}, {"jobs", 1, NULL, 'j'},
        {"expect", 1, NULL, 'e'}, {"figures", 1, NULL, 'g'},
        {"full", 0, NULL, 'f'}, {"each", 0, NULL, 'c'}, {"blind", 0, NULL, 'b'},
        {"part", 1, NULL, 'p'}, {NULL, 0, NULL, 0}};
    struct options o = {
        60, 1, 24, 3, 1, 1, 0, 1, NULL, MODES, NULL, NULL, false, false};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    o.jobs = cpus < 1 ? 1 : cpus > 16 ? 16 : (uint32_t)cpus;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;
        switch (c) {
        case 't':
            o.seconds = n;
            break;
        case 's':
            o.seed = n;
            break;
        case 'o':
            o.op = optarg;
            break;
        case 'm':
            o.modes = optarg;
            break;
        case 'z':
            o.resumes = (uint32_t)n;
            break;
        case 'k':
            o.kills = (uint32_t)n;
            break;
        case 'r':
            o.states = (uint32_t)n;
            break;
        case 'j':
            o.jobs = (uint32_t)n;
            break;
        case 'p':
            if (sscanf(optarg, "%u/%u", &o.part, &o.parts) != 2)
                exit(2);
            o.seconds = 0;
            break;
        case 'g':
            o.figures = optarg;
            break;
        case 'e':
            o.expect = optarg;
            break;
        case 'c':
            o.each = true;
            o.modes = "S";
            o.seconds = 0;
            break;
        case 'b':
            tracer_callbacks = false;
            break;
        case 'f':
            o.full = o.parts == 1;
            o.seconds = 0;
            break;
        default:
            exit(2);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    if (o.figures)
        figures_fd = open(o.figures, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    totals = figures_memory(sizeof *totals);
    for (enum mark k = STEPPED; k < MARKS; k++)
        marks[k] = figures_memory(
            (size_t)(library_end - library_begin) * sizeof *marks[k]);
    report_init();
    uint32_t cnt = list_configs(NULL, o.op, o.each);
    struct config *list = calloc(cnt + 1, sizeof *list);
    if (!list)
        return 1;
    (void)list_configs(list, o.op, o.each);
    shuffle(list, cnt, o.seed);
    uint64_t start = real_ns();
    bool fine = run_jobs(&o, list, cnt);
    free(list);
    bool held = report(cnt, o.seed, real_ns() - start) && fine;
    if ((o.each || o.full) && !o.op)
        held = coverage_exports() && held;
    if (!o.expect)
        return held ? 0 : 1;
    (void)printf("CONTROL: mode %s %s\n", o.expect,
        found(&o) ? "has found it PASS" : "has found nothing FAIL");
    return found(&o) ? 0 : 1;
}
