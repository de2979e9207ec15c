/* adversary.h - victims, a hostile process, and what they share with the
 * referee (tests/hostile/test_adversary.c). */
#ifndef SHMQ_ADVERSARY_H
#define SHMQ_ADVERSARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum role {
    ROLE_PRODUCER,
    ROLE_LENDER, /* a producer that holds loans and writes to them */
    ROLE_VIEWER, /* exclusive, looks at held views all the time */
    ROLE_MEMBER, /* shared, views */
    ROLE_COPIER, /* shared, copies, gives back */
    ROLE_SPINNER, /* ephemeral, never sleeps */
    ROLE_SLEEPER, /* ephemeral, sleeps */
    ROLE_POLLER, /* waits on a descriptor */
    ROLE_LOOKER, /* stat, groups, endpoints, list */
    ROLE_COMER, /* opens, closes, manages groups */
    ROLE_COMMAND, /* runs the shmq command */
    ROLE_DRAINER, /* shmqd's part, when the topic is durable */
    ROLE_CNT
};
extern const char *const role_names[ROLE_CNT];

/* One victim's place on the board. */
struct seat {
    _Atomic uint64_t calls, oks, corrupts, opens;
    _Atomic uint64_t since_ns; /* when the running call began, 0: none */
    _Atomic uint64_t calm_cnt, calm_ns, calm_max_ns; /* on the other topic */
    _Atomic uint32_t opened; /* the round whose topic it has open */
    char what[64];
};

struct board {
    _Atomic uint32_t round; /* a new topic each */
    _Atomic bool stop, attack, truncating;
    _Atomic bool durable; /* the topic of this round is */
    _Atomic bool decoy; /* the attack is on a topic that nobody uses */
    _Atomic uint64_t scribbles, truncations, locks, floods, renames, deaths;
    struct seat seats[ROLE_CNT];
};
extern struct board *board;

/* In a child each; they return when board->stop is set. */
int victim(void *role); /* enum role * */
int peer(void *seed); /* uint64_t * */

/* -- adversary_drainer.c -----------------------------------------------------
 */
struct shmq_topic_attrs;
struct drainer;
/* The topic, durable; drain.h says what may come. */
int drainer_make(const struct shmq_topic_attrs *attrs);
int drainer_open(struct drainer **ret);
int drainer_turn(struct drainer *d);
void drainer_close(struct drainer *d);

#endif
