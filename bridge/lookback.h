/* lookback.h - looks through what a topic holds for publishes of remote
 * producers (the origins of frames), in pieces. */
#ifndef SHMQZ_LOOKBACK_H
#define SHMQZ_LOOKBACK_H

#include "origins.h"
#include "topics.h"

struct shmqz_lookback;

/* Begins at position `from`; ends where the topic ends now. A result of the
 * library. */
int shmqz_lookback_begin(
    struct shmqz_topic *topic, uint64_t from, struct shmqz_lookback **ret);

/* Looks at some more records and adds what it finds. Returns whether it is
 * done; then *ret_seen_from is the position from which on everything was
 * seen, which lies above `from` when records are gone. */
bool shmqz_lookback_run(struct shmqz_lookback *look,
    struct shmqz_origins *origins, uint64_t *ret_seen_from);

void shmqz_lookback_end(struct shmqz_lookback *look);

#endif
