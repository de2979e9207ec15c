/* scribble_hooks.c - the scribbler itself; see scribble.h. */
#include "scribble.h"

#include <execinfo.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "support/support.h"

#define OLD_CNT 256u
#define SEEN_CNT (1u << 14)

struct area {
    uint8_t *at;
    size_t bytes;
};

static struct area data, control;
static struct area marks, marks_read; /* one file, two mappings */
static struct scribble_plan plan;
static uint64_t chance;
static bool active;
static uint64_t old_values[OLD_CNT]; /* seen in the files earlier */
static uint64_t cnt, again_cnt, old_idx;
/* Words looked at in this call: address, and the call. */
static struct {
    const void *word;
    uint64_t call;
} seen[SEEN_CNT];
static uint64_t call_no, steps, steps_max;
static const char *call_name = "", *steps_max_name = "";

static bool inside(const struct area *a, const void *p, size_t bytes)
{
    const uint8_t *at = p;
    return a->at && at >= a->at && at + bytes <= a->at + a->bytes;
}

static bool may_write(const void *p, size_t bytes)
{
    return (plan.data && inside(&data, p, bytes)) ||
        (plan.control && inside(&control, p, bytes)) ||
        (plan.marks &&
            (inside(&marks, p, bytes) || inside(&marks_read, p, bytes)));
}

/* Where `p` can be written. */
static uint8_t *writable(const void *p)
{
    const uint8_t *at = p;
    uint8_t *word;
    if (inside(&marks_read, p, 1))
        return marks.at + (at - marks_read.at);
    memcpy(&word, &p, sizeof word); /* ours to write */
    return word;
}

static bool one_in(uint64_t n)
{
    return n != 0 && t_below(&chance, n) == 0;
}

static uint64_t load8(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Any 8-aligned word of the files that may be written; mostly of those that
 * are no payload. */
static uint8_t *any_word(void)
{
    const struct area *a =
        plan.data && (!plan.control || one_in(2)) ? &data : &control;
    if (plan.marks && one_in(4))
        a = &marks;
    uint64_t words = a->bytes / 8, low = words < 4096 ? words : 4096;
    return a->at + 8 * t_below(&chance, one_in(4) ? words : low);
}

/* What a hostile peer would write in place of `was`. */
static uint64_t evil(uint64_t was)
{
    uint64_t r = t_random(&chance);
    switch (t_below(&chance, 18)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return INT64_MAX;
    case 3:
        return 1ull << 63;
    case 4:
        return was + 1;
    case 5:
        return was - 1;
    case 6:
        return r;
    case 7: /* replayed */
        return old_values[r % OLD_CNT];
    case 8: /* looks like an address; not a real one, so that seeds replay */
        return 0x7ffff0000000ull + (r & 0xffffff8);
    case 9: /* of another field */
        return load8(any_word());
    case 10:
        return r % 64;
    case 11: /* one bit */
        return was ^ 1ull << (r & 63);
    case 12:
        return (was & 0xffffffff) | r << 32;
    case 13:
        return (was & ~0xffffffffull) | (uint32_t)r;
    case 14:
        return was | 0xffffffffull << (r & 31);
    case 15: /* one byte */
        return was ^ (r & 0xff) << (8 * (r >> 8 & 7));
    case 16:
        return was + (r % 4096) - 2048;
    default:
        return 1ull << (r & 63);
    }
}

static void write_evil(uint8_t *word, size_t bytes)
{
    uint64_t was = 0, now;
    memcpy(&was, word, bytes);
    now = evil(was);
    old_values[old_idx++ % OLD_CNT] = was;
    memcpy(word, &now, bytes);
    cnt++;
}

static bool seen_before(const void *word)
{
    const uint8_t *at = word;
    size_t off = inside(&data, word, 1) ? (size_t)(at - data.at)
        : inside(&control, word, 1)
        ? (size_t)(at - control.at) + (1u << 30)
        : (size_t)(writable(word) - marks.at) + (2u << 30);
    size_t i = (off >> 3) * 0x9e3779b97f4a7c15ull >> 50;
    bool was = seen[i].word == word && seen[i].call == call_no;
    seen[i].word = word;
    seen[i].call = call_no;
    return was;
}

/* Says where, which the seed alone does not. */
static void lost(const char *text)
{
    void *stack[64];
    backtrace_symbols_fd(stack, backtrace(stack, 64), STDERR_FILENO);
    T_FAIL(text);
}

/* Before the library touches [p, p + bytes), bytes <= 8. */
static void before(const void *p, size_t bytes, bool aligned)
{
    if (++steps > SCRIBBLE_STEPS_LIMIT)
        lost("a call does not end");
    /* Commit words are found by position: one of them must not reach over the
     * end of the file. */
    if (bytes == 8 && aligned && (uintptr_t)p & 7)
        lost("a word is looked at that is not aligned");
    if (!active)
        return;
    uint8_t *word = writable(p);
    if (may_write(p, bytes)) {
        bool second = seen_before(p) && one_in(plan.again);
        if (second)
            again_cnt++;
        if (second || one_in(plan.aimed))
            write_evil(word, bytes);
    }
    if (one_in(plan.stray))
        write_evil(any_word(), 8);
}

/* -- the hooks --------------------------------------------------------------*/

typedef _Atomic uint64_t word64;
typedef _Atomic uint32_t word32;

static uint64_t on_load(
    const char *edge, const void *word, uint32_t bytes, int order)
{
    (void)edge;
    (void)order;
    before(word, bytes, true);
    return bytes == 4 ? atomic_load((const word32 *)word)
                      : atomic_load((const word64 *)word);
}

static void on_store(
    const char *edge, void *word, uint32_t bytes, uint64_t value, int order)
{
    (void)edge;
    (void)order;
    before(word, bytes, true);
    if (bytes == 4)
        atomic_store((word32 *)word, (uint32_t)value);
    else
        atomic_store((word64 *)word, value);
}

static bool on_cas(const char *edge, void *word, uint64_t expected,
    uint64_t desired, int order)
{
    (void)edge;
    (void)order;
    before(word, 8, true);
    return atomic_compare_exchange_strong((word64 *)word, &expected, desired);
}

static uint64_t on_rmw(const char *edge, void *word, uint32_t bytes,
    enum shmqi_rmw op, uint64_t value, int order)
{
    (void)edge;
    (void)order;
    before(word, bytes, true);
    if (bytes == 4)
        return atomic_fetch_add((word32 *)word, (uint32_t)value);
    word64 *w = word;
    switch (op) {
    case SHMQI_RMW_ADD:
        return atomic_fetch_add(w, value);
    case SHMQI_RMW_OR:
        return atomic_fetch_or(w, value);
    case SHMQI_RMW_AND:
        return atomic_fetch_and(w, value);
    default:
        return atomic_exchange(w, value);
    }
}

static void on_fence(const char *edge, int order)
{
    (void)edge;
    (void)order;
}

/* Bytes that the library reads may change before, and while they are read. */
static void on_get(void *to, const void *from, uint64_t bytes)
{
    uint64_t done = 0;
    for (; active && done < bytes && done < 64; done += 8) {
        size_t n = bytes - done < 8 ? bytes - done : 8;
        before((const uint8_t *)from + done, n, false);
        memcpy((uint8_t *)to + done, (const uint8_t *)from + done, n);
    }
    if (done < bytes)
        memcpy(
            (uint8_t *)to + done, (const uint8_t *)from + done, bytes - done);
}

static void on_put(void *to, const void *from, uint64_t bytes)
{
    if (active && one_in(plan.stray))
        write_evil(any_word(), 8);
    if (bytes)
        memcpy(to, from, bytes);
}

static const struct shmqi_hooks hooks = {
    on_load, on_store, on_cas, on_rmw, on_fence, on_get, on_put};

/* -- control ----------------------------------------------------------------*/

void scribble_aim(
    void *data_at, size_t data_bytes, void *control_at, size_t control_bytes)
{
    data.at = data_at;
    data.bytes = data_bytes;
    control.at = control_at;
    control.bytes = control_bytes;
    memset(&marks, 0, sizeof marks);
    memset(&marks_read, 0, sizeof marks_read);
    memset(seen, 0, sizeof seen);
    call_no = old_idx = 0;
    shmqi_hooks = &hooks;
}

void scribble_aim_marks(const void *readers, void *writer, size_t bytes)
{
    marks.at = writer;
    marks.bytes = marks_read.bytes = bytes;
    memcpy(&marks_read.at, &readers, sizeof readers);
}

void scribble_start(const struct scribble_plan *p, uint64_t seed)
{
    plan = *p;
    chance = seed;
    for (uint32_t i = 0; i < OLD_CNT; i++)
        old_values[i] = load8(any_word());
    active = true;
}

void scribble_stop(void)
{
    active = false;
}

void scribble_resume(void)
{
    active = true;
}

void scribble_call_begin(const char *what)
{
    call_name = what;
    call_no++;
    steps = 0;
    (void)alarm(30);
}

void scribble_call_end(void)
{
    if (steps > steps_max) {
        steps_max = steps;
        steps_max_name = call_name;
    }
    steps = 0;
}

uint64_t scribble_cnt(void)
{
    return cnt;
}

uint64_t scribble_again_cnt(void)
{
    return again_cnt;
}

uint64_t scribble_steps_max(void)
{
    return steps_max;
}

const char *scribble_steps_max_call(void)
{
    return steps_max_name;
}

const char *scribble_call(void)
{
    return call_name;
}
