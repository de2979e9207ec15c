#include "held.h"

#include <stdlib.h>
#include <string.h>

#define GONE UINT64_MAX

static bool is_gone(const struct shmq_message *msg)
{
    return msg->size == GONE;
}

/* The first place whose position is not below `pos`. */
static uint32_t place_of(const struct shmqz_held *held, uint64_t pos)
{
    uint32_t low = held->first, high = held->cnt;
    if (low < high && held->items[low].position >= pos)
        return low; /* acknowledged in order */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (held->items[middle].position < pos)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void squeeze(struct shmqz_held *held)
{
    uint32_t n = 0;
    for (uint32_t i = held->first; i < held->cnt; i++)
        if (!is_gone(&held->items[i]))
            held->items[n++] = held->items[i];
    held->first = 0;
    held->cnt = n;
}

static bool make_room(struct shmqz_held *held)
{
    if (held->cnt < held->cap)
        return true;
    if (held->live < held->cap / 2) {
        squeeze(held);
        return true;
    }
    uint32_t cap = held->cap ? held->cap * 2 : 64;
    void *more = realloc(held->items, cap * sizeof *held->items);
    if (!more)
        return false;
    held->items = more;
    held->cap = cap;
    return true;
}

bool shmqz_held_add(struct shmqz_held *held, const struct shmq_message *msg,
    struct shmq_message *ret_old, bool *ret_had_old)
{
    *ret_had_old = false;
    if (!make_room(held))
        return false;
    uint32_t at = held->cnt;
    if (at > held->first && held->items[at - 1].position >= msg->position)
        at = place_of(held, msg->position);
    if (at < held->cnt && held->items[at].position == msg->position) {
        *ret_had_old = !is_gone(&held->items[at]);
        *ret_old = held->items[at];
        held->live += is_gone(&held->items[at]);
    } else {
        memmove(held->items + at + 1, held->items + at,
            (held->cnt - at) * sizeof *held->items);
        held->cnt++;
        held->live++;
    }
    held->items[at] = *msg;
    return true;
}

struct shmqz_held_walk shmqz_held_walk(
    const struct shmqz_held *held, uint64_t from, uint64_t to)
{
    struct shmqz_held_walk walk = {place_of(held, from), to};
    return walk;
}

bool shmqz_held_next(struct shmqz_held *held, struct shmqz_held_walk *walk,
    struct shmq_message *ret)
{
    uint32_t at = walk->at;
    while (at < held->cnt && is_gone(&held->items[at]))
        at++;
    if (at >= held->cnt || held->items[at].position >= walk->to)
        return false;
    *ret = held->items[at];
    walk->at = at + 1;
    held->items[at].size = GONE;
    held->live--;
    while (held->first < held->cnt && is_gone(&held->items[held->first]))
        held->first++;
    if (held->first == held->cnt)
        held->first = held->cnt = 0;
    return true;
}

bool shmqz_held_take(struct shmqz_held *held, uint64_t from, uint64_t to,
    struct shmq_message *ret)
{
    struct shmqz_held_walk walk = shmqz_held_walk(held, from, to);
    return shmqz_held_next(held, &walk, ret);
}

uint64_t shmqz_held_count(
    const struct shmqz_held *held, uint64_t from, uint64_t to)
{
    uint64_t n = 0;
    for (uint32_t at = place_of(held, from);
         at < held->cnt && held->items[at].position < to; at++)
        n += !is_gone(&held->items[at]);
    return n;
}

void shmqz_held_free(struct shmqz_held *held)
{
    free(held->items);
    memset(held, 0, sizeof *held);
}
