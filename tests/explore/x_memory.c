/* x_memory.c - shared memory as C11 sees it.
 *
 * Every 8-byte word has its last few stores. A load may return each of them
 * that is not hidden from its thread: going back from the newest, the first
 * store hides all older ones that
 *   - somebody had stored or loaded at a moment that happens before the load
 *     (coherence), or
 *   - for a seq_cst load: is seq_cst itself, or precedes a seq_cst fence of
 *     its thread, or
 *   - is seq_cst and precedes the last seq_cst fence of the loading thread, or
 *   - is older than the last sleep of the loading thread that ended by time:
 *     stores become visible within less than that.
 * Happens-before is kept in vector clocks: a release store carries its
 * thread's clock, a relaxed one that of the last release fence, a
 * read-modify-write also what it replaced (release sequence); an acquire load
 * takes the clock over, a relaxed one keeps it for the next acquire fence.
 * seq_cst fences exchange clocks through a common one.
 *
 * What is left out: stores take effect in the order in which they are executed
 * (no store is put before an older one of the same word), loads never return
 * later stores, and a strong compare-and-swap looks at the newest value.
 *
 * Plain bytes of frames are treated like relaxed accesses of their words. What
 * was handed out as stable is read by x_read(), where any choice is an error.
 *
 * The library's pointers lead into address space without access rights, so an
 * access that bypasses the hooks is a fault, not an oversight. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "explore.h"

#define HISTORY 8u

struct store {
    uint64_t value;
    x_vc released; /* what an acquire load of it learns */
    x_vc seen; /* since when each thread knows it; 0xffff: not */
    uint32_t sc; /* number in the order of seq_cst stores, 0: none */
    uint32_t number; /* in the order of all stores */
};

struct place {
    uint32_t run;
    uint32_t top; /* newest; stores[top % HISTORY] */
    x_vc looked; /* last x_read() of each thread */
    struct store stores[HISTORY];
};

static uint8_t *base;
static uint64_t words;
static struct place *places;
static uint64_t *initial;
static x_vc fences; /* what seq_cst fences know */

static const x_vc nobody = {
    0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff};

/* -- clocks -----------------------------------------------------------------
 */

static inline x_vc join(x_vc a, x_vc b)
{
    x_vc more = (x_vc)(a > b);
    return (a & more) | (b & ~more);
}

static inline bool any(x_vc mask)
{
    union {
        x_vc v;
        uint64_t u[2];
    } m = {mask};
    return (m.u[0] | m.u[1]) != 0;
}

/* One more event of this thread. */
static inline uint16_t tick(struct x_thread *t)
{
    uint16_t now = (uint16_t)(t->vc[t->who] + 1);
    if (now == 0xfffe && x_fetching)
        return now; /* there only bytes and bounds count */
    if (now == 0xfffe)
        x_fail("a thread makes more than 65,000 accesses");
    t->vc[t->who] = now;
    return now;
}

static bool is_acquire(int order)
{
    return order != memory_order_relaxed && order != memory_order_release;
}

static bool is_release(int order)
{
    return order == memory_order_release || order >= memory_order_acq_rel;
}

/* -- edges ------------------------------------------------------------------
 */

static char weak_id[8];
static int weak_order;

bool x_weaken(const char *id, int order)
{
    if (strlen(id) >= sizeof weak_id)
        return false;
    (void)strcpy(weak_id, id);
    weak_order = order;
    return true;
}

#define EDGES_MAX 512u
static const char *edges_seen[EDGES_MAX];
uint32_t x_edge_cnt;

static void note_edge(const char *edge)
{
    for (uint32_t i = 0; i < x_edge_cnt; i++)
        if (edges_seen[i] == edge || strcmp(edges_seen[i], edge) == 0)
            return;
    if (x_edge_cnt < EDGES_MAX)
        edges_seen[x_edge_cnt++] = edge;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

uint32_t x_edges_seen(bool print)
{
    qsort(edges_seen, x_edge_cnt, sizeof *edges_seen, by_text);
    for (uint32_t i = 0; print && i < x_edge_cnt; i++)
        printf("%s%s", edges_seen[i], i + 1 < x_edge_cnt ? " " : "\n");
    return x_edge_cnt;
}

static inline int order_of(const char *edge, int order)
{
    if (__builtin_expect((x_run.number & 127) == 1, 0))
        note_edge(edge);
    if (__builtin_expect(weak_id[0] != 0, 0) && strcmp(edge, weak_id) == 0)
        return weak_order;
    return order;
}

/* -- places -----------------------------------------------------------------
 */

bool x_is_shared(const void *p)
{
    return (uint64_t)((const uint8_t *)p - base) < words * 8;
}

uint64_t x_memory_off(const void *p)
{
    return (uint64_t)((const uint8_t *)p - base);
}

uint64_t x_memory_bytes(void)
{
    return words * 8;
}

void *x_memory_at(uint64_t at)
{
    return base + at;
}

static __attribute__((noinline)) void enter(struct place *at, uint64_t i)
{
    const x_vc none = {0};
    at->run = x_run.number;
    at->top = 0;
    at->looked = none;
    at->stores[0].value = initial[i];
    at->stores[0].released = none;
    at->stores[0].seen = none;
    at->stores[0].sc = 0;
    at->stores[0].number = 0;
}

static inline struct place *place_of(const void *p)
{
    uint64_t i = x_memory_off(p) >> 3;
    if (__builtin_expect(i >= words || ((uintptr_t)p & 7), 0))
        x_danger("access outside the topic's files: %p", p);
    struct place *at = &places[i];
    if (__builtin_expect(at->run != x_run.number, 0))
        enter(at, i);
    return at;
}

uint64_t x_memory_newest(const void *word)
{
    if (x_run.direct)
        return initial[x_memory_off(word) >> 3];
    struct place *at = place_of(word);
    return at->stores[at->top % HISTORY].value;
}

static inline struct store *push(
    struct place *at, struct x_thread *t, uint64_t value, bool release, bool sc)
{
    struct store *s = &at->stores[++at->top % HISTORY];
    s->value = value;
    s->seen = nobody;
    s->seen[t->who] = tick(t);
    s->released = release ? t->vc : t->released;
    s->sc = sc ? ++x_run.sc : 0;
    s->number = ++x_run.pushed;
    return s;
}

/* How many of the newest stores `t` may load. */
static inline uint32_t choices(
    const struct place *at, const struct x_thread *t, bool sc)
{
    x_vc known = sc ? join(t->vc, fences) : t->vc;
    uint32_t most = at->top < HISTORY - 1 ? at->top + 1 : HISTORY;
    for (uint32_t n = 0; n + 1 < most; n++) {
        const struct store *s = &at->stores[(at->top - n) % HISTORY];
        if (any((x_vc)(s->seen <= known)) ||
            (s->sc && (sc || s->sc <= t->fence)) || s->number <= t->settled)
            return n + 1;
    }
    return most;
}

static inline uint32_t choose(uint32_t of)
{
    if (of < 2 || !x_run.running)
        return 0;
    uint64_t r = x_random();
    if ((r & 255) >= x_run.stale)
        return 0;
    return (uint32_t)((r >> 8) % of);
}

static inline uint64_t load(
    const char *edge, const void *p, struct x_thread *t, int order)
{
    struct place *at = place_of(p);
    bool sc = order == memory_order_seq_cst;
    uint32_t of = choices(at, t, sc), old = choose(of);
    struct store *s = &at->stores[(at->top - old) % HISTORY];
    uint16_t now = tick(t);
    if (now < s->seen[t->who])
        s->seen[t->who] = now;
    if (is_acquire(order))
        t->vc = join(t->vc, s->released);
    else
        t->acquired = join(t->acquired, s->released);
    x_run.hash = (x_run.hash ^ s->value ^ t->who) * 0x9e3779b97f4a7c15ull;
    if (__builtin_expect(x_tracing, 0))
        x_trace("load", edge, p, s->value, old, of);
    if (__builtin_expect(x_fetching, 0))
        return x_fetch(edge, p, s->value);
    return s->value;
}

/* -- the hooks ---------------------------------------------------------------
 */

static uint64_t hook_load(
    const char *edge, const void *word, uint32_t bytes, int order)
{
    uint64_t v;
    if (x_run.direct)
        v = initial[x_memory_off(word) >> 3];
    else {
        x_step();
        v = load(edge, word, x_me, order_of(edge, order));
    }
    return bytes == 4 ? (uint32_t)v : v;
}

static void hook_store(
    const char *edge, void *word, uint32_t bytes, uint64_t value, int order)
{
    (void)bytes;
    if (x_run.direct) {
        initial[x_memory_off(word) >> 3] = value;
        return;
    }
    x_step();
    order = order_of(edge, order);
    struct place *at = place_of(word);
    uint64_t old = at->stores[at->top % HISTORY].value;
    x_rules_store(word, old, value);
    (void)push(
        at, x_me, value, is_release(order), order == memory_order_seq_cst);
    x_run.hash = (x_run.hash ^ value ^ x_me->who) * 0xff51afd7ed558ccdull;
    if (__builtin_expect(x_tracing, 0))
        x_trace("store", edge, word, value, 0, 1);
}

/* A read-modify-write of the newest store by `value`. */
static void replace(struct place *at, uint64_t value, int order)
{
    struct x_thread *t = x_me;
    struct store *was = &at->stores[at->top % HISTORY];
    x_vc carried = was->released;
    if (is_acquire(order))
        t->vc = join(t->vc, carried);
    else
        t->acquired = join(t->acquired, carried);
    struct store *s =
        push(at, t, value, is_release(order), order == memory_order_seq_cst);
    s->released = join(s->released, carried);
    x_run.hash = (x_run.hash ^ value ^ t->who) * 0xc4ceb9fe1a85ec53ull;
}

static bool hook_cas(const char *edge, void *word, uint64_t expected,
    uint64_t desired, int order)
{
    if (x_run.direct) {
        uint64_t *w = &initial[x_memory_off(word) >> 3];
        bool same = *w == expected;
        if (same)
            *w = desired;
        return same;
    }
    x_step();
    order = order_of(edge, order);
    struct place *at = place_of(word);
    struct store *newest = &at->stores[at->top % HISTORY];
    if (newest->value != expected) {
        uint16_t now = tick(x_me);
        if (now < newest->seen[x_me->who])
            newest->seen[x_me->who] = now;
        x_me->acquired = join(x_me->acquired, newest->released);
        x_run.hash = (x_run.hash ^ x_me->who) * 0x9e3779b97f4a7c15ull;
        if (__builtin_expect(x_tracing, 0))
            x_trace("cas lost", edge, word, newest->value, 0, 1);
        return false;
    }
    x_rules_store(word, expected, desired);
    replace(at, desired, order);
    if (__builtin_expect(x_tracing, 0))
        x_trace("cas", edge, word, desired, 0, 1);
    return true;
}

static uint64_t after(enum shmqi_rmw op, uint64_t old, uint64_t v)
{
    switch (op) {
    case SHMQI_RMW_ADD:
        return old + v;
    case SHMQI_RMW_OR:
        return old | v;
    case SHMQI_RMW_AND:
        return old & v;
    default:
        return v;
    }
}

static uint64_t hook_rmw(const char *edge, void *word, uint32_t bytes,
    enum shmqi_rmw op, uint64_t value, int order)
{
    uint64_t mask = bytes == 4 ? UINT32_MAX : UINT64_MAX;
    if (x_run.direct) {
        uint64_t *w = &initial[x_memory_off(word) >> 3], old = *w;
        *w = after(op, old, value) & mask;
        return old;
    }
    x_step();
    order = order_of(edge, order);
    struct place *at = place_of(word);
    uint64_t old = at->stores[at->top % HISTORY].value;
    uint64_t up = after(op, old, value) & mask;
    x_rules_store(word, old, up);
    replace(at, up, order);
    if (__builtin_expect(x_tracing, 0))
        x_trace("rmw", edge, word, up, 0, 1);
    return old;
}

static void fence_by(struct x_thread *t, int order)
{
    if (is_acquire(order))
        t->vc = join(t->vc, t->acquired);
    if (order == memory_order_seq_cst) {
        t->vc = join(t->vc, fences);
        fences = t->vc;
        t->fence = ++x_run.sc;
    }
    if (is_release(order))
        t->released = t->vc;
}

static void hook_fence(const char *edge, int order)
{
    if (x_run.direct)
        return;
    x_step();
    order = order_of(edge, order);
    if (order != memory_order_relaxed)
        fence_by(x_me, order);
    if (__builtin_expect(x_tracing, 0))
        x_trace("fence", edge, NULL, 0, 0, 1);
}

void x_memory_barrier_all(void)
{
    for (uint32_t i = 0; i < X_THREADS; i++)
        if (x_threads[i].state != X_UNUSED)
            fence_by(&x_threads[i], memory_order_seq_cst);
    fence_by(x_me, memory_order_seq_cst);
}

/* -- plain bytes --------------------------------------------------------------
 */

/* Bytes [off, off + cnt) of a word that lie in [from, from + n). */
static uint64_t part(
    uintptr_t word, uintptr_t from, uint64_t n, uint64_t *ret_off)
{
    uintptr_t lo = word < from ? from : word;
    uintptr_t hi = word + 8 > from + n ? from + n : word + 8;
    *ret_off = lo - word;
    return hi - lo;
}

static void hook_get(void *to, const void *from, uint64_t bytes)
{
    if (!x_is_shared(from)) {
        memcpy(to, from, bytes);
        return;
    }
    uintptr_t f = (uintptr_t)from;
    if (x_run.direct) {
        memcpy(to, (const uint8_t *)initial + x_memory_off(from), bytes);
        return;
    }
    if (__builtin_expect(x_fetching, 0))
        x_fetch_range(to, bytes);
    /* Others may go on in between: before it, and at one of its words. */
    uint64_t stop = x_run.running ? x_below(bytes / 8 + 1) : 0, i = 0;
    x_step();
    for (uintptr_t w = f & ~(uintptr_t)7; w < f + bytes; w += 8, i++) {
        uint64_t off, cnt = part(w, f, bytes, &off), v;
        if (i == stop && i)
            x_step();
        v = load("get", (const void *)w, x_me, memory_order_relaxed);
        memcpy((uint8_t *)to + (w + off - f), (const uint8_t *)&v + off, cnt);
    }
}

static void unordered(const char *what, const void *p)
{
    char name[64];
    x_name(name, sizeof name, p);
    x_fail("%s at %s", what, name);
}

static void put_word(void *p, uint64_t value)
{
    struct x_thread *t = x_me;
    struct place *at = place_of(p);
    if (any((x_vc)(at->looked > t->vc)))
        unordered("bytes are overwritten while somebody looks at them", p);
    if (!any((x_vc)(at->stores[at->top % HISTORY].seen <= t->vc)))
        unordered("two unordered writes of plain bytes", p);
    (void)push(at, t, value, false, false);
    if (__builtin_expect(x_tracing, 0))
        x_trace("put", "", p, value, 0, 1);
}

static void hook_put(void *to, const void *from, uint64_t bytes)
{
    if (!x_is_shared(to)) {
        memcpy(to, from, bytes);
        return;
    }
    uintptr_t t = (uintptr_t)to;
    if (x_run.direct) {
        memcpy((uint8_t *)initial + x_memory_off(to), from, bytes);
        return;
    }
    uint64_t stop = x_run.running ? x_below(bytes / 8 + 1) : 0, i = 0;
    x_step();
    for (uintptr_t w = t & ~(uintptr_t)7; w < t + bytes; w += 8, i++) {
        uint64_t off, cnt = part(w, t, bytes, &off), v;
        if (i == stop && i)
            x_step();
        v = cnt == 8 ? 0 : x_memory_newest((void *)w);
        memcpy((uint8_t *)&v + off, (const uint8_t *)from + (w + off - t), cnt);
        put_word((void *)w, v);
    }
}

void x_read(void *to, const void *from, uint64_t bytes)
{
    if (!x_is_shared(from)) {
        memcpy(to, from, bytes);
        return;
    }
    uintptr_t f = (uintptr_t)from;
    for (uintptr_t w = f & ~(uintptr_t)7; w < f + bytes; w += 8) {
        struct place *at = place_of((const void *)w);
        uint64_t off, cnt = part(w, f, bytes, &off);
        uint64_t v = at->stores[at->top % HISTORY].value;
        if (x_run.running && choices(at, x_me, false) != 1)
            unordered("a record is looked at before it is known", (void *)w);
        at->looked[x_me->who] = tick(x_me);
        memcpy((uint8_t *)to + (w + off - f), (const uint8_t *)&v + off, cnt);
    }
}

const struct shmqi_hooks x_hooks = {
    hook_load, hook_store, hook_cas, hook_rmw, hook_fence, hook_get, hook_put};

/* -- life ----------------------------------------------------------------- */

void x_memory_init(uint64_t bytes)
{
    words = bytes / 8;
    base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    places = aligned_alloc(64, (words * sizeof *places + 63) & ~63ull);
    initial = calloc(words, 8);
    if (base == MAP_FAILED || !places || !initial)
        abort();
    memset(places, 0, words * sizeof *places);
}

void x_memory_load_file(uint64_t at, int fd, uint64_t bytes)
{
    if (pread(fd, (uint8_t *)initial + at, bytes, 0) < 0)
        abort();
}

void x_memory_begin(void)
{
    const x_vc none = {0};
    fences = none;
    for (uint32_t i = 0; i < X_THREADS; i++) {
        struct x_thread *t = &x_threads[i];
        t->vc = t->acquired = t->released = none;
        t->vc[i] = 1;
        t->fence = t->settled = 0;
    }
}

/* What `from` did happened before what `t` does from now on. */
void x_memory_join(struct x_thread *t, const struct x_thread *from)
{
    t->vc = join(t->vc, from->vc);
}
