/* scribble.h - a hostile peer at every access (tests/hostile/test_scribble.c).
 *
 * The library's own accesses to shared memory come through its hooks. Before
 * each one the scribbler may overwrite the word that is about to be looked at,
 * or any other word of the topic's files, as a peer could have done in that
 * instant. It draws from one seeded sequence, so a seed replays a game to the
 * instruction. */
#ifndef SHMQ_SCRIBBLE_H
#define SHMQ_SCRIBBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What may be written, and how often. */
struct scribble_plan {
    uint64_t aimed; /* one in so many accesses: the word itself; 0 never */
    uint64_t stray; /* one in so many accesses: any word; 0 never */
    uint64_t again; /* one in so many second looks at a word; 0 never */
    bool data, control, marks; /* which files */
};

/* The files of the victim's topic. */
void scribble_aim(
    void *data, size_t data_bytes, void *control, size_t control_bytes);
/* The watermarks of a durable one: where the library maps them for readers and
 * where shmqd maps them for writing. NULL: it has none. */
void scribble_aim_marks(const void *readers, void *writer, size_t bytes);
/* Peace: nothing is written until the next one. */
void scribble_stop(void);
void scribble_start(const struct scribble_plan *plan, uint64_t seed);
void scribble_resume(void);

/* Between two calls into the library: counts steps and looks anew. */
void scribble_call_begin(const char *what);
void scribble_call_end(void);

uint64_t scribble_cnt(void); /* words written so far */
uint64_t scribble_again_cnt(void); /* of them on a second look in one call */
uint64_t scribble_steps_max(void); /* accesses of the longest call */
const char *scribble_steps_max_call(void);
const char *scribble_call(void); /* the one that is running */

/* More accesses in one call mean that it does not end. */
#define SCRIBBLE_STEPS_LIMIT 40000000ull

/* -- scribble_world.c: the process's clock, sleep and chance follow the seed.
 */
void scribble_world(uint64_t seed);

/* -- scribble_game.c ------------------------------------------------------- */

/* Plays one game: a topic, its users, a hostile peer. Ends the process with a
 * word on stderr when a promise is broken. */
void scribble_game(uint64_t seed);
extern bool scribble_loud; /* says each call */

#endif
