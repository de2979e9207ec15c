/* x_fetch.c - the double-fetch proof: what if a word is another when it is
 * loaded a second time?
 *
 * Whoever checks a shared word and loads it again to use it has checked
 * nothing: a hostile peer changes it in between. In this mode the second and
 * every later load of a word within one library call returns, instead of what
 * is there, what an adversary would like: nothing, everything, one more, one
 * less, another word's value, chance. The library may answer with an error,
 * lose records or hand out nonsense; it must not touch memory that is none of
 * its own, hand such memory out, or run for ever.
 *
 * The kinds of second loads that occur are collected: word, edge of the first
 * and of this load. Each is listed, with the reason why it is harmless, in
 * double_fetch.tsv; one that is not listed is a failure. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define SET (1u << 16)

struct seen {
    uint32_t run, call;
    const char *edge;
};

bool x_fetching;

static struct x_fetches *told;
static struct seen *seen; /* by thread and word */
static uint64_t words;
static uint64_t known[SET]; /* hashes of {word, edges} that are counted */

void x_fetch_begin(uint64_t bytes, struct x_fetches *tell)
{
    words = bytes / 8;
    seen = calloc(words * X_THREADS, sizeof *seen);
    if (!seen)
        abort();
    told = tell;
    x_fetching = true;
}

static void add_kind(struct x_fetches *f, const struct x_kind *kind)
{
    for (uint32_t i = 0; i < f->kind_cnt; i++)
        if (strcmp(f->kinds[i].word, kind->word) == 0 &&
            strcmp(f->kinds[i].first, kind->first) == 0 &&
            strcmp(f->kinds[i].second, kind->second) == 0)
            return;
    if (f->kind_cnt < X_KINDS)
        f->kinds[f->kind_cnt++] = *kind;
}

void x_fetch_add(struct x_fetches *to, const struct x_fetches *from)
{
    to->calls += from->calls;
    to->second += from->second;
    to->hostile += from->hostile;
    for (uint32_t i = 0; i < from->kind_cnt; i++)
        add_kind(to, &from->kinds[i]);
}

/* Indices say nothing about a kind. */
static void name_of_kind(char ret[40], const void *p)
{
    char name[64];
    size_t n = 0;
    x_name(name, sizeof name, p);
    if (strncmp(name, "byte ", 5) == 0) {
        (void)strcpy(ret, "frame bytes");
        return;
    }
    for (const char *c = name; *c && n + 1 < 40; c++)
        if (!isdigit((unsigned char)*c))
            ret[n++] = *c;
    ret[n] = '\0';
}

static void note(const void *p, const char *first, const char *second)
{
    uint64_t key = (x_memory_off(p) * 0x9e3779b97f4a7c15ull) ^
        ((uintptr_t)first * 31 + (uintptr_t)second) * 0xff51afd7ed558ccdull;
    uint64_t *at = &known[(key >> 20) % SET];
    if (*at == key)
        return;
    *at = key;
    struct x_kind kind = {"", "", ""};
    name_of_kind(kind.word, p);
    (void)snprintf(kind.first, sizeof kind.first, "%s", first);
    (void)snprintf(kind.second, sizeof kind.second, "%s", second);
    add_kind(told, &kind);
}

static uint64_t hostile(uint64_t v)
{
    uint64_t r = x_random();
    switch (r & 15) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
    case 3:
        return v + 1;
    case 4:
        return v - 1;
    case 5:
        return v ^ 1ull << (r >> 8 & 63);
    case 6:
    case 7:
        return v + (r >> 8 & 0xffff);
    case 8:
        return INT64_MAX;
    case 9:
        return v << 32 | v >> 32;
    case 10: /* another length, the rest as it was */
        return (v & 0xffffffffull) | (r >> 32) << 32;
    case 11:
        return (v & ~0xffffffffull) | r >> 32;
    case 12:
        return (v & ~0xfffull) | (r >> 16 & 0xfff);
    default:
        return r;
    }
}

uint64_t x_fetch(const char *edge, const void *p, uint64_t v)
{
    struct seen *s = &seen[x_me->who * words + (x_memory_off(p) >> 3)];
    if (s->run != x_run.number || s->call != x_me->call) {
        s->run = x_run.number;
        s->call = x_me->call;
        s->edge = edge;
        return v;
    }
    told->second++;
    note(p, s->edge, edge);
    if (!x_run.running || (x_random() & 255) >= x_run.hostile)
        return v;
    told->hostile++;
    v = hostile(v);
    if (x_tracing)
        x_trace_note("second load of it: answered %#" PRIx64, v);
    return v;
}

/* A range that the library hands out or copies into lies in the topic's files,
 * or in one private block. */
void x_fetch_range(const void *p, uint64_t bytes)
{
    if (bytes == 0)
        return;
    if (x_is_shared(p) ? x_is_shared((const uint8_t *)p + bytes - 1)
                       : x_heap_holds(p, bytes))
        return;
    x_danger(
        "%" PRIu64 " bytes at %p are not the library's to hand out", bytes, p);
}

/* -- the list
 * ------------------------------------------------------------------ */

static int by_kind(const void *a, const void *b)
{
    const struct x_kind *x = a, *y = b;
    int d = strcmp(x->word, y->word);
    if (d == 0)
        d = strcmp(x->first, y->first);
    return d ? d : strcmp(x->second, y->second);
}

static bool listed(const struct x_kind *k, const char *text)
{
    char line[80];
    size_t n = (size_t)snprintf(
        line, sizeof line, "%s\t%s\t%s\t", k->word, k->first, k->second);
    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, n) == 0 && at[n] != '\n' && at[n] != '\0')
            return true;
    }
    return false;
}

uint32_t x_fetch_unlisted(struct x_fetches *f, const char *path)
{
    static char text[1 << 16];
    uint32_t missing = 0;
    FILE *file = fopen(path, "r");
    if (file) {
        size_t n = fread(text, 1, sizeof text - 1, file);
        text[n] = '\0';
        (void)fclose(file);
    }
    qsort(f->kinds, f->kind_cnt, sizeof *f->kinds, by_kind);
    for (uint32_t i = 0; i < f->kind_cnt; i++) {
        const struct x_kind *k = &f->kinds[i];
        if (listed(k, text))
            continue;
        missing++;
        printf("not listed in %s:\n%s\t%s\t%s\t\n", path, k->word, k->first,
            k->second);
    }
    return missing;
}
