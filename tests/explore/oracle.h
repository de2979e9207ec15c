/* oracle.h - what was published and handed out in a run, and what that allows.
 *
 * A record is named by its author (one producer handle each) and its number
 * with that author, which is also its sequence. Its payload proves both. */
#ifndef SHMQ_TEST_ORACLE_H
#define SHMQ_TEST_ORACLE_H

#include "explore.h"

#define O_AUTHORS 8u
#define O_RECORDS 24u
#define O_GROUPS 4u

enum o_published {
    O_NEVER, /* not tried, or refused */
    O_MAYBE, /* its publisher has not returned */
    O_YES
};

struct o_record {
    uint64_t position;
    uint8_t published; /* enum o_published */
    uint8_t words; /* of its payload */
};

/* What a group did with a record. */
struct o_mark {
    uint8_t handed, unflagged;
    bool done; /* acknowledged, and the library said so */
    uint8_t maybe; /* calls that began to acknowledge it, if not STALE */
    bool lost; /* told as a gap */
};

struct o_group {
    struct o_mark marks[O_AUTHORS][O_RECORDS];
    bool shared;
    bool lossy; /* gaps are no error */
    bool moves; /* claims are taken from the living, who may be late */
    bool flux; /* not one group all the time */
};

/* A copy in the dead-letter topic. Its place there is its index. */
struct o_letter {
    uint64_t position;
    uint32_t author, number, group;
};

#define O_LETTERS 64u

struct oracle {
    struct o_letter letters[O_LETTERS];
    uint32_t letter_cnt, letters_safe;
    uint32_t letters_refused; /* so many more are refused, perhaps */
    uint32_t dead_ring; /* number of the dead-letter topic's ring */
    bool dead_is_late; /* copies are safe when somebody says so */
    uint32_t attempts; /* of the groups */
    struct o_record records[O_AUTHORS][O_RECORDS];
    uint32_t cnt[O_AUTHORS]; /* tried so far */
    uint64_t identity[O_AUTHORS];
    struct o_group groups[O_GROUPS];
};
extern struct oracle oracle; /* restored before each run, see main.c */

/* A record in a reader's hands. */
struct o_hand {
    struct shmq_message msg;
    uint32_t author, number;
    bool stale; /* it went to another member meanwhile */
};

/* A reader: its handle and what it has seen. */
struct o_reader {
    struct shmq_consumer *consumer;
    uint32_t group;
    bool ordered; /* an exclusive or ephemeral one: positions go up */
    bool any; /* has seen one */
    uint64_t last;
    uint32_t next[O_AUTHORS]; /* the lowest number it may see unflagged */
    bool begun[O_AUTHORS];
    bool gapless; /* each author's numbers are consecutive */
    bool exact; /* records and gaps are consecutive (mpmc, one per frame) */
    uint64_t expected;
};

struct shmq_producer *o_producer(uint32_t process, uint32_t author);
/* Opens one if nobody has the role; NULL and *ret_rc otherwise. */
struct shmq_producer *o_producer_try(
    uint32_t process, uint32_t author, int *ret_rc);
struct o_reader o_reader(uint32_t process, const char *name, uint32_t group,
    uint32_t kind, uint32_t flags);
int o_reader_try(uint32_t process, const struct shmq_consumer_options *options,
    uint32_t group, struct o_reader *ret);
struct shmq_consumer_options o_options(
    const char *name, uint32_t kind, uint32_t flags);

/* Publishes the author's next record; 0 or FULL, other results fail. */
int o_publish(struct shmq_producer *p, uint32_t author, uint32_t words);
/* One frame of `cnt` records. */
int o_publish_batch(
    struct shmq_producer *p, uint32_t author, uint32_t cnt, uint32_t words);

/* Waits for room until `deadline_ns`: TIMEOUT. */
int o_publish_wait(struct shmq_producer *p, uint32_t author, uint32_t words,
    uint64_t deadline_ns);
/* Fills a loan and commits it; 0 or FULL (then it is still lent). */
int o_commit(struct shmq_producer *p, uint32_t author, struct shmq_loan *loan,
    uint32_t words);

/* Receives and checks. Results of shmq_consumer_receive(). */
int o_receive(struct o_reader *r, struct o_hand *ret);
/* Waits until `deadline_ns`: TIMEOUT. */
int o_receive_wait(
    struct o_reader *r, struct o_hand *ret, uint64_t deadline_ns);
/* Goes back to an earlier record or to the earliest; records may come again
 * without their flag. 0 or STALE. */
int o_seek_back(struct o_reader *r);
/* The bytes are still what they were; ends the use. 0 or STALE. */
int o_release(struct o_reader *r, struct o_hand *h);
int o_nack(struct o_reader *r, struct o_hand *h);
/* Receives and releases until EMPTY. */
uint32_t o_drain(struct o_reader *r);
/* Opens an ephemeral reader from earliest and receives up to `cnt`: whatever it
 * is given is whole and in order; gaps are legal. */
void o_peek(struct o_reader *r, uint32_t group, uint32_t cnt);
/* A handler for shmq_consumer_poll(); ctx is a struct o_reader. */
int o_handle(void *ctx, const struct shmq_message *msg);

/* -- the dead-letter topic (oracle_dead.c), made up -------------------------
 */

/* As o_receive() of a topic whose dead letters take their time. */
int o_receive_late(struct o_reader *r, struct o_hand *ret);
int o_nack_later(struct o_reader *r, struct o_hand *h, uint64_t delay_ns);
/* All copies become as safe as they should be, or those that are not are lost
 * with their ring. */
void o_letters_safe(void);
void o_letters_lost(void);
/* A DEADLETTER claim may move on: its record is safe. */
bool o_buried(const void *claim, uint32_t lap, uint32_t done);
/* Were the host to go down now: what group `group` is done with was done by a
 * reader, or is safe. */
void o_check_buried(uint32_t group);
/* What became a dead letter counts as done by its group. */
void o_count_letters(void);
/* The record is whole; its name. */
void o_payload(const struct shmq_message *msg, uint64_t *ret_tag);

/* Every published record at or above `from` is done by the group; nothing
 * else was handed out. */
void o_check_done(uint32_t group, uint64_t from);
/* The same for a reader that saw some and acknowledges nothing. */
void o_check_positions(void);

#endif
