/* chaos_ledger.c - books and payloads; see chaos.h. */
#include "chaos.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/support.h"

#define MARK_BYTES ((uint64_t)CHAOS_LIFE_MAX * CHAOS_LIFE_RECORDS)

static void *sparse_memory(uint64_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        T_FAIL("no shared memory for the books");
    return at;
}

void chaos_books_open(struct chaos_run *run)
{
    run->books = sparse_memory(sizeof(*run->books));
    for (uint32_t i = 0; i < run->scene->group_cnt; i++)
        run->marks[i] = sparse_memory(MARK_BYTES);
    if (run->scene->on_full == SHMQ_ON_FULL_DROP_OLD)
        run->positions = sparse_memory(MARK_BYTES * sizeof(uint64_t));
    chaos_history_open(run);
}

void chaos_books_close(struct chaos_run *run)
{
    munmap(run->stream, sizeof(*run->stream));
    munmap(run->books, sizeof(*run->books));
    for (uint32_t i = 0; i < run->scene->group_cnt; i++)
        munmap((void *)(uintptr_t)run->marks[i], MARK_BYTES);
    if (run->positions != NULL)
        munmap(run->positions, MARK_BYTES * sizeof(uint64_t));
}

uint64_t chaos_hash(const struct chaos_run *run, uint32_t life, uint64_t seq)
{
    uint64_t state = run->seed ^ (uint64_t)life << 40 ^ seq;
    return t_random(&state);
}

/* 0 to 4097 bytes, small ones more often; one in 512 is large. */
uint64_t chaos_size(uint64_t hash)
{
    if (hash % 512 == 0)
        return CHAOS_LARGE;
    uint64_t limit = (hash >> 12) % 8 == 0 ? 4098 : 300;
    return (hash >> 16) % limit;
}

bool chaos_has_key(uint64_t hash)
{
    return (hash >> 9) % 4 == 0 && chaos_size(hash) < CHAOS_LARGE;
}

void chaos_fill(void *data, uint64_t size, uint64_t hash)
{
    unsigned char *at = data;
    for (; size >= 8; size -= 8, at += 8) {
        memcpy(at, &hash, 8);
        hash += UINT64_C(0x9e3779b97f4a7c15);
    }
    if (size > 0)
        memcpy(at, &hash, size);
}

uint64_t chaos_check(const void *data, uint64_t size, uint64_t hash)
{
    const unsigned char *at = data;
    uint64_t done = 0;
    uint64_t word = 0;
    for (; size - done >= 8; done += 8) {
        memcpy(&word, at + done, 8);
        if (word != hash)
            return done;
        hash += UINT64_C(0x9e3779b97f4a7c15);
    }
    bool same = size == done || memcmp(at + done, &hash, size - done) == 0;
    return same ? size : done;
}

void chaos_complain(struct chaos_run *run, const char *format, ...)
{
    char text[sizeof(run->books->complaint)];
    va_list args;
    if (atomic_fetch_add(&run->books->complaints, 1) != 0)
        return;
    int len = snprintf(text, sizeof(text), "pid %d: ", (int)getpid());
    va_start(args, format);
    vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
    va_end(args);
    memcpy(run->books->complaint, text, sizeof(text));
}
