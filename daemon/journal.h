/* journal.h - where every group stands, on disk.
 *
 * A log of its own (DIR/groups) to which a group's place is appended when it
 * moved; the last one counts. When the log has grown by 4 MiB, all places are
 * appended anew and what lies before is deleted. Places of all topics ride in
 * one flush.
 *
 * A place becomes durable in the order of shmqd_journal_put(): a place put at
 * `ticket` is on disk when shmqd_journal_done() is above it. Killed anywhere:
 * the places that were done are found again, later ones perhaps. */
#ifndef SHMQD_JOURNAL_H
#define SHMQD_JOURNAL_H

#include "daemon.h"

/* Reads all places. 0 or an exit status. Waits for the disk. */
int shmqd_journal_open(struct shmqd *daemon);

/* Puts the last places of all topics, waits until everything is on disk, then
 * closes; false when it cannot be. */
bool shmqd_journal_close(struct shmqd *daemon);
void shmqd_journal_free(struct shmqd *daemon);

/* Notes that the group stands at `place`. Returns its ticket, 0 when there is
 * no room now (try again later). */
uint64_t shmqd_journal_put(struct shmqd_journal *journal,
    const uint8_t uuid[16], const struct shmqi_group_place *place);
/* The group is no more. */
uint64_t shmqd_journal_remove(
    struct shmqd_journal *journal, const uint8_t uuid[16], const char *group);
/* The topic is no more. */
void shmqd_journal_forget(
    struct shmqd_journal *journal, const uint8_t uuid[16]);

/* The places of topics whose directory is gone are no more. Those of a topic
 * that cannot be read now are kept. */
void shmqd_journal_prune(struct shmqd_journal *journal);

/* Tickets below this are on disk. */
uint64_t shmqd_journal_done(const struct shmqd_journal *journal);

/* Places come to the disk now. Else the log says what is missing, and the
 * journal opens it anew when the disk has failed. */
bool shmqd_journal_is_well(const struct shmqd_journal *journal);

/* Looks after the log, and keeps it short; call it now and then. */
void shmqd_journal_look(struct shmqd_journal *journal);

/* Calls `each` for the places of a topic, as they were last put. */
void shmqd_journal_each(const struct shmqd_journal *journal,
    const uint8_t uuid[16],
    void (*each)(void *ctx, const struct shmqi_group_place *place), void *ctx);

#endif
