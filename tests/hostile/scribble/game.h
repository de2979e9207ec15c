/* game.h - one game of the hostile peer and its users (scribble_game.c). */
#ifndef SHMQ_SCRIBBLE_GAME_H
#define SHMQ_SCRIBBLE_GAME_H

#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "scribble.h"
#include "support/small_shmqd.h"
#include "support/support.h"
#include "topic_impl.h"

#define CONSUMERS 5
#define PRODUCERS 3
#define HELD 6
#define BATCH 8
#define LEDGER (1u << 13)

struct user {
    struct shmq_consumer *c;
    struct shmq_message msg[HELD];
    uint32_t cnt;
    bool member; /* of a named group */
};

/* What was published, by position. */
struct entry {
    uint64_t position, tag, size, producer, sequence;
    bool used;
};

struct game {
    uint64_t dice;
    bool spsc, control_only;
    struct small *shmqd; /* who drains it, when it is durable */
    struct shmq_topic_attrs attrs;
    struct shmq_topic *topic;
    struct shmqi_segment *segment;
    struct shmq_producer *producer[PRODUCERS];
    struct shmq_loan loan[PRODUCERS];
    bool loaned[PRODUCERS];
    struct user user[CONSUMERS];
    uint64_t tag;
    struct entry ledger[LEDGER];
    /* the topic that nobody scribbles over */
    struct shmq_producer *calm_in;
    struct shmq_consumer *calm_out;
    struct shmq_topic *calm;
    uint64_t calm_tag;
    uint8_t *payload;
};

static inline uint64_t dice(struct game *g, uint64_t sides)
{
    return t_below(&g->dice, sides);
}

/* A call of the library: its result must be a documented one. */
#define CALL(expr) \
    (scribble_call_begin(#expr), \
        scribble_loud ? (void)fprintf(stderr, "%s\n", #expr) : (void)0, \
        scribble_result(expr))
int scribble_result(int rc);

/* It must be OK or one of these. */
#define ONLY(rc, ...) \
    do { \
        const int legal_[] = {SHMQ_OK, __VA_ARGS__}; \
        scribble_only((rc), legal_, sizeof legal_ / sizeof legal_[0]); \
    } while (0)
void scribble_only(int rc, const int *legal, size_t cnt);
/* Legal in games whose topic is durable. */
#define IF_DURABLE(rc) (g->shmqd ? (rc) : SHMQ_OK)

/* -- scribble_ledger.c: what was published, what came ------------------------
 */

void scribble_enter(struct game *g, uint64_t position, uint64_t tag,
    uint64_t size, uint64_t producer, uint64_t sequence);
/* Within the data file's records. */
bool scribble_in_ring(const struct game *g, const void *p, uint64_t bytes);
/* What was handed out lies where it may, can be read, and, where only the
 * control file was written, is what was published. */
void scribble_check_message(
    struct game *g, const struct user *u, const struct shmq_message *msg);

/* -- users, one turn of one of them each ------------------------------------
 */

void scribble_use_consumer(struct game *g); /* scribble_users.c */
void scribble_close_consumer(struct user *u);
void scribble_use_producer(struct game *g); /* scribble_producers.c */
void scribble_look(struct game *g); /* scribble_others.c: who looks */
void scribble_manage(struct game *g); /* who manages */

/* scribble_durable.c: the topic is made durable, drained, waited for. */
void scribble_make_durable(struct game *g, const char *topic);
void scribble_aim_durable(struct game *g);
void scribble_drain(struct game *g);
void scribble_wait(struct game *g);
void scribble_end_durable(struct game *g);

#endif
