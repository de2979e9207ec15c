/* subscriptions.h - what the feed's subscribers have asked for. Pure.
 *
 * A subscription is the beginning of first parts. First parts are `TOPIC NUL`,
 * or `NUL HB TOPIC NUL` for a topic's heartbeats, or `NUL W` for the welcome.
 */
#ifndef SHMQZ_SUBSCRIPTIONS_H
#define SHMQZ_SUBSCRIPTIONS_H

#include <shmq/base.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHMQZ_NAME_ROOM (SHMQ_TOPIC_MAX + 13)
#define SHMQZ_SUBSCRIPTION_MAX (SHMQZ_NAME_ROOM + 4)

enum shmqz_wanted {
    SHMQZ_WANT_NOTHING = 0, /* matches no first part that there is */
    SHMQZ_WANT_WELCOME = 1,
    SHMQZ_WANT_TOPIC = 2, /* one topic */
    SHMQZ_WANT_PREFIX = 3, /* all topics that begin so */
};

/* What a subscription asks for; `ret_name` gets the topic or the prefix. */
enum shmqz_wanted shmqz_subscription_read(
    const void *bytes, size_t len, char ret_name[SHMQZ_NAME_ROOM]);

/* Counted subscriptions to topics and prefixes, `max` admitted ones at most.
 *
 * When a connection ends, ZeroMQ tells the end of each of its subscriptions,
 * refused or not, and not whose it was. So refused ones are counted, too, apart
 * from the others and in memory that does not grow: ends of a name are taken
 * for theirs first. A topic or prefix is wanted from its first admitted
 * subscription until at least as many have ended as had begun. */
struct shmqz_subscriptions;
struct shmqz_subscriptions *shmqz_subscriptions_new(uint32_t max);
void shmqz_subscriptions_free(struct shmqz_subscriptions *subs);
/* Counts one more. False: it is a refused one; there are too many, or there is
 * no memory: then it has to be refused. */
bool shmqz_subscriptions_add(struct shmqz_subscriptions *subs,
    enum shmqz_wanted kind, const char *name, bool admitted);
/* Counts one less, of the refused ones only when it cannot be another's;
 * whether something that was wanted is not any more. */
bool shmqz_subscriptions_remove(struct shmqz_subscriptions *subs,
    enum shmqz_wanted kind, const char *name, bool refused);
uint32_t shmqz_subscriptions_cnt(const struct shmqz_subscriptions *subs);
/* Whether anybody wants `topic`. */
bool shmqz_subscriptions_match(
    const struct shmqz_subscriptions *subs, const char *topic);

#endif
