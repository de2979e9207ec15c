/* topic.h - one durable topic of the data directory.
 *
 * State machine: a topic is SERVED (its ring is drained), or it is known and
 * not served, and why is said in `why`:
 *     LEFT_ALONE  a ring that is none of ours has its name
 *     FAILED      its log or ring could not be opened
 *     BEGINS      its log is open and waits for room on the disk, or its ring
 *                 cannot be made yet
 * The first two are opened anew every second, the last goes on in its turns. */
#ifndef SHMQD_TOPIC_H
#define SHMQD_TOPIC_H

#include "daemon.h"

enum shmqd_topic_state {
    SHMQD_TOPIC_FAILED = 0,
    SHMQD_TOPIC_LEFT_ALONE = 1,
    SHMQD_TOPIC_SERVED = 2,
    SHMQD_TOPIC_BEGINS = 3,
};

/* What the meta file of a topic says. */
struct shmqd_meta {
    struct shmq_topic_attrs attrs; /* schema points to `schema` or is NULL */
    char schema[SHMQ_SCHEMA_MAX + 1];
    struct shmq_retention retain; /* consumed points to `consumed` */
    char consumed[1024];
};

struct shmqd_topic {
    struct shmqd *daemon;
    char name[SHMQ_TOPIC_MAX + 9];
    uint8_t uuid[16];
    struct shmqd_meta meta;
    enum shmqd_topic_state state;
    char why[256];
    int why_rc; /* a result of the library, or 0: not known */
    uint64_t retry_ns; /* when a topic that is not served is tried again */
    struct shmqd_recovery recovery; /* of its log, as last opened */
    uint64_t start; /* where the log began then */

    struct shmqi_drain *drain;
    struct shmqd_log *log;
    int drain_fd;
    uint32_t number; /* of its events; never used twice */
    bool armed; /* the publishers ring drain_fd */
    bool log_full; /* the last try found no room in staging */
    uint64_t gap_pos; /* end of a gap that nothing follows yet; 0: none */
    uint64_t stop_pos; /* SIGTERM: drain up to here */
    uint64_t written, durable; /* as last told */
    uint64_t low;
    uint32_t told_state; /* enum shmq_durable_state */
    bool degraded; /* recovery found damage */
    uint64_t flush_cnt, flushed_bytes; /* as last told */
    uint64_t look_ns; /* when slow things are looked at again */
    uint64_t keep_ns; /* when retention is */
    uint64_t groups_ns; /* when the groups' places are looked at again */
    uint64_t commits; /* as last seen */
    struct shmqd_places *places; /* of its groups, as journaled */
};

/* False: what its meta file says is of a later version, so `meta` is empty. It
 * is neither opened nor described anew; it can be removed. */
static inline bool shmqd_topic_is_known(const struct shmqd_topic *topic)
{
    return topic->meta.attrs.durability != SHMQ_DURABILITY_NONE;
}

/* -- topic.c --------------------------------------------------------------- */

/* Opens the log, and the ring when it is there, and begins. Sets state and
 * `why`, logs what happened. Waits for the disk to read, not for room on it. */
void shmqd_topic_open(struct shmqd_topic *topic);
/* Opens the ring. False: set aside. */
bool shmqd_topic_open_ring(struct shmqd_topic *topic);
/* Lets ring and log go. Clean: everything was drained and is durable. Returns
 * false when that is not so; then they are let go as by a crash. */
bool shmqd_topic_close(struct shmqd_topic *topic, bool clean);
/* Closes a log cleanly, waiting for what is under way (at most 10 s). BUSY or
 * READ_ONLY: it was closed, but not cleanly. */
int shmqd_log_end(struct shmqd *daemon, struct shmqd_log *log);
/* The topic is not served because of `format`. */
void shmqd_topic_set_aside(struct shmqd_topic *topic,
    enum shmqd_topic_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* -- topic_begin.c --------------------------------------------------------- */

/* Begins the log; `new_ring`: the ring is to be made. The topic is SERVED at
 * once if nothing has to be written for that, else it BEGINS. */
void shmqd_topic_begin(struct shmqd_topic *topic, bool new_ring);
/* The next steps of a topic that BEGINS. Waits for nothing. */
void shmqd_topic_go_on(struct shmqd_topic *topic);

/* -- topic_drain.c --------------------------------------------------------- */

/* Moves a bounded amount from ring to staging. True when there may be more. */
bool shmqd_topic_drain(struct shmqd_topic *topic);
/* Tells publishers and readers how far the log has come. True if it moved. */
bool shmqd_topic_tell(struct shmqd_topic *topic);
/* Everything below stop_pos is on disk. */
bool shmqd_topic_is_drained(const struct shmqd_topic *topic);
/* What a log that waits for something lacks, for people. */
const char *shmqd_shortage_words(const struct shmqd_log_status *status);

/* -- topic_groups.c -------------------------------------------------------- */

/* Takes the places that the journal knows. False: no memory. */
bool shmqd_topic_places_open(struct shmqd_topic *topic);
void shmqd_topic_places_free(struct shmqd_topic *topic);
/* Journals the places of groups that moved: at once when somebody waits for it,
 * else when it is time, soon when records were `flushed`. True when somebody
 * was told. */
bool shmqd_topic_groups(
    struct shmqd_topic *topic, uint64_t now_ns, bool flushed);
/* Calls `each` for every group: those of the ring, or of the journal while
 * there is none. False: one may be missing. */
bool shmqd_topic_each_group(struct shmqd_topic *topic,
    void (*each)(void *ctx, const struct shmqi_group_place *place), void *ctx);
/* How far groups had come as the journal knows it, or `end_pos` if that is
 * more. The journal is flushed always, the log of an os topic is not: after a
 * power cut they may stand beyond its end. */
uint64_t shmqd_topic_reached(const struct shmqd_topic *topic, uint64_t end_pos);
/* Makes the groups of the journal anew in a ring that was made anew. Records
 * below `handed_pos` may have been handed out since the journal was written. */
void shmqd_topic_restore_groups(struct shmqd_topic *topic, uint64_t handed_pos);

/* What was put and not yet done is lost: everything is put again. */
void shmqd_topic_put_again(struct shmqd_topic *topic);

/* Puts all places that moved into the journal, for a stop. False: it has no
 * room now. */
bool shmqd_topic_note_groups(struct shmqd_topic *topic);

/* -- topic_keep.c ---------------------------------------------------------- */

/* Deletes at most one segment that the topic's retention gives up. True when
 * it did: there may be more. */
bool shmqd_topic_keep(struct shmqd_topic *topic);
/* Takes the fields that `change->flags` names, and makes them durable. Returns
 * 0 or enum shmq_err with a sentence in `text`; then nothing has changed.
 * LAYOUT: the topic is not known (shmqd_topic_is_known()). */
int shmqd_topic_set_retention(struct shmqd_topic *topic,
    const struct shmq_retention *change, char *text, size_t text_room);
/* Publishes what `stat` shows of the topic's place on the disk. */
void shmqd_topic_figures(struct shmqd_topic *topic);

/* -- topic_meta.c ---------------------------------------------------------- */

/* Text form of the meta, at most `room` bytes; returns its length or 0. */
size_t shmqd_meta_encode(
    const struct shmqd_meta *meta, char *text, size_t room);
/* Reads it. INVAL for what is no such text. */
int shmqd_meta_decode(const char *text, size_t len, struct shmqd_meta *ret);
/* Copies the fields that retain->flags names. */
void shmqd_meta_retain(
    struct shmqd_meta *meta, const struct shmq_retention *retain);
void shmqd_meta_init(struct shmqd_meta *meta);
/* Checks name, attributes and retention, and fills in all defaults: those of a
 * later version may be others. INVAL with shmq_error_text(). */
int shmqd_meta_complete(const char *name, struct shmqd_meta *meta);
/* The copy's texts are its own. */
void shmqd_meta_copy(struct shmqd_meta *to, const struct shmqd_meta *from);

#endif
