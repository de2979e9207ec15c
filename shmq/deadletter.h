/* deadletter.h - records that go to a group's dead-letter topic.
 *
 * A record goes there because its attempts are used up (shared groups) or
 * because it expired (named groups of a topic made so).
 *
 * Invariant BURIED: a group is done with such a record only after its copy has
 * reached the level of the topic it comes from (watermarks.h): published for
 * one in memory, written or durable for one on disk. So the floor never passes
 * a record of which nothing is as safe as it was itself.
 *
 * Crash argument: until then the record is in hand like any other: its claim
 * (or the exclusive role's floor) stands, and nothing else says that it was
 * copied. Whoever has it killed, evicted or late with its lease: others find it
 * again and copy it again. It may arrive twice (its attribute {topic, position,
 * group} tells), never not at all. The level only rises, and the copy's
 * position means something only in the ring it was published to: when that
 * ring goes, the copy is made again.
 *
 * Nobody waits here: a copy that is not safe yet is remembered (`dying`) and
 * looked at again by each receive. */
#ifndef SHMQI_DEADLETTER_H
#define SHMQI_DEADLETTER_H

#include <stdbool.h>

#include <shmq/message.h>
#include <shmq/topic.h>

struct shmq_consumer;
struct shmq_producer;

/* A record whose copy is not safe yet. */
struct shmqi_dying {
    uint64_t at; /* position of the copy; UINT64_MAX: to be made again */
    uint64_t seq, claim; /* attempts used up: the claim that is ours */
    uint32_t record_cnt; /* of its frame */
    bool expired;
    struct shmq_message msg; /* expired: handed out to us, not released */
};

struct shmqi_dead {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    bool few; /* it has fewer places for producers than we have members */
    bool failed; /* in this call already */
    uint64_t again_ns; /* no try to open or to make it before */
    uint64_t counted_ns; /* `dead_waits` */
    struct shmqi_dying *dying;
    uint32_t cnt, cap;
    uint32_t claim_cnt; /* those with a claim */
    bool again; /* some are to be copied again */
    uint64_t mark; /* of the level, as seen last */
    uint64_t since_ns; /* when it was seen to rise last */
    uint64_t checked_ns; /* whether the topic is still there */
};

/* At most so many claims wait for their copies. */
#define SHMQI_DYING_CLAIMS 64u

enum shmqi_sent {
    SHMQI_SENT_SAFE,
    SHMQI_SENT_WAITS, /* published, not at the level yet */
    SHMQI_SENT_FULL, /* its ring is, until shmqd has taken some out */
    SHMQI_SENT_REFUSED /* for now */
};

/* -- deadletter_topic.c ------------------------------------------------------
 */

/* Publishes a copy of a record that we hold, with its attributes and its
 * history; opens the topic, and makes it when it is missing: one on disk is
 * asked of shmqd, waiting at most 0.25 s and no more than once a second. */
enum shmqi_sent shmqi_dead_send(struct shmq_consumer *c,
    const struct shmq_message *msg, uint32_t attempts, const char *reason,
    uint64_t *ret_at);
/* End of what has reached the level there. */
uint64_t shmqi_dead_mark(const struct shmq_consumer *c);
/* The topic was removed, or lost its files: positions there mean nothing. */
bool shmqi_dead_gone(struct shmq_consumer *c);
void shmqi_dead_shut(struct shmq_consumer *c);
/* Counts in the group's `dead_waits`, at most once a second. */
void shmqi_dead_count_wait(struct shmq_consumer *c);

/* -- deadletter_wait.c -------------------------------------------------------
 */

/* Room for one record more. */
bool shmqi_dead_room(struct shmq_consumer *c);
void shmqi_dead_keep(struct shmq_consumer *c, const struct shmqi_dying *d);
/* Ends what has become safe. */
void shmqi_dead_look(struct shmq_consumer *c);
/* How long to sleep at most. */
uint64_t shmqi_dead_nap(
    const struct shmq_consumer *c, uint64_t ns, uint64_t now);
/* Waits a little for what is under way; forgets the rest. */
void shmqi_dead_close(struct shmq_consumer *c);

/* -- deadletter.c ------------------------------------------------------------
 */

/* Moves the poison record of FREE claim word `k` to the dead-letter topic. */
void shmqi_dead_letter(
    struct shmq_consumer *c, uint64_t seq, uint64_t k, uint64_t slot_word);
/* Our claim `held` is on a record that is safe there (`arrived`): the rest of
 * its frame is free, or the frame is done. Not: all of it is free again. */
void shmqi_dead_end(struct shmq_consumer *c, uint64_t seq, uint64_t held,
    uint32_t record_cnt, bool arrived);

/* -- expire.c ----------------------------------------------------------------
 */

/* True when a record just taken is too old: it is not handed out but skipped
 * and counted, or dead-lettered. */
bool shmqi_expire(struct shmq_consumer *c, struct shmq_message *msg);
/* An expired record is safe there: it is done. */
void shmqi_expire_end(struct shmq_consumer *c, struct shmq_message *msg);

#endif
