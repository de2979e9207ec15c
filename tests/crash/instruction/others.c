/* others.c - see others.h. */
#include "others.h"

#include <string.h>

#include "disk.h"
#include "watermarks.h"
#include "words.h"

#define RECORDS 2u
#define HALF_MADE_NS 11000000u

static uint64_t began;

static void start(void)
{
    began = real_ns();
}

static void stop(void)
{
    span_note(&totals->waits, real_ns() - began);
}

/* -- attaching
 * ------------------------------------------------------------------- */

static void open_producer(struct others *o)
{
    start();
    int rc = shmq_producer_open(o->w->live_topic, NULL, &o->producer);
    stop();
    bool role = o->w->config.ring == SHMQ_RING_SPSC &&
        shm_word(&o->w->live.ring.data->role) != 0;
    bool entry = o->w->config.ring == SHMQ_RING_SPSC &&
        shm_word(&o->w->live.ring.endpoints[0].identity) != 0;
    if (rc != SHMQ_OK && !(rc == SHMQ_ERR_BUSY && (role || entry)))
        broken("another producer cannot open: %s (I6)", shmq_error_text());
}

static void open_reader(struct others *o, enum group g)
{
    int rc;
    start();
    o->reader[g] = world_reader(o->w->live_topic, g, &rc);
    stop();
    bool shared = g == WORK && o->w->config.ring == SHMQ_RING_MPMC;
    bool moves = config_has(&o->w->config, OP_FREE | OP_RELEASE);
    if (rc != SHMQ_OK && !(rc == SHMQ_ERR_BUSY && !shared) &&
        !(rc == SHMQ_ERR_NOENT && moves) && !(rc == SHMQ_ERR_GAP && moves))
        broken("another member cannot join %s: %s (I6)", group_names[g],
            shmq_error_text());
}

void others_open(struct others *o)
{
    if (!o->producer)
        open_producer(o);
    for (enum group g = AUDIT; g < GROUPS; g++)
        if (!o->reader[g])
            open_reader(o, g);
}

void others_close(struct others *o)
{
    shmq_producer_close(o->producer);
    for (enum group g = AUDIT; g < GROUPS; g++)
        shmq_consumer_close(o->reader[g]);
    o->producer = NULL;
    memset(o->reader, 0, sizeof o->reader);
}

/* -- publishing
 * -------------------------------------------------------------------- */

/* Some group that gates has all of the ring to do; or shmqd has. */
static bool full_is_right(const struct shmqi_ring *r)
{
    uint64_t end = shm_end(r);
    if (r->marks && r->ring == SHMQ_RING_SPSC)
        return end - shmqi_marks_drained(r, end) >=
            r->arena_bytes - 2 * (OTHERS_BYTES + 40);
    if (r->marks)
        return end - shmqi_marks_drained(r, end) >= 1ull << r->cap_lg2;
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint32_t state = shmqi_gword_unpack(shm_word(&r->groups[i].word)).state;
        uint64_t floor = shm_word(&r->groups[i].floor);
        if (state != SHMQI_GROUP_READY && state != SHMQI_GROUP_DELETING)
            continue;
        if (r->ring == SHMQ_RING_SPSC &&
            end - (shmqi_cursor_place(floor) << 3) >=
                r->arena_bytes - 2 * (OTHERS_BYTES + 40))
            return true;
        if (r->ring == SHMQ_RING_MPMC &&
            end - shmqi_pos_seq(shmqi_cursor_pos(floor, end)) >= 1ull
                    << r->cap_lg2)
            return true;
    }
    return false;
}

static int publish_one(struct others *o)
{
    uint8_t data[OTHERS_BYTES];
    fill_payload(data, sizeof data, o->next);
    start();
    int rc = shmq_producer_publish(o->producer, data, sizeof data, NULL);
    stop();
    return rc;
}

static void publish(struct others *o)
{
    for (uint32_t i = 0; i < RECORDS; i++) {
        int rc = publish_one(o);
        /* A group that is half made may hold them up for a moment. */
        if (rc == SHMQ_ERR_FULL && !full_is_right(&o->w->live.ring)) {
            *the_clock += HALF_MADE_NS;
            rc = publish_one(o);
        }
        if (rc == SHMQ_OK)
            tags_add(&o->published, o->next++);
        else if (rc != SHMQ_ERR_FULL)
            broken("another producer: %s (I6)", shmq_err_name(rc));
        else if (!full_is_right(&o->w->live.ring))
            broken("another producer: FULL, and nobody gates (I6)");
    }
}

/* -- receiving
 * ------------------------------------------------------------------------ */

static bool is_work(const struct shmqi_ring *r, const struct shmqi_group_shm *g)
{
    uint64_t attrs = shm_word(&g->attrs), name = 0;
    memcpy(&name, group_names[WORK], strlen(group_names[WORK]));
    return shmqi_gword_unpack(shm_word(&g->word)).state == SHMQI_GROUP_READY &&
        (attrs & 0xff) == SHMQ_GROUP_SHARED &&
        shm_word(&r->names[(attrs >> 32) & 0xffffff].bytes[0]) == name;
}

/* Every record of the group is done or held by somebody. */
static bool empty_is_right(const struct shmqi_ring *r)
{
    uint64_t end = shm_end(r), mask = (1ull << r->claim_lg2) - 1;
    if (r->marks) /* nobody is handed what is not on disk */
        end = shmqi_marks_drained(r, end);
    for (uint32_t i = 0; r->ring == SHMQ_RING_MPMC && i < r->group_cnt; i++) {
        const struct shmqi_group_shm *g = &r->groups[i];
        uint64_t floor =
            shmqi_pos_seq(shmqi_cursor_pos(shm_word(&g->floor), end));
        if (!is_work(r, g))
            continue;
        for (uint64_t q = floor; q < end; q++) {
            uint64_t k = shm_word(
                &r->claims[((uint64_t)i << r->claim_lg2) + (q & mask)]);
            struct shmqi_claim c = shmqi_claim_unpack(k);
            if (c.lap != shmqi_claim_lap(q, r->claim_lg2) ||
                c.state == SHMQI_CLAIM_FREE)
                return false;
        }
    }
    return true;
}

static bool moves(const struct others *o)
{
    return config_has(&o->w->config,
        OP_FREE | OP_RELEASE | OP_EVICTS | OP_LEASE | OP_DROP_OLD | OP_PREY);
}

static void release(struct others *o, enum group g, struct shmq_message *m)
{
    uint32_t tag = tag_of(&o->w->config, m);
    if (tag == 0)
        broken("another member of %s: torn (I5)", group_names[g]);
    start();
    int rc = shmq_consumer_release(o->reader[g], m);
    stop();
    if (rc == SHMQ_OK)
        tags_add(&o->done[g], tag);
    else if (!moves(o))
        broken("another member's release: %s (I8)", shmq_err_name(rc));
}

/* True when a record was received. */
static bool receive(struct others *o, enum group g, struct shmq_message *m)
{
    int rc = SHMQ_ERR_GAP;
    bool gaps = config_has(&o->w->config, OP_DROP_OLD);
    for (uint32_t i = 0; rc == SHMQ_ERR_GAP && i <= gaps * 3u; i++) {
        start();
        rc = shmq_consumer_receive(o->reader[g], m);
        stop();
    }
    if (rc == SHMQ_ERR_EMPTY && g == WORK && !moves(o) &&
        !empty_is_right(&o->w->live.ring))
        broken("another member: EMPTY, and records are free (I6)");
    if (rc != SHMQ_OK && rc != SHMQ_ERR_EMPTY && !moves(o))
        broken(
            "another member of %s: %s (I6)", group_names[g], shmq_err_name(rc));
    return rc == SHMQ_OK;
}

static void take(struct others *o, enum group g)
{
    if (o->kept[g])
        release(o, g, &o->held[g]);
    else if (o->keeps) {
        o->kept[g] = receive(o, g, &o->held[g]);
        return;
    }
    o->kept[g] = o->keeps = false;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct shmq_message m;
        if (!receive(o, g, &m))
            return;
        release(o, g, &m);
    }
}

void others_work(struct others *o)
{
    if (config_has(&o->w->config, OP_INBOX) &&
        shmq_inbox_sweep(o->w->ns, 0, NULL) != SHMQ_OK)
        broken("a sweep of inboxes: %s (I6)", shmq_error_text());
    if (o->producer)
        publish(o);
    if (o->w->live_disk)
        disk_serve(o->w->live_disk);
    for (enum group g = AUDIT; g < GROUPS; g++)
        if (o->reader[g])
            take(o, g);
    if (o->producer)
        publish(o);
}
