/* mode_f.c - making and removing topics: the files themselves are the state.
 *
 * At each point the files that have names are copied to another namespace and
 * judged there: the topic opens and works, or it can be made; then it is
 * removed and nothing is left. Killed and held victims likewise. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "modes.h"

#define MADE "made"
#define PATH_MAX_HERE 128
#define VERSION_AT 128

struct files_state { /* no padding: compared as bytes */
    uint64_t control, data, version;
};

/* A crash state: the files that have names, as a killed process left them. */
#define STATES_MAX 16u
#define FILE_MAX (1u << 18)
struct left {
    bool there[2];
    size_t bytes[2];
    uint8_t *file[2];
    bool exists; /* a topic that can be opened */
};
static struct left left[STATES_MAX];
static uint32_t left_cnt;
static const char kinds[2] = {'c', 'd'};

struct run {
    struct world *w;
    struct trace *trace;
    struct files_state last;
    bool judged, exists;
    uint32_t flips;
    uint64_t before_rip;
};

static void path_of(char ret[PATH_MAX_HERE], const char *ns, char kind)
{
    (void)snprintf(ret, PATH_MAX_HERE, "/dev/shm/shmq.%s.%c." MADE, ns, kind);
}

static struct files_state look(const char *ns)
{
    struct files_state s = {0, 0, 0};
    char path[PATH_MAX_HERE];
    struct stat st;
    path_of(path, ns, 'd');
    s.data = lstat(path, &st) == 0;
    path_of(path, ns, 'c');
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    s.control = fd >= 0;
    if (fd >= 0 && pread(fd, &s.version, 8, VERSION_AT) != 8)
        s.version = 0;
    if (fd >= 0)
        (void)close(fd);
    return s;
}

static void copy_file(const struct world *w, char kind)
{
    static uint8_t bytes[1u << 20];
    char from[PATH_MAX_HERE], to[PATH_MAX_HERE];
    path_of(from, w->ns, kind);
    path_of(to, w->copy_ns, kind);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return;
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = read(in, bytes, sizeof bytes);
    if (out < 0 || n < 0 || write(out, bytes, (size_t)n) != n)
        broken("the files cannot be copied");
    (void)close(in);
    (void)close(out);
}

/* -- crash states -------------------------------------------------------------
 */

/* Kept before the copy is judged, which removes it. */
static struct left *keep(const struct world *w)
{
    char path[PATH_MAX_HERE];
    if (left_cnt == STATES_MAX || recovering())
        return NULL;
    struct left *l = &left[left_cnt++];
    for (uint32_t i = 0; i < 2; i++) {
        path_of(path, w->ns, kinds[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        l->there[i] = fd >= 0;
        if (fd < 0)
            continue;
        if (!l->file[i])
            l->file[i] = malloc(FILE_MAX);
        ssize_t n = l->file[i] ? read(fd, l->file[i], FILE_MAX) : -1;
        if (n < 0 || n == FILE_MAX)
            broken("a file cannot be kept");
        l->bytes[i] = n < 0 ? 0 : (size_t)n;
        (void)close(fd);
    }
    return l;
}

static void put_back(const struct world *w, const struct left *l)
{
    char path[PATH_MAX_HERE];
    for (uint32_t i = 0; i < 2; i++) {
        if (!l->there[i])
            continue;
        path_of(path, w->ns, kinds[i]);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 ||
            write(fd, l->file[i], l->bytes[i]) != (ssize_t)l->bytes[i])
            broken("a crash state cannot be put back");
        if (fd >= 0)
            (void)close(fd);
    }
}

/* -- judging ----------------------------------------------------------------
 */

static uint32_t leftovers(const char *ns)
{
    char prefix[64];
    uint32_t cnt = 0;
    DIR *dir = opendir("/dev/shm");
    int n = snprintf(prefix, sizeof prefix, "shmq.%s.", ns);
    for (struct dirent *e; dir && (e = readdir(dir));)
        cnt += strncmp(e->d_name, prefix, (size_t)n) == 0 &&
            strcmp(e->d_name + n, "d." TOPIC) != 0 &&
            strcmp(e->d_name + n, "c." TOPIC) != 0 &&
            strncmp(e->d_name + n, "lock.", 5) != 0;
    if (dir)
        (void)closedir(dir);
    return cnt;
}

static void use(struct shmq_topic *topic)
{
    struct shmq_producer *p = NULL;
    struct shmq_consumer *c = NULL;
    struct shmq_consumer_options o;
    struct shmq_message m;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.group = "g";
    if (shmq_producer_open(topic, NULL, &p) != SHMQ_OK ||
        shmq_consumer_open(topic, &o, &c) != SHMQ_OK ||
        shmq_producer_publish(p, "x", 1, NULL) != SHMQ_OK ||
        shmq_consumer_receive(c, &m) != SHMQ_OK || m.size != 1 ||
        shmq_consumer_release(c, &m) != SHMQ_OK)
        broken("the topic does not work: %s (I12)", shmq_error_text());
    shmq_consumer_close(c);
    shmq_producer_close(p);
}

static struct shmq_topic_attrs small(void)
{
    struct shmq_topic_attrs a;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.ring = page->config.ring;
    a.arena_bytes = 4096;
    a.max_groups = 1;
    a.max_members = 1;
    if (a.ring == SHMQ_RING_MPMC) {
        a.capacity_frames = 8;
        a.max_producers = 1;
    }
    return a;
}

/* The topic exists completely or not at all; either way it can be removed or
 * made, and removed without a trace. */
static bool judge_files(const char *ns)
{
    struct shmq_topic *topic = NULL;
    struct shmq_topic_attrs a = small();
    int rc = shmq_topic_open(ns, MADE, &topic);
    bool exists = rc == SHMQ_OK;
    atomic_fetch_add(&totals->judged, 1);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_NOENT)
        broken("open: %s (I12)", shmq_error_text());
    rc = shmq_topic_create(ns, MADE, &a);
    if (rc != (exists ? SHMQ_ERR_EXISTS : SHMQ_OK))
        broken("create: %s (I12)", shmq_err_name(rc));
    if (!topic && (rc = shmq_topic_open(ns, MADE, &topic)) != SHMQ_OK)
        broken("open of a new one: %s", shmq_error_text());
    if (topic)
        use(topic);
    shmq_topic_close(topic);
    rc = shmq_topic_unlink(ns, MADE, 0);
    if (rc != SHMQ_OK || leftovers(ns) != 0)
        broken("unlink: %s, %u files are left (I9)", shmq_err_name(rc),
            leftovers(ns));
    return exists;
}

/* -- stepping -----------------------------------------------------------------
 */

static bool visit(void *ctx, const struct point *p)
{
    struct run *r = ctx;
    struct files_state now = look(r->w->ns);
    scene.nth = p->nth;
    scene.rip = r->before_rip;
    atomic_fetch_add(recovering() ? &totals->reap_points : &totals->points, 1);
    if (p->where == AT_LIBRARY)
        mark(STEPPED, p->rip);
    if (!r->judged || memcmp(&now, &r->last, sizeof now) != 0) {
        copy_file(r->w, 'c');
        copy_file(r->w, 'd');
        struct left *kept = keep(r->w);
        bool exists = judge_files(r->w->copy_ns);
        if (kept)
            kept->exists = exists;
        r->flips += r->judged && exists != r->exists;
        r->exists = exists;
        r->judged = true;
        r->last = now;
    }
    if (p->where == AT_LIBRARY && r->trace->cnt < TRACE_MAX) {
        uint32_t i = r->trace->cnt++;
        r->trace->at[i].rip = p->rip;
        r->trace->at[i].times = p->times;
        r->trace->at[i].nth = p->nth;
        r->trace->at[i].verdict = r->exists;
    }
    r->before_rip = p->rip;
    return true;
}

/* The state before: the topic is there for unlink, not for create; in mode R,
 * what somebody left who was killed. */
static const struct left *begin_with;

static void prepare(struct world *w)
{
    struct shmq_topic_attrs a = small();
    alive();
    world_restore(w);
    (void)shmq_topic_unlink(w->ns, MADE, SHMQ_UNLINK_FORCE);
    if (begin_with)
        put_back(w, begin_with);
    else if (page->config.op->arg != 0 &&
        shmq_topic_create(w->ns, MADE, &a) != SHMQ_OK)
        broken("create: %s", shmq_error_text());
}

/* A removal that somebody has begun: the topic is gone, its files are not.
 * Finishing it may count as removing it. */
static bool half_removed(void)
{
    return page->config.op->arg != 0 && begin_with && !begin_with->exists &&
        (begin_with->there[0] || begin_with->there[1]);
}

/* What the operation gives where it begins, and how often that appears. */
static bool result_is_right(uint32_t flips)
{
    bool removes = page->config.op->arg != 0;
    bool there = begin_with ? begin_with->exists : removes;
    int want = removes == there ? SHMQ_OK
        : removes               ? SHMQ_ERR_NOENT
                                : SHMQ_ERR_EXISTS;
    if (removes && want != SHMQ_OK && leftovers(scene.world->ns) != 0)
        broken("%u files are left (I9)", leftovers(scene.world->ns));
    if (half_removed())
        return (page->rc == want || page->rc == SHMQ_OK) && flips == 0;
    return page->rc == want && flips == (want == SHMQ_OK ? 1 : 0);
}

static void step_all(struct world *w, struct tracer *t, struct trace *trace)
{
    static struct run r;
    memset(&r, 0, sizeof r);
    r.w = w;
    r.trace = trace;
    trace->cnt = 0;
    prepare(w);
    if (tracer_begin(t) && tracer_step(t, visit, &r)) {
        if (!result_is_right(r.flips))
            broken("%s: its effect appears at %u instructions",
                shmq_err_name(page->rc), r.flips);
        else if (!recovering())
            atomic_fetch_add(&totals->flips, 1);
    }
    (void)tracer_run_to(t, PHASE_IDLE);
}

/* -- held, killed
 * ---------------------------------------------------------------- */

/* Opening is never held up; making and removing wait for the namespace's lock
 * and then say BUSY. */
static void hold(
    struct world *w, struct tracer *t, const struct trace *trace, uint32_t i)
{
    struct shmq_topic *topic = NULL;
    struct shmq_topic_attrs a = small();
    prepare(w);
    if (!tracer_begin(t) ||
        !tracer_goto(t, trace->at[i].rip, trace->at[i].times)) {
        atomic_fetch_add(&totals->missed, 1);
        (void)tracer_run_to(t, PHASE_IDLE);
        return;
    }
    mark(HELD, trace->at[i].rip);
    uint64_t start = real_ns();
    int rc = shmq_topic_open(w->ns, MADE, &topic);
    span_note(&totals->waits, real_ns() - start);
    if ((rc == SHMQ_OK) != (trace->at[i].verdict != 0))
        broken("open beside a stopped victim: %s (I6)", shmq_err_name(rc));
    shmq_topic_close(topic);
    rc = page->config.op->arg ? shmq_topic_unlink(w->ns, MADE, 0)
                              : shmq_topic_create(w->ns, MADE, &a);
    bool did = rc == SHMQ_OK;
    if (!did && rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_EXISTS &&
        rc != SHMQ_ERR_NOENT)
        broken("another: %s (I6)", shmq_error_text());
    (void)tracer_run_to(t, PHASE_IDLE);
    /* Exactly one of the two has done it, if it was to be done. */
    bool removes = page->config.op->arg != 0;
    bool to_do = !begin_with || begin_with->exists == removes;
    if (!half_removed() &&
        (to_do ? (page->rc == SHMQ_OK) == did : page->rc == SHMQ_OK || did))
        broken("both, or none: %s (I8)", shmq_err_name(page->rc));
    if (judge_files(w->ns) == (page->config.op->arg != 0))
        broken("afterwards the topic is %s there",
            page->config.op->arg ? "still" : "not");
    atomic_fetch_add(
        recovering() ? &totals->reap_resumes : &totals->resumes, 1);
}

static void kill_one(struct world *w, const struct trace *trace, uint32_t i)
{
    struct tracer t = {0, true};
    prepare(w);
    tracer_start(&t);
    bool met = tracer_begin(&t) &&
        tracer_goto(&t, trace->at[i].rip, trace->at[i].times);
    tracer_stop(&t);
    if (!met) {
        atomic_fetch_add(&totals->missed, 1);
        return;
    }
    mark(KILLED, trace->at[i].rip);
    if (judge_files(w->ns) != (trace->at[i].verdict != 0))
        broken("killed for real it left something else than stopped");
    atomic_fetch_add(recovering() ? &totals->reap_kills : &totals->kills, 1);
}

static void all_modes(struct world *w, struct tracer *t, struct trace *trace,
    const char *modes, uint32_t resumes, uint32_t kills)
{
    bool again = recovering();
    scene.mode = again ? "RS" : "S";
    step_all(w, t, trace);
    scene.mode = again ? "RZ" : "Z";
    for (uint32_t k = 0; strchr(modes, 'Z') && k < resumes && trace->cnt; k++) {
        uint32_t i = point_of(trace, k, resumes, HELD);
        scene.rip = trace->at[i].rip;
        scene.nth = trace->at[i].nth;
        hold(w, t, trace, i);
    }
    scene.mode = again ? "RK" : "K";
    for (uint32_t k = 0; strchr(modes, 'K') && k < kills && trace->cnt; k++) {
        uint32_t i = point_of(trace, k, kills, KILLED);
        scene.rip = trace->at[i].rip;
        scene.nth = trace->at[i].nth;
        kill_one(w, trace, i);
    }
}

/* Making and removing, and then both of them on what each of their instructions
 * leaves. */
void mode_f(struct world *w, struct tracer *t, struct trace *trace,
    const char *modes, uint32_t resumes, uint32_t kills)
{
    static const char *const recoveries[] = {"topic create", "topic unlink"};
    left_cnt = 0;
    begin_with = NULL;
    scene.mode = "S";
    all_modes(w, t, trace, modes, resumes, kills);
    for (uint32_t k = 0; strchr(modes, 'R') && k < 2 * left_cnt; k++) {
        begin_with = &left[k / 2];
        w->config.op = op_find(recoveries[k % 2]);
        page->config = w->config;
        atomic_fetch_add(&totals->states, k % 2 == 0);
        scene.mode = "R";
        all_modes(w, t, trace, modes, resumes / 4, kills / 4);
    }
    begin_with = NULL;
    (void)shmq_topic_unlink(w->ns, MADE, SHMQ_UNLINK_FORCE);
}
