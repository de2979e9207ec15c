/* journal_entry.h - a group's place as bytes of the journal.
 *
 * One entry is one record of a frame: the payload below, little-endian, texts
 * with their NULs behind it. A payload with `gone` says that the group was
 * removed. docs/log-format.md names the same offsets. */
#ifndef SHMQD_JOURNAL_ENTRY_H
#define SHMQD_JOURNAL_ENTRY_H

#include "daemon.h"

enum { SHMQD_ENTRY_MAX = 512 };

struct shmqd_entry {
    uint8_t uuid[16]; /* of the topic */
    bool gone;
    struct shmqi_group_place place;
};

/* Writes the entry's payload; returns its bytes. */
uint32_t shmqd_entry_encode(
    const struct shmqd_entry *entry, uint8_t at[SHMQD_ENTRY_MAX]);
/* False for bytes that are no entry. */
bool shmqd_entry_decode(
    const uint8_t *at, uint64_t len, struct shmqd_entry *ret);

#endif
