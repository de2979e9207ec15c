/* deadletter.c - a record that used up its attempts goes to another topic.
 *
 * Only the record at the claim's `done` index goes; the rest of its frame
 * stays in the group. Order: claim as DEADLETTER, copy, look at the claim word
 * again (still mine?), publish, and only then move on: a handler killed in
 * between leaves a claim that is freed and tried again, so the poison may
 * arrive twice (its attribute {topic, position} tells) but is never lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer_impl.h"
#include "mpmc.h"
#include "topic_impl.h"

#define ATTRS_MAX 64

/* The producer on the dead-letter topic; made when missing. */
static struct shmq_producer *producer_of(struct shmq_consumer *c)
{
    if (c->dead_producer)
        return c->dead_producer;
    const char *ns = c->segment->ns, *topic = c->member.dead_letter;
    if (!c->dead_topic &&
        shmq_topic_open(ns, topic, &c->dead_topic) == SHMQ_ERR_NOENT) {
        struct shmq_topic_attrs a;
        memset(&a, 0, sizeof a);
        a.struct_bytes = sizeof a;
        a.mode = c->segment->control_mode;
        a.data_mode = c->segment->data_mode;
        a.arena_bytes = c->ring->arena_bytes > 256u << 10 ? c->ring->arena_bytes
                                                          : 256u << 10;
        a.max_message_bytes = c->ring->max_message;
        a.max_producers = 16;
        if (a.max_message_bytes + 1024 + 128 <= a.arena_bytes / 2)
            a.max_message_bytes += 1024; /* room for the history */
        (void)shmqi_topic_create_system(ns, topic, &a, 0);
        (void)shmq_topic_open(ns, topic, &c->dead_topic);
    }
    if (c->dead_topic)
        (void)shmq_producer_open(c->dead_topic, NULL, &c->dead_producer);
    return c->dead_producer;
}

bool shmqi_dead_letter_copy(struct shmq_consumer *c,
    const struct shmq_message *msg, uint32_t attempts, const char *reason)
{
    struct shmq_attr attrs[ATTRS_MAX + 1];
    uint32_t n = 0;
    while (n < ATTRS_MAX && shmq_message_attr(msg, 0, n, &attrs[n]) == 0)
        n++;
    char group[SHMQ_GROUP_MAX + 1], history[512];
    shmqi_group_name_read(c->ring, c->member.name_idx, group);
    int hist =
        snprintf(history, sizeof history, "%s %llu %s %u %s", c->segment->topic,
            (unsigned long long)msg->position, group, attempts, reason);
    struct shmq_attr h = {SHMQ_ATTR_DEAD_LETTER, (uint32_t)hist, history, NULL};
    attrs[n++] = h;
    struct shmq_record rec = {msg->data, msg->size, attrs, n, 0};
    struct shmq_producer *p = producer_of(c);
    int rc = p ? shmq_producer_publish_batch(p, &rec, 1, NULL) : SHMQ_ERR_FULL;
    if (rc == SHMQ_ERR_CLOSED || rc == SHMQ_ERR_CORRUPT) {
        /* Removed or destroyed meanwhile: opened anew next time. */
        shmq_producer_close(c->dead_producer);
        shmq_topic_close(c->dead_topic);
        c->dead_producer = NULL;
        c->dead_topic = NULL;
    }
    return rc == SHMQ_OK;
}

/* The same for record `k.done` of a copied frame. */
static bool publish(struct shmq_consumer *c, const uint8_t *frame, uint32_t len,
    uint64_t seq, struct shmqi_claim k)
{
    struct shmqi_view v = {0};
    uint32_t off = sizeof(struct shmqi_frame_shm);
    for (uint32_t i = 0; i <= k.done; i++, off = v.next)
        if (!shmqi_record_view(frame, len, off, &v))
            return true; /* nonsense: nothing to save */
    struct shmq_message msg;
    memset(&msg, 0, sizeof msg);
    msg.data = v.data;
    msg.size = v.size;
    msg.attrs = v.attrs;
    msg.attr_bytes = v.attr_bytes;
    msg.position = shmqi_pos(seq, k.done);
    return shmqi_dead_letter_copy(c, &msg, k.attempt, "attempts");
}

/* Copies the frame while the claim is ours, and says whether it still was
 * afterwards. */
static uint8_t *copy_frame(struct shmq_consumer *c, uint64_t seq,
    uint64_t slot_word, uint64_t held, struct shmqi_frame *f)
{
    if (slot_word == SHMQI_SLOT_IN_LOG)
        return shmqi_past_copy(c, seq, f);
    if (!shmqi_frame_open(c->ring, slot_word, f))
        return NULL;
    uint8_t *copy = malloc(f->head.len_bytes);
    if (!copy)
        return NULL;
    shmqi_copy_racy(copy, f->bytes, f->head.len_bytes);
    shm_fence(C2);
    if (shm_ld(S2, shmqi_claim_at(&c->find.claims, seq)) == held &&
        shmqi_mpmc_copy_valid(c->ring, seq, slot_word, f->arena))
        return copy;
    free(copy);
    return NULL;
}

void shmqi_dead_letter(
    struct shmq_consumer *c, uint64_t seq, uint64_t k, uint64_t slot_word)
{
    struct shmqi_claim was = shmqi_claim_unpack(k);
    struct shmqi_frame f;
    uint64_t held;
    if (c->dead_failed)
        return;
    if (!shmqi_claim_take(
            &c->find.claims, seq, k, c->idx, SHMQI_CLAIM_DEADLETTER, &held))
        return;
    uint8_t *copy = copy_frame(c, seq, slot_word, held, &f);
    bool arrived = copy && publish(c, copy, f.head.len_bytes, seq, was);
    free(copy);
    struct shmqi_claim next = shmqi_claim_unpack(held);
    next.owner = 0;
    next.state = SHMQI_CLAIM_FREE;
    if (arrived) {
        next.attempt = 0;
        next.done++;
        if (next.done >= f.head.record_cnt) {
            next.state = SHMQI_CLAIM_DONE;
            next.done = 0;
        }
    }
    if (!arrived) {
        /* Full or missing: it stays, the rest of the group goes on, and the
         * next call tries again. */
        (void)shm_cas(S9, shmqi_claim_at(&c->find.claims, seq), held,
            shmqi_claim_pack(next));
        c->dead_failed = true;
        return;
    }
    shmqi_freeing_begin(&c->find.claims, c->idx);
    bool mine = shm_cas(
        S9, shmqi_claim_at(&c->find.claims, seq), held, shmqi_claim_pack(next));
    shmqi_freeing_end(&c->find.claims, c->idx);
    if (mine)
        (void)shm_add(N3, &c->find.claims.group->dead_lettered, 1);
    shmqi_claims_walk(&c->find.claims, c->find.near);
}
