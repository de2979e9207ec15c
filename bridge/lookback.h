/* lookback.h - looks through what a topic holds for publishes of remote
 * producers (the origins of frames), in pieces. */
#ifndef SHMQZ_LOOKBACK_H
#define SHMQZ_LOOKBACK_H

#include "origins.h"
#include "topics.h"

struct shmqz_lookback;

/* Whether the topic has ever had records that cannot be read any more. */
bool shmqz_lookback_lost_any(struct shmqz_topic *topic);

/* Begins at position `from`; ends where the topic ends now. `producer` is the
 * one that asks: it is not forgotten for others. A result of the library. */
int shmqz_lookback_begin(struct shmqz_topic *topic, uint64_t from,
    uint64_t producer, struct shmqz_lookback **ret);

/* What was seen. */
struct shmqz_seen {
    int rc; /* OK; else it could not be read to its end */
    uint64_t from; /* from here on everything, above where it began when
                      records are gone */
    bool forgot; /* some other producer, to make room in the table */
};

/* Looks at some more records and adds what it finds. Returns whether it is
 * done; then *ret is filled. */
bool shmqz_lookback_run(struct shmqz_lookback *look,
    struct shmqz_origins *origins, struct shmqz_seen *ret);

void shmqz_lookback_end(struct shmqz_lookback *look);

#endif
