/* x_heap.c - the private memory of a run.
 *
 * Threads are abandoned with everything they have allocated, and each run
 * begins with the same handles. So malloc() and its kin, linked with --wrap,
 * take from one block that is put back as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define HEAP_BYTES (4u << 20)

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

static uint8_t *heap;
static size_t used, marked;
static uint8_t *copy;
static bool in_run;

static bool ours(const void *p)
{
    return heap && (uint64_t)((const uint8_t *)p - heap) < HEAP_BYTES;
}

/* Each block is preceded by its size. */
static void *take(size_t size)
{
    size_t room = (size + 31) & ~(size_t)15;
    if (used + room > HEAP_BYTES)
        abort();
    uint64_t head = size;
    memcpy(heap + used, &head, sizeof head);
    void *p = heap + used + 16;
    used += room;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return in_run ? take(size) : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    if (!in_run)
        return __real_calloc(n, size);
    void *p = take(n * size);
    memset(p, 0, n * size);
    return p;
}

void *__wrap_realloc(void *p, size_t size)
{
    if (!in_run && !ours(p))
        return __real_realloc(p, size);
    void *more = take(size);
    if (p) {
        uint64_t had;
        memcpy(&had, (uint8_t *)p - 16, sizeof had);
        memcpy(more, p, had < size ? had : size);
    }
    return more;
}

void __wrap_free(void *p)
{
    if (!ours(p))
        __real_free(p);
}

void x_heap_begin(void)
{
    if (!heap) {
        heap = aligned_alloc(64, HEAP_BYTES);
        if (!heap)
            abort();
    }
    in_run = true;
}

void x_heap_end(void)
{
    in_run = false;
}

void x_heap_mark(void)
{
    marked = used;
    copy = __real_malloc(used);
    if (!copy)
        abort();
    memcpy(copy, heap, used);
}

/* Stacks are not looked at. */
bool x_heap_holds(const void *p, uint64_t bytes)
{
    if (!ours(p))
        return true;
    uint64_t at = (uint64_t)((const uint8_t *)p - heap), off = 0, size = 0;
    while (off < used) {
        memcpy(&size, heap + off, sizeof size);
        if (at < off + ((size + 31) & ~15ull))
            break;
        off += (size + 31) & ~15ull;
    }
    return at >= off + 16 && at + bytes <= off + 16 + size;
}

void x_heap_restore(void)
{
    memcpy(heap, copy, marked);
    used = marked;
}
