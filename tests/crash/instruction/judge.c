/* judge.c - recovers a topic of which everybody is dead, drains it, and says
 * what it found. Everything goes through the public API, but for the look at
 * the words themselves before and afterwards. */
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "proof.h"
#include "words.h"

#define DEAD (1ull << 40) /* no process ever had this start time */
#define PATIENCE_NS 11000000u /* for entries in the making */
#define SAY_MAX 40u
#define SAY_SAME 2u

struct scene scene;

/* -- reporting
 * ------------------------------------------------------------------- */

static void say_where(uint64_t rip)
{
    extern char __executable_start;
    char command[512], exe[256];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (rip == 0 || n <= 0)
        return;
    exe[n] = '\0';
    (void)snprintf(command, sizeof command,
        "addr2line -i -f -e '%s' %" PRIx64 " 2>/dev/null | paste -sd' '", exe,
        rip - (uint64_t)&__executable_start);
    (void)fflush(stdout);
    FILE *pipe = popen(command, "r");
    char line[400] = "";
    if (pipe && fgets(line, sizeof line, pipe))
        (void)printf("    at %s", line);
    if (pipe)
        (void)pclose(pipe);
}

uint32_t mode_of(const char *mode)
{
    const char *at = mode ? strchr(MODES, mode[0]) : NULL;
    return at ? (uint32_t)(at - MODES) : 0;
}

void config_text(const struct config *c, char ret[200])
{
    (void)snprintf(ret, 200, "%s, %s, %s, %s, origin %s%s", c->first->name,
        c->ring == SHMQ_RING_SPSC ? "spsc" : "mpmc", fill_names[c->fill],
        warm_names[c->warm], origin_names[c->origin],
        c->own ? ", filled by the victim" : "");
}

/* The same thing of the same operation is told twice at most. */
static bool told_before(const char *format)
{
    static struct {
        const char *format, *mode;
        const struct op *op;
        uint32_t times;
    } told[SAY_MAX];
    for (uint32_t i = 0; i < SAY_MAX; i++) {
        if (!told[i].format) {
            told[i].format = format;
            told[i].mode = scene.mode;
            told[i].op = page->config.op;
        }
        if (told[i].format == format && told[i].mode == scene.mode &&
            told[i].op == page->config.op)
            return ++told[i].times > SAY_SAME;
    }
    return true;
}

void broken(const char *format, ...)
{
    va_list args;
    char text[200] = "-";
    const struct config *c = &page->config;
    (void)atomic_fetch_add(&totals->broken, 1);
    (void)atomic_fetch_add(&totals->broken_in[mode_of(scene.mode)], 1);
    if (told_before(format))
        return;
    if (c->op)
        config_text(c, text);
    (void)printf("BROKEN (%s) %s%s%s, point %u: ",
        scene.mode ? scene.mode : "-", text, c->op != c->first ? "; then " : "",
        c->op != c->first ? c->op->name : "", scene.nth);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
    say_where(scene.rip);
    (void)fflush(stdout);
}

uint64_t verdict_hash(const struct verdict *v)
{
    const uint8_t *bytes = (const uint8_t *)v;
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < sizeof *v; i++)
        h = (h ^ bytes[i]) * 0x100000001b3ull;
    return h;
}

/* -- the copy
 * ---------------------------------------------------------------------- */

/* Nobody holds a liveness lock on the copy's files, and no process has the
 * start times that stand in it: the proof of death is complete. */
void judge_copy(struct world *w)
{
    struct shmqi_ring *r = &w->copy.ring;
    if (w->config.first->flags & (OP_DEAD | OP_TTL_DEAD))
        (void)shmq_topic_unlink(w->copy_ns, DEAD_TOPIC, SHMQ_UNLINK_FORCE);
    disk_files_copy(&w->copy, &w->live);
    if (w->live_disk)
        disk_copy(w->copy_disk, w->live_disk);
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        shmqi_word *at = &r->endpoints[i].start_time;
        atomic_store_explicit(at, shm_word(at) | DEAD, memory_order_relaxed);
    }
}

static void check_words(struct shmqi_ring *r, uint32_t flags, const char *when)
{
    struct shm_report report = {0, ""};
    shm_check(r, flags, &report);
    if (report.broken)
        broken("%s: %s%s", when, report.first,
            report.broken > 1 ? ", and more" : "");
}

/* Claims of WORK that somebody holds. */
static uint32_t count_held(const struct shmqi_ring *r)
{
    uint32_t cnt = 0;
    uint32_t words =
        r->ring == SHMQ_RING_MPMC ? r->group_cnt << r->claim_lg2 : 0;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t state = shmqi_claim_unpack(shm_word(&r->claims[i])).state;
        uint64_t group = shm_word(&r->groups[i >> r->claim_lg2].word);
        cnt +=
            (state == SHMQI_CLAIM_CLAIMED || state == SHMQI_CLAIM_DEADLETTER) &&
            shmqi_gword_unpack(group).state == SHMQI_GROUP_READY;
    }
    return cnt;
}

static bool half_made(const struct shmqi_ring *r)
{
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if (shm_word(&r->endpoints[i].identity) & SHMQI_IDENTITY_INIT)
            return true;
    return false;
}

/* Attaches as a producer, which reaps; again when entries in the making have
 * to be given some time. */
static struct shmq_producer *recover(
    struct shmq_topic *topic, const struct shmqi_ring *r)
{
    struct shmq_producer *p = NULL;
    uint64_t start = real_ns();
    int rc = shmq_producer_open(topic, NULL, &p);
    span_note(&totals->reaps, real_ns() - start);
    if (rc == SHMQ_OK && half_made(r)) {
        shmq_producer_close(p);
        p = NULL;
        *the_clock += PATIENCE_NS;
        rc = shmq_producer_open(topic, NULL, &p);
    }
    if (rc != SHMQ_OK)
        broken("the next producer cannot open: %s (I6)", shmq_error_text());
    return p;
}

/* -- draining
 * ------------------------------------------------------------------------ */

static void take_all(struct world *w, struct shmq_consumer *c, enum group g,
    struct verdict *ret, struct tags *got)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < 4 * TAGS_MAX; i++) {
        struct shmq_message m;
        int rc = shmq_consumer_receive(c, &m);
        if (rc == SHMQ_ERR_EMPTY)
            return;
        if (rc == SHMQ_ERR_GAP && config_has(&w->config, OP_DROP_OLD))
            continue;
        if (rc != SHMQ_OK) {
            broken("draining %s: %s (I1)", group_names[g], shmq_err_name(rc));
            return;
        }
        uint32_t tag = tag_of(&w->config, &m);
        if (tag == 0)
            broken("a torn record in %s at %llu (I5)", group_names[g],
                (unsigned long long)m.position);
        if (got->cnt && m.position <= last)
            broken("%s is out of order (I4)", group_names[g]);
        if (g == WORK && w->config.ring == SHMQ_RING_MPMC && ret &&
            got->cnt < TAGS_MAX)
            ret->attempts[got->cnt] = m.attempt;
        last = m.position;
        tags_add(got, tag);
        rc = shmq_consumer_release(c, &m);
        if (rc != SHMQ_OK)
            broken("release in %s: %s", group_names[g], shmq_err_name(rc));
    }
    broken("%s never ends (I6)", group_names[g]);
}

static void drain(struct world *w, struct shmq_topic *topic, enum group g,
    struct verdict *ret, struct tags *got)
{
    int rc;
    struct shmq_consumer *c = world_reader(topic, g, &rc);
    if (rc == SHMQ_ERR_NOENT)
        return;
    if (rc != SHMQ_OK) {
        broken("cannot join %s: %s (I6)", group_names[g], shmq_error_text());
        return;
    }
    if (ret)
        ret->group[g] = true;
    take_all(w, c, g, ret, got);
    shmq_consumer_close(c);
}

/* Reaping again changes nothing: the words but for the endpoints' own, in which
 * each visitor leaves traces, stay as they are. */
static void again(struct shmq_topic *topic, const struct shm_files *f)
{
    size_t all = f->data_bytes + f->control_bytes;
    size_t from = (size_t)((uint8_t *)f->ring.endpoints - f->control);
    size_t to = (size_t)((uint8_t *)f->ring.names - f->control);
    struct shmq_consumer *c = NULL;
    uint8_t *was = malloc(all);
    if (!was)
        return;
    memcpy(was, f->data, f->data_bytes);
    memcpy(was + f->data_bytes, f->control, f->control_bytes);
    if (shmq_consumer_open(topic, NULL, &c) != SHMQ_OK)
        broken("a reader cannot open: %s (I6)", shmq_error_text());
    shmq_consumer_close(c);
    if (memcmp(was, f->data, f->data_bytes) != 0 ||
        memcmp(was + f->data_bytes, f->control, from) != 0 ||
        memcmp(was + f->data_bytes + to, f->control + to,
            f->control_bytes - to) != 0)
        broken("a second reaping changed something (I7)");
    free(was);
}

/* Whether a record stands in the dead-letter topic of a namespace. */
static bool buried_in(const struct world *w, const char *ns, uint32_t tag)
{
    struct shmq_consumer_options o;
    struct shmq_topic *topic = NULL;
    struct shmq_consumer *c = NULL;
    struct shmq_message m;
    bool found = false;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.start.kind = SHMQ_START_EARLIEST;
    if (shmq_topic_open(ns, DEAD_TOPIC, &topic) != SHMQ_OK)
        return false;
    if (shmq_consumer_open(topic, &o, &c) == SHMQ_OK)
        while (!found && shmq_consumer_receive(c, &m) == SHMQ_OK) {
            found = tag_of(&w->config, &m) == tag;
            (void)shmq_consumer_release(c, &m);
        }
    shmq_consumer_close(c);
    shmq_topic_close(topic);
    return found;
}

/* What is published comes to disk, where groups of a durable topic get it. */
static void serve(struct world *w, bool live)
{
    if (w->live_disk)
        disk_serve(live ? w->live_disk : w->copy_disk);
}

/* An empty ring takes as much as ever: nothing has leaked. */
static void probe(struct world *w, bool live, struct shmq_topic *topic,
    struct shmq_producer *p, const struct verdict *v)
{
    static uint8_t data[1u << 18];
    const struct shmqi_ring *r = &w->live.ring;
    struct tags got[GROUPS];
    uint64_t bytes = tag_bytes(&w->config, TAG_PROBE);
    uint32_t cnt = 0, want = 1u << r->cap_lg2;
    int rc = SHMQ_OK;
    if (r->ring == SHMQ_RING_SPSC)
        want = (uint32_t)(r->arena_bytes / (bytes + 32)) - 2;
    /* As many as must stay readable: all are. */
    bool drops = config_has(&w->config, OP_DROP_OLD);
    while (drops && cnt < want - (r->ring == SHMQ_RING_MPMC) && rc == SHMQ_OK) {
        fill_payload(data, bytes, TAG_PROBE + cnt);
        rc = shmq_producer_publish(p, data, bytes, NULL);
        cnt += rc == SHMQ_OK;
    }
    while (!drops && cnt <= TAGS_MAX && rc == SHMQ_OK) {
        fill_payload(data, bytes, TAG_PROBE + cnt);
        rc = shmq_producer_publish(p, data, bytes, NULL);
        cnt += rc == SHMQ_OK;
    }
    if (drops ? rc != SHMQ_OK
              : rc != SHMQ_ERR_FULL ||
                (r->ring == SHMQ_RING_MPMC && cnt != want) || cnt < want)
        broken("an empty ring took %u records of %u: %s (I9)", cnt, want,
            shmq_err_name(rc));
    serve(w, live);
    memset(got, 0, sizeof got);
    for (enum group g = AUDIT; g < GROUPS; g++) {
        drain(w, topic, g, NULL, &got[g]);
        for (uint32_t i = 0; v->group[g] && i < cnt; i++)
            if (got[g].cnt != cnt || got[g].tag[i] != TAG_PROBE + i) {
                broken("%s got %u of %u probes (I1, I4)", group_names[g],
                    got[g].cnt, cnt);
                break;
            }
    }
}

/* A group that nobody reads would fill the ring. */
static bool gates_alone(struct shmq_topic *topic)
{
    struct shmq_group_stat groups[8];
    uint32_t cnt = 0;
    return shmq_topic_groups(topic, groups, 8, &cnt) == SHMQ_OK && cnt > GROUPS;
}

static void forget_fresh(struct shmq_topic *topic)
{
    int rc = shmq_group_remove(topic, "fresh", 0);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_NOENT)
        broken("cannot remove group fresh: %s", shmq_error_text());
    if (gates_alone(topic))
        broken("a removed group is still there (I13)");
}

/* Inboxes of dead callers go with a sweep. */
static void no_inboxes(const struct world *w)
{
    char prefix[64];
    uint32_t left = 0;
    if (!config_has(&w->config, OP_INBOX))
        return;
    int rc = shmq_inbox_sweep(w->ns, 0, NULL);
    if (rc != SHMQ_OK)
        broken("inboxes cannot be swept: %s", shmq_error_text());
    int n = snprintf(prefix, sizeof prefix, "shmq.%s.", w->ns);
    DIR *dir = opendir("/dev/shm");
    for (struct dirent *e; dir && (e = readdir(dir));)
        left += strncmp(e->d_name, prefix, (size_t)n) == 0 &&
            strstr(e->d_name, "@inbox.") != NULL;
    if (dir)
        (void)closedir(dir);
    if (left)
        broken("%u files of dead callers' inboxes are left (I9)", left);
}

void judge(struct world *w, bool live, struct verdict *ret)
{
    struct shmqi_ring *r = live ? &w->live.ring : &w->copy.ring;
    struct shmq_topic *topic = live ? w->live_topic : w->copy_topic;
    alive();
    if (live) { /* who lives on would be right to hold what it has */
        world_no_prey();
        no_inboxes(w);
    }
    memset(ret, 0, sizeof *ret);
    ret->exists = true;
    atomic_fetch_add(&totals->judged, 1);
    check_words(r, 0, "as it was left");
    ret->held = count_held(r);
    struct shmq_producer *p = recover(topic, r);
    if (!p)
        return;
    check_words(r, SHM_SETTLED, "after the reaping");
    if (recovering())
        again(topic, live ? &w->live : &w->copy);
    serve(w, live);
    for (enum group g = AUDIT; g < GROUPS; g++)
        drain(w, topic, g, ret, &ret->got[g]);
    if (page->dead && !buried_in(w, w->ns, page->dead) &&
        (live || !buried_in(w, w->copy_ns, page->dead)))
        broken("a record with too many attempts is lost (I1)");
    forget_fresh(topic);
    if (w->hot == w->live.data_bytes)
        probe(w, live, topic, p, ret);
    shmq_producer_close(p);
    check_words(r, SHM_SETTLED | SHM_DESERTED, "when all had gone");
}
