/* journal_entry.c - encodes and decodes places.
 *
 *  off size
 *    0    4  version: 1
 *    4    4  flags: 1 the group is gone
 *    8   16  topic's uuid
 *   24    8  floor
 *   32    8  next
 *   40    8  lease in ns
 *   48    4  kind
 *   52    4  absent
 *   56    4  max_attempts
 *   60    2  bytes of the group's name
 *   62    2  bytes of the dead-letter topic's name
 *   64    -  the two names, without NULs */
#include "journal_entry.h"

#include <string.h>

enum { HEAD = 64, VERSION = 1, FLAG_GONE = 1 };

static void put32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *at, uint64_t v)
{
    put32(at, (uint32_t)v);
    put32(at + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
        (uint32_t)at[3] << 24;
}

static uint64_t get64(const uint8_t *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

uint32_t shmqd_entry_encode(
    const struct shmqd_entry *entry, uint8_t at[SHMQD_ENTRY_MAX])
{
    const struct shmqi_group_place *place = &entry->place;
    size_t name = strnlen(place->name, sizeof(place->name) - 1);
    size_t dead = strnlen(place->dead_letter, sizeof(place->dead_letter) - 1);
    put32(at, VERSION);
    put32(at + 4, entry->gone ? FLAG_GONE : 0);
    memcpy(at + 8, entry->uuid, sizeof(entry->uuid));
    put64(at + 24, place->floor);
    put64(at + 32, place->next);
    put64(at + 40, place->lease_ns);
    put32(at + 48, place->kind);
    put32(at + 52, place->absent);
    put32(at + 56, place->max_attempts);
    put32(at + 60, (uint32_t)(name | dead << 16));
    memcpy(at + HEAD, place->name, name);
    memcpy(at + HEAD + name, place->dead_letter, dead);
    return (uint32_t)(HEAD + name + dead);
}

bool shmqd_entry_decode(
    const uint8_t *at, uint64_t len, struct shmqd_entry *ret)
{
    struct shmqi_group_place *place = &ret->place;
    if (len < HEAD || get32(at) != VERSION || (get32(at + 4) & ~1u) != 0)
        return false;
    uint32_t name = get32(at + 60) & 0xffff;
    uint32_t dead = get32(at + 60) >> 16;
    if (name == 0 || name >= sizeof(place->name) ||
        dead >= sizeof(place->dead_letter) || len != HEAD + name + dead)
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->gone = get32(at + 4) == FLAG_GONE;
    memcpy(ret->uuid, at + 8, sizeof(ret->uuid));
    place->floor = get64(at + 24);
    place->next = get64(at + 32);
    place->lease_ns = get64(at + 40);
    place->kind = get32(at + 48);
    place->absent = get32(at + 52);
    place->max_attempts = get32(at + 56);
    memcpy(place->name, at + HEAD, name);
    memcpy(place->dead_letter, at + HEAD + name, dead);
    return true;
}
