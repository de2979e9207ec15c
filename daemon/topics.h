/* topics.h - the topics that a daemon knows: those of its data directory. */
#ifndef SHMQD_TOPICS_H
#define SHMQD_TOPICS_H

#include "topic.h"

/* Finds the topics of the data directory and opens them. 0 or an exit status,
 * after having said why. A topic that cannot be opened is set aside, not a
 * failure. */
int shmqd_topics_open(struct shmqd *daemon);

/* Waits until those that begin are served, unless room is missing for that;
 * 10 s at most. */
void shmqd_topics_settle(struct shmqd *daemon);

/* Makes those of the configuration's [topic NAME] sections that are not there,
 * and gives the others their retention. What cannot be done is logged, and
 * told by `health`; the other topics are served all the same. */
void shmqd_topics_configure(struct shmqd *daemon);

/* Name `i` of the sections whose topic could not be made and is not there now
 * either, or NULL; i < daemon->unmade_cnt. */
const char *shmqd_topics_unmade(struct shmqd *daemon, uint32_t i);

/* Checks those sections without making anything. 0 or an exit status. */
int shmqd_topics_check(const struct shmqs_settings *settings);

struct shmqd_topic *shmqd_topics_find(struct shmqd *daemon, const char *name);

/* Makes a topic: in the store, then its ring. 0 or enum shmq_err, with a
 * sentence in `text`. Waits for the disk. */
int shmqd_topics_make(struct shmqd *daemon, const char *name,
    const struct shmqd_meta *meta, char *text, size_t text_room);

/* Removes ring, history and places of groups. BUSY while others use it,
 * without SHMQ_UNLINK_FORCE in `flags`. As above. */
int shmqd_topics_remove(struct shmqd *daemon, const char *name, uint32_t flags,
    char *text, size_t text_room);

/* Tries those again that are set aside. */
void shmqd_topics_retry(struct shmqd *daemon, uint64_t now_ns);

/* Lets all go. Clean: as after SIGTERM; true when each of them was. */
bool shmqd_topics_close(struct shmqd *daemon, bool clean);

#endif
