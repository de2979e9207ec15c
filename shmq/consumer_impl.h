/* consumer_impl.h - the inside of a consumer handle.
 *
 * A frame that was taken (read, or claimed) is "held" from then until all its
 * records are done. Readers (exclusive, ephemeral) hold frames in ring order;
 * members of a shared group hold them in any. */
#ifndef SHMQI_CONSUMER_IMPL_H
#define SHMQI_CONSUMER_IMPL_H

#include <shmq/consumer.h>
#include <shmq/producer.h>

#include "deadletter.h"
#include "find.h"
#include "frame.h"
#include "groups.h"
#include "past.h"
#include "wait.h"

enum shmqi_consumer_mode {
    SHMQI_MODE_EPHEMERAL,
    SHMQI_MODE_EXCLUSIVE,
    SHMQI_MODE_SHARED
};

struct shmqi_held {
    bool used;
    bool redelivered; /* all its records were, or may have been, handed out */
    bool lost; /* the claim has moved on */
    bool nacked; /* goes back when its last view is over */
    uint64_t delay_ns; /* and not before so long after that */
    uint64_t seq; /* mpmc sequence; spsc position */
    uint64_t claim; /* shared: the claim word we hold */
    uint64_t producer, sequence, time_ns;
    const uint8_t *bytes; /* the records, in the ring or in `copy` */
    uint32_t len, cnt;
    uint32_t next_idx, next_off; /* next record to hand out */
    uint32_t done; /* records [0, done) are done */
    uint32_t open; /* handed out, not released */
    uint32_t serial; /* of messages handed out now */
    uint64_t *bits; /* bitmaps, allocated for frames of several records */
    uint32_t *serials; /* by record, behind the bitmaps */
    uint8_t *copy;
    uint64_t copy_cap;
};

/* A claim of ours that goes back at `due_ns` (CLOCK_MONOTONIC). */
struct shmqi_delayed {
    uint64_t seq, claim, due_ns;
};

struct shmq_consumer {
    struct shmqi_segment *segment;
    const struct shmqi_ring *ring;
    uint32_t generation;
    uint32_t idx;
    uint64_t identity;
    uint32_t flags;
    enum shmqi_consumer_mode mode;
    bool copies; /* deliver private copies */
    bool viewing; /* `views` of the endpoint is set */
    bool stale; /* evicted */
    uint64_t version; /* of the control file, as last checked */
    /* Set while the ring was found empty and nothing else is going on: the word
     * that says so, and how it looks while it does. */
    shmqi_word *empty_at;
    uint64_t empty_mask, empty_word;
    const uint8_t *expected; /* where the next record's bytes may lie; only ever
                                prefetched */
    uint64_t spin_ns;
    uint64_t messages;
    uint32_t empties;
    struct shmqi_member member;
    /* held frames: ring buffer [first, last) for readers, table for members */
    struct shmqi_held *held;
    uint32_t held_max, held_cnt;
    uint32_t held_limit; /* of them for the application */
    struct shmqi_held *copied; /* that was copied to last */
    uint64_t first, last;
    uint32_t current; /* held frame with records to hand out, or UINT32_MAX */
    bool left_any; /* members: others may have some, too */
    uint32_t free_from; /* members: where a free entry of `held` may be */
    uint32_t serial;
    /* readers */
    uint64_t next; /* mpmc sequence, spsc position */
    uint32_t next_idx; /* record in the frame at `next` to begin with */
    uint64_t skip_before; /* spsc: seek beyond the end */
    uint64_t floor_word; /* as we last stored it */
    uint64_t done_pos; /* all before it is done */
    uint64_t freeze; /* released without ack: the floor stays below */
    uint64_t unflushed; /* bytes or frames since the last flush */
    uint64_t seen_pos, redeliver_until;
    uint64_t role_cnt, role_from, role_identity; /* spsc: who published */
    /* members */
    struct shmqi_finder find;
    uint64_t last_blocked_ns;
    uint64_t looked_ns; /* at the peers */
    /* dead letters */
    struct shmqi_dead dead;
    bool give_back_later; /* evicted while records were looked at */
    bool abandoned; /* claims without an entry in `held` */
    /* claims that go back later, see shmq_consumer_nack_later() */
    struct shmqi_delayed *delayed;
    uint32_t delayed_cnt, delayed_cap;
    uint64_t delayed_next_ns; /* when the first of them is due */
    struct shmqi_past *past; /* durable topics: what has left the ring */
    /* gaps, poll */
    bool gap_pending, gap_known;
    struct shmq_gap gap;
    bool has_bell; /* the doorbell of `poll` is open */
    bool has_poll; /* the application waits on it */
    struct shmqi_poll poll;
    /* the peer whose claim holds us up */
    uint32_t blocker; /* endpoint, UINT32_MAX: none */
    uint64_t watched; /* identity behind pidfd, 0: none */
    int pidfd;
};

static inline bool shmqi_is_mpmc(const struct shmq_consumer *c)
{
    return c->ring->ring == SHMQ_RING_MPMC;
}

static inline struct shmqi_group_shm *shmqi_group_of(
    const struct shmq_consumer *c)
{
    return &c->ring->groups[c->member.entry];
}

/* -- consumer_receive.c -------------------------------------------------------
 */

/* How long to sleep at most: shorter while a peer's claim holds us up. */
uint64_t shmqi_consumer_nap(
    struct shmq_consumer *c, uint32_t naps, uint64_t now);
/* Opens the doorbell, and the pollable descriptor on top of it; once. */
int shmqi_consumer_bell(struct shmq_consumer *c);
int shmqi_consumer_open_poll(struct shmq_consumer *c);
/* Notes an eviction; true when the role is not ours (any more). */
bool shmqi_consumer_evicted(struct shmq_consumer *c);
/* Set the error's text and return STALE, FORKED. */
int shmqi_consumer_stale(struct shmq_consumer *c);
int shmqi_consumer_forked(void);
/* Groups changed, or the topic was deleted: may it go on? */
int shmqi_consumer_check_version(struct shmq_consumer *c, uint64_t version);
/* What a look that handed out nothing means to the caller. */
int shmqi_consumer_outcome(struct shmq_consumer *c, int rc);

/* -- held.c -------------------------------------------------------------------
 */

/* A free entry, or NULL when held_max are in use. */
struct shmqi_held *shmqi_held_new(struct shmq_consumer *c, uint32_t *ret_slot);
void shmqi_held_free(struct shmq_consumer *c, struct shmqi_held *h);
/* Room for a private copy. */
int shmqi_held_copy_room(
    struct shmq_consumer *c, struct shmqi_held *h, uint64_t bytes);
/* Fills it from an mpmc frame: views it or copies and validates it. 0, CORRUPT
 * (nonsense), GAP (overwritten meanwhile), NOMEM. */
int shmqi_held_fill(struct shmq_consumer *c, struct shmqi_held *h, uint64_t seq,
    uint64_t slot_word);
/* Room to track the records of a frame that was filled in another way. */
int shmqi_held_track(struct shmqi_held *h);
/* Hands out the next record of held[slot]. CORRUPT for nonsense. */
int shmqi_held_hand(
    struct shmq_consumer *c, uint32_t slot, struct shmq_message *ret);
/* The held entry of a message, or NULL when it is none of ours any more. */
struct shmqi_held *shmqi_held_of(
    struct shmq_consumer *c, const struct shmq_message *msg);
/* Marks record `idx` done; true when the prefix grew. */
bool shmqi_held_done(struct shmqi_held *h, uint32_t idx);
/* The same for `cnt` records from `idx` on. */
void shmqi_held_done_many(struct shmqi_held *h, uint32_t idx, uint32_t cnt);
bool shmqi_held_is_done(const struct shmqi_held *h, uint32_t idx);
/* Ends the use of record `idx`; false when it was over already. */
bool shmqi_held_release(struct shmqi_held *h, uint32_t idx);
/* The same for `cnt` records that were handed out as `serial`; false, and
 * nothing done, when one of them was not or is over. */
bool shmqi_held_release_many(
    struct shmqi_held *h, uint32_t idx, uint32_t cnt, uint32_t serial);
/* The next `cnt` records, `bytes` long, count as handed out. */
void shmqi_held_hand_many(
    struct shmq_consumer *c, uint32_t slot, uint32_t cnt, uint32_t bytes);
/* Messages of records from `idx` on are void. */
void shmqi_held_void(struct shmqi_held *h, uint32_t idx);
/* Records from `idx` on count as never handed out. */
void shmqi_held_forget(struct shmqi_held *h, uint32_t idx);
uint64_t shmqi_held_pos(
    const struct shmq_consumer *c, const struct shmqi_held *h, uint32_t idx);

/* -- reader.c: exclusive and ephemeral ----------------------------------------
 */
int shmqi_reader_open(struct shmq_consumer *c, const struct shmq_start *start);
void shmqi_reader_close(struct shmq_consumer *c);
int shmqi_reader_next(struct shmq_consumer *c, struct shmq_message *ret);
bool shmqi_reader_ready(const struct shmq_consumer *c);
/* After an acknowledgement: floor and held frames move on. */
int shmqi_reader_advance(struct shmq_consumer *c);
int shmqi_reader_flush(struct shmq_consumer *c);
void shmqi_reader_rewind(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx);
int shmqi_reader_seek(struct shmq_consumer *c, const struct shmq_start *start);
uint64_t shmqi_reader_position(const struct shmq_consumer *c);
int shmqi_reader_still_ours(struct shmq_consumer *c);
/* Parts of it, for consumer_past.c. */
#define SHMQI_LAPPED INT32_MIN /* overwritten; durable topics: see the log */
int shmqi_reader_take(struct shmq_consumer *c, uint32_t *ret_slot);
int shmqi_reader_hand(
    struct shmq_consumer *c, uint32_t slot, struct shmq_message *ret);
/* Exclusive: everything before the reader's position may have been handed out
 * from now on. */
void shmqi_reader_saw(struct shmq_consumer *c);
struct shmqi_held *shmqi_reader_new_held(
    struct shmq_consumer *c, uint32_t *ret_slot);
void shmqi_reader_skip(struct shmqi_held *h, uint32_t idx);
/* What counts frames that readers miss for `reason`. */
shmqi_word *shmqi_gap_counter(const struct shmq_consumer *c, uint32_t reason);
int shmqi_reader_gap(
    struct shmq_consumer *c, uint64_t to_pos, uint64_t frames, uint32_t reason);
/* The next record was overwritten: tells the gap and goes on where memory is
 * not being reused. */
int shmqi_reader_lapped(struct shmq_consumer *c);
void shmqi_reader_set_next(
    struct shmq_consumer *c, uint64_t pos, uint64_t skip);

/* -- consumer_past.c: consumers of durable topics ---------------------------
 */
/* Before the group is joined. */
int shmqi_past_open(struct shmq_consumer *c, bool named);
void shmqi_past_free(struct shmq_consumer *c);
int shmqi_past_look(
    struct shmq_consumer *c, uint64_t version, struct shmq_message *ret);
/* Ephemeral and exclusive: where reading goes on. Does not tell the group. */
int shmqi_past_seek(struct shmq_consumer *c, const struct shmq_start *start);
/* The same to a place that is found already: `pos`. */
void shmqi_past_go(
    struct shmq_consumer *c, const struct shmq_start *start, uint64_t pos);
/* Fills `h` with a frame of the log (mpmc). */
int shmqi_past_fill(struct shmq_consumer *c, struct shmqi_held *h,
    const struct shmqi_log_frame *f);
/* A private copy of the frame of sequence `seq`, to be freed; NULL: not to be
 * had. */
struct shmqi_frame;
uint8_t *shmqi_past_copy(
    struct shmq_consumer *c, uint64_t seq, struct shmqi_frame *ret);
/* Stands for the slot word of a frame that is not in the ring any more. */
#define SHMQI_SLOT_IN_LOG UINT64_MAX
int shmqi_member_next_past(struct shmq_consumer *c, struct shmq_message *ret);

/* -- sweep.c: the fast way of poll ------------------------------------------
 */

/* An exclusive reader that looks at the ring itself and has nothing special
 * going on: poll then walks over the records without holding them. */
static inline bool shmqi_sweep_possible(const struct shmq_consumer *c)
{
    return c->mode == SHMQI_MODE_EXCLUSIVE && !c->copies && c->held_cnt == 0 &&
        !c->gap_pending && !c->has_poll && !c->stale && c->next_idx == 0 &&
        c->ring->ttl_ns == 0 && c->skip_before <= c->done_pos &&
        c->done_pos >= c->redeliver_until &&
        !(c->flags & SHMQ_CONSUMER_MANUAL_ACK) &&
        shm_ld(W6, &c->ring->control->version) == c->version;
}
#define SHMQI_SWEEP_OVER INT32_MIN /* something special: go the other way */
int shmqi_reader_sweep(struct shmq_consumer *c,
    int (*handler)(void *ctx, const struct shmq_message *msg), void *ctx,
    uint32_t max);
/* Who published what stands at spsc position `pos`. */
uint64_t shmqi_author(struct shmq_consumer *c, uint64_t pos);

/* -- member.c: shared groups
 * --------------------------------------------------- */
int shmqi_member_open(struct shmq_consumer *c);
void shmqi_member_close(struct shmq_consumer *c);
/* All claims that carry our number go back; attempts stay. */
void shmqi_member_give_back(struct shmq_consumer *c);
int shmqi_member_next(struct shmq_consumer *c, struct shmq_message *ret);
int shmqi_member_ack(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx);
int shmqi_member_ack_many(
    struct shmq_consumer *c, struct shmqi_held *h, uint32_t idx, uint32_t cnt);
int shmqi_member_nack(struct shmq_consumer *c, struct shmqi_held *h,
    uint32_t idx, uint64_t delay_ns);
/* Gives back what is due; `all`: whatever is left. */
void shmqi_member_delayed(struct shmq_consumer *c, bool all);
int shmqi_member_viewed(struct shmq_consumer *c, struct shmqi_held *h);
bool shmqi_member_views_any(const struct shmq_consumer *c);
void shmqi_member_renew(struct shmq_consumer *c);
/* Held up by a claim of another member; looks whether it is dead or late.
 * True when claims moved. */
bool shmqi_member_peers(struct shmq_consumer *c, bool *ret_blocked);
/* A pidfd of the process that holds us up, or -1 (another pid namespace). */
int shmqi_member_watch(struct shmq_consumer *c);
uint64_t shmqi_member_floor(struct shmq_consumer *c);

/* True from now on: the endpoint may look at ring memory. STALE when the role
 * has been taken away. */
int shmqi_view_begin(struct shmq_consumer *c);
void shmqi_view_end(struct shmq_consumer *c);

#endif
