#include "held.h"

#include <stdlib.h>
#include <string.h>

#define GONE_FEW 256u

static bool is_gone(const struct shmqz_held_item *item)
{
    return item->cnt == 0;
}

static uint64_t end_of(const struct shmqz_held_item *item)
{
    return item->msg.position + item->cnt;
}

/* The first place whose position is not below `pos`. */
static uint32_t place_of(const struct shmqz_held *held, uint64_t pos)
{
    uint32_t low = held->first, high = held->cnt;
    if (low < high && held->items[low].msg.position >= pos)
        return low; /* acknowledged in order */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (held->items[middle].msg.position < pos)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The same, or the place before when its records reach beyond `pos`; nothing
 * before `lowest` is looked at. */
static uint32_t place_around(
    const struct shmqz_held *held, uint64_t pos, uint32_t lowest)
{
    uint32_t at = place_of(held, pos);
    if (at < lowest)
        return lowest;
    uint32_t before = at;
    while (before > lowest && is_gone(&held->items[before - 1]))
        before--;
    if (before > lowest && end_of(&held->items[before - 1]) > pos)
        return before - 1;
    return at;
}

void shmqz_held_squeeze(struct shmqz_held *held)
{
    uint32_t n = 0;
    for (uint32_t i = held->first; i < held->cnt; i++)
        if (!is_gone(&held->items[i]))
            held->items[n++] = held->items[i];
    held->first = held->gone = 0;
    held->cnt = n;
}

static bool grow(struct shmqz_held *held)
{
    uint32_t cap = held->cap ? held->cap * 2 : 64;
    void *more = realloc(held->items, cap * sizeof *held->items);
    if (!more)
        return false;
    held->items = more;
    held->cap = cap;
    return true;
}

static bool make_room(struct shmqz_held *held)
{
    if (held->cnt < held->cap)
        return true;
    shmqz_held_squeeze(held);
    return held->cnt < held->cap / 2 || grow(held);
}

static void insert(
    struct shmqz_held *held, uint32_t at, const struct shmqz_held_item *item)
{
    memmove(held->items + at + 1, held->items + at,
        (held->cnt - at) * sizeof *held->items);
    held->items[at] = *item;
    held->cnt++;
}

bool shmqz_held_add(
    struct shmqz_held *held, const struct shmq_message *msg, uint32_t cnt)
{
    struct shmqz_held_item item = {*msg, cnt};
    if (!make_room(held))
        return false;
    uint32_t at = held->cnt;
    if (at > held->first && held->items[at - 1].msg.position >= msg->position) {
        shmqz_held_squeeze(
            held); /* none that is gone may lie within the new ones */
        at = place_of(held, msg->position);
    }
    insert(held, at, &item);
    held->live += cnt;
    return true;
}

struct shmqz_held_walk shmqz_held_walk(
    struct shmqz_held *held, uint64_t from, uint64_t to)
{
    /* What is gone is passed over each time: it may not become much. */
    if (held->gone > GONE_FEW && held->gone > (held->cnt - held->first) / 8)
        shmqz_held_squeeze(held);
    struct shmqz_held_walk walk = {
        place_around(held, from, held->first), from, to};
    return walk;
}

void shmqz_held_onward(const struct shmqz_held *held,
    struct shmqz_held_walk *walk, uint64_t from, uint64_t to)
{
    uint32_t lowest = walk->at < held->first ? held->first : walk->at;
    if (lowest > held->cnt)
        lowest = held->cnt; /* all are gone */
    walk->at = place_around(held, from, lowest);
    walk->from = from;
    walk->to = to;
}

/* Takes records [skip, skip + cnt) out of the item at `at`. What is left stands
 * there, and behind it when both ends are left. */
static bool cut(
    struct shmqz_held *held, uint32_t at, uint32_t skip, uint32_t cnt)
{
    struct shmqz_held_item *item = &held->items[at], tail = *item;
    uint32_t left = item->cnt - skip - cnt;
    shmq_consumer_nth(&item->msg, skip + cnt, &tail.msg);
    tail.cnt = left;
    if (skip && left) {
        if (held->cnt == held->cap && !grow(held))
            return false;
        insert(held, at + 1, &tail);
        held->items[at].cnt = skip;
    } else if (left) {
        *item = tail;
    } else {
        item->cnt = skip;
    }
    held->live -= cnt;
    held->gone += is_gone(&held->items[at]);
    return true;
}

bool shmqz_held_next(struct shmqz_held *held, struct shmqz_held_walk *walk,
    struct shmq_message *ret, uint32_t *ret_cnt)
{
    uint32_t at = walk->at;
    while (at < held->cnt && held->items[at].msg.position < walk->to &&
        (is_gone(&held->items[at]) || end_of(&held->items[at]) <= walk->from))
        at++;
    walk->at = at;
    if (at >= held->cnt || held->items[at].msg.position >= walk->to)
        return false;
    const struct shmqz_held_item *item = &held->items[at];
    uint64_t from = item->msg.position, to = end_of(item);
    uint32_t skip = walk->from > from ? (uint32_t)(walk->from - from) : 0;
    uint32_t cnt = (uint32_t)((to < walk->to ? to : walk->to) - from) - skip;
    shmq_consumer_nth(&item->msg, skip, ret);
    if (!cut(held, at, skip, cnt))
        return false;
    *ret_cnt = cnt;
    walk->at = at;
    walk->from = from + skip + cnt;
    for (; held->first < held->cnt && is_gone(&held->items[held->first]);
         held->first++)
        held->gone--;
    if (held->first == held->cnt)
        held->first = held->cnt = 0;
    return true;
}

bool shmqz_held_take(struct shmqz_held *held, uint64_t from, uint64_t to,
    struct shmq_message *ret)
{
    struct shmqz_held_walk walk = shmqz_held_walk(held, from, to);
    uint32_t cnt;
    for (uint32_t at = walk.at; at < held->cnt; at++) {
        const struct shmqz_held_item *item = &held->items[at];
        if (is_gone(item) || end_of(item) <= from)
            continue;
        uint64_t pos = item->msg.position > from ? item->msg.position : from;
        if (pos >= to)
            return false;
        walk.at = at;
        walk.from = pos;
        walk.to = pos + 1;
        return shmqz_held_next(held, &walk, ret, &cnt);
    }
    return false;
}

uint64_t shmqz_held_count(
    const struct shmqz_held *held, uint64_t from, uint64_t to)
{
    uint64_t n = 0;
    for (uint32_t at = place_around(held, from, held->first); at < held->cnt;
         at++) {
        const struct shmqz_held_item *item = &held->items[at];
        uint64_t low = item->msg.position, high = end_of(item);
        if (low >= to)
            break;
        low = low < from ? from : low;
        high = high > to ? to : high;
        n += high > low ? high - low : 0;
    }
    return n;
}

void shmqz_held_free(struct shmqz_held *held)
{
    free(held->items);
    memset(held, 0, sizeof *held);
}
