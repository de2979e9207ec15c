#include "pool.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

/* Sizes are powers of two, and half of the way to the next: a batch of records
 * is a little larger than a power of two rather than a little smaller. */
#define CLASS_CNT 16u

struct block {
    alignas(16) size_t room; /* bytes behind this head */
    uint32_t class; /* CLASS_CNT: none, it is not kept */
    struct block *next; /* while it is free */
};

static struct {
    pthread_mutex_t lock;
    struct block *free[CLASS_CNT];
    uint32_t cnt[CLASS_CNT], least[CLASS_CNT]; /* since the last trim */
    uint64_t kept;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t room_of(uint32_t class)
{
    size_t whole = (size_t)SHMQZ_POOL_LEAST << (class / 2);
    return class % 2 ? whole + whole / 2 : whole;
}

static uint32_t class_of(size_t bytes)
{
    uint32_t class = 0;
    while (class < CLASS_CNT && room_of(class) < bytes)
        class ++;
    return class;
}

void *shmqz_pool_take(size_t bytes)
{
    uint32_t class = class_of(bytes);
    struct block *b = NULL;
    if (class < CLASS_CNT) {
        pthread_mutex_lock(&pool.lock);
        b = pool.free[class];
        if (b) {
            pool.free[class] = b->next;
            pool.kept -= b->room;
            if (--pool.cnt[class] < pool.least[class])
                pool.least[class] = pool.cnt[class];
        }
        pthread_mutex_unlock(&pool.lock);
    }
    if (!b) {
        size_t room = class < CLASS_CNT ? room_of(class) : bytes;
        b = room > SIZE_MAX - sizeof *b ? NULL : malloc(sizeof *b + room);
        if (!b)
            return NULL;
        b->room = room;
        b->class = class;
    }
    return b + 1;
}

static struct block *block_of(const void *memory)
{
    return (struct block *)(uintptr_t)memory - 1;
}

size_t shmqz_pool_room(const void *memory)
{
    return block_of(memory)->room;
}

void shmqz_pool_give(void *memory)
{
    struct block *b = memory ? block_of(memory) : NULL;
    if (b && b->class < CLASS_CNT) {
        pthread_mutex_lock(&pool.lock);
        if (pool.kept + b->room <= SHMQZ_POOL_KEEP) {
            b->next = pool.free[b->class];
            pool.free[b->class] = b;
            pool.cnt[b->class]++;
            pool.kept += b->room;
            b = NULL;
        }
        pthread_mutex_unlock(&pool.lock);
    }
    free(b);
}

void shmqz_pool_trim(void)
{
    for (uint32_t i = 0; i < CLASS_CNT; i++) {
        struct block *old = NULL;
        pthread_mutex_lock(&pool.lock);
        /* What lay here all the time, by halves. */
        for (uint32_t n = (pool.least[i] + 1) / 2; n > 0; n--) {
            struct block *b = pool.free[i];
            pool.free[i] = b->next;
            pool.cnt[i]--;
            pool.kept -= b->room;
            b->next = old;
            old = b;
        }
        pool.least[i] = pool.cnt[i];
        pthread_mutex_unlock(&pool.lock);
        while (old) {
            struct block *next = old->next;
            free(old);
            old = next;
        }
    }
}

uint64_t shmqz_pool_kept(void)
{
    pthread_mutex_lock(&pool.lock);
    uint64_t kept = pool.kept;
    pthread_mutex_unlock(&pool.lock);
    return kept;
}
