/* inbox.h - topics for replies, one per caller.
 *
 * Crash argument: an inbox is a topic like any other, and its owner a member
 * like any other: dead is what the kernel proves. Removing a topic without
 * force is refused while an endpoint lives, so a sweep can be done by anybody
 * at any time. An owner that is killed, or robbed by a sweep, between making
 * the topic and joining it leaves a topic without endpoints, which is the first
 * thing that a sweep removes; one that was robbed makes another. */
#ifndef SHMQI_INBOX_H
#define SHMQI_INBOX_H

#include <stdbool.h>

#include <shmq/request.h>
#include <shmq/stat.h>

#define SHMQI_INBOX_PREFIX "@inbox."
#define SHMQI_INBOX_ROOM 32
#define SHMQI_INBOX_GROUP "caller"
#define SHMQI_CORRELATION_ROOM 24 /* decimal digits and a NUL */

/* Whether `name`, which a peer wrote, is one of an inbox and of nothing else.
 * Copies it with a NUL. */
bool shmqi_inbox_name(
    const void *name, uint32_t len, char ret[SHMQI_INBOX_ROOM]);

/* Makes an inbox of mode `mode` for `o` (defaults filled in) and opens its
 * reader. */
int shmqi_inbox_make(const char *ns, const struct shmq_caller_options *o,
    uint32_t mode, char ret_name[SHMQI_INBOX_ROOM],
    struct shmq_consumer **ret_reader);

/* Whether an inbox's owner is there. */
bool shmqi_inbox_owned(struct shmq_topic *inbox);

#endif
