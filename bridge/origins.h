/* origins.h - which publishes of which producers are in a topic. Pure.
 *
 * Producers that got no answer publish again. Each numbers its records; what is
 * expected next decides whether a publish is new, a repetition, or came too
 * early. The table is bounded: whoever was not heard of for longest is
 * forgotten, and is found in the topic again when it comes back (publish.h). */
#ifndef SHMQZ_ORIGINS_H
#define SHMQZ_ORIGINS_H

#include <stdbool.h>
#include <stdint.h>

/* A frame of a producer. */
struct shmqz_piece {
    uint64_t producer; /* not 0 */
    uint32_t epoch;
    uint32_t record_cnt;
    uint64_t sequence; /* of its first record */
    uint64_t base_pos, end_pos; /* first, last + 1 */
};

enum shmqz_verdict {
    SHMQZ_TAKE = 0, /* new, and its turn */
    SHMQZ_REPEATED = 1, /* it is there */
    SHMQZ_EARLY = 2, /* others must come before it */
    SHMQZ_FENCED = 3, /* a later epoch of the producer has published */
    SHMQZ_OVERLAP = 4, /* a part of it is there: not as it was sent */
    SHMQZ_UNKNOWN = 5, /* nothing is known of this producer */
};

struct shmqz_origins;

/* At most `max` producers, and `max_pieces` frames of each whose positions are
 * kept. NULL: no memory. */
struct shmqz_origins *shmqz_origins_new(uint32_t max, uint32_t max_pieces);
void shmqz_origins_free(struct shmqz_origins *origins);

/* Judges a publish that begins at `sequence`; the producer has settled all
 * below `settled`. *ret_expected: what it should send next. Repeated: *ret gets
 * the frame's place, end_pos 0 when that is not known any more. */
enum shmqz_verdict shmqz_origins_judge(struct shmqz_origins *origins,
    const struct shmqz_piece *piece, uint64_t settled, uint64_t *ret_expected,
    struct shmqz_piece *ret);

/* The same of a producer that has published nothing yet. */
enum shmqz_verdict shmqz_origins_judge_first(
    const struct shmqz_piece *piece, uint64_t settled, uint64_t *ret_expected);

/* A frame was published, or found; frames that are known already change
 * nothing. False: no memory. *ret_forgot (not set otherwise) becomes true when
 * another producer had to be forgotten. */
bool shmqz_origins_add(struct shmqz_origins *origins,
    const struct shmqz_piece *piece, bool *ret_forgot);

/* Frames below `settled` are not asked for any more. */
void shmqz_origins_settle(
    struct shmqz_origins *origins, uint64_t producer, uint64_t settled);

/* The producer, if it is there, was heard of. */
void shmqz_origins_touch(struct shmqz_origins *origins, uint64_t producer);

uint32_t shmqz_origins_cnt(const struct shmqz_origins *origins);

#endif
