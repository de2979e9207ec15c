/* oracle_dead.c - the dead-letter topic of every group: a list here, for which
 * its part of the library (deadletter_topic.c) is replaced by the linker. What
 * a publish into another ring does is the matter of other scenarios; here it is
 * one step, with a chance to be killed before it and behind it. */
#include "oracle.h"

#include "consumer_impl.h"
#include "process.h"

enum shmqi_sent __wrap_shmqi_dead_send(struct shmq_consumer *c,
    const struct shmq_message *msg, uint32_t attempts, const char *reason,
    uint64_t *ret_at);
uint64_t __wrap_shmqi_dead_mark(const struct shmq_consumer *c);
bool __wrap_shmqi_dead_gone(struct shmq_consumer *c);
void __wrap_shmqi_dead_shut(struct shmq_consumer *c);

static uint32_t safe_cnt(void)
{
    return oracle.dead_is_late ? oracle.letters_safe : oracle.letter_cnt;
}

/* It goes with reason: a record that nobody gave back, and whose readers all
 * live, has no business here. */
static void check_letter(const struct shmq_consumer *c,
    const struct shmq_message *msg, const struct o_letter *l, bool expired)
{
    const struct o_mark *m =
        &oracle.groups[l->group].marks[l->author][l->number];
    if (l->author >= O_AUTHORS || l->number >= oracle.cnt[l->author])
        x_fail("a dead letter of nobody");
    if (expired && x_run.now - (uint64_t)msg->time_ns <= c->ring->ttl_ns)
        x_fail("record %u of author %u is not too old", l->number, l->author);
    if (!expired && !x_anybody_doomed() && m->handed < oracle.attempts)
        x_fail(
            "record %u of author %u had attempts left", l->number, l->author);
    if (!expired && m->done)
        x_fail("record %u of author %u was done", l->number, l->author);
}

enum shmqi_sent __wrap_shmqi_dead_send(struct shmq_consumer *c,
    const struct shmq_message *msg, uint32_t attempts, const char *reason,
    uint64_t *ret_at)
{
    uint64_t tag;
    (void)attempts;
    x_step();
    if (x_fetching)
        return SHMQI_SENT_SAFE;
    if (oracle.letters_refused && x_below(2)) {
        oracle.letters_refused--;
        return SHMQI_SENT_REFUSED;
    }
    if (!c->dead.topic) {
        c->dead.topic = x_topic(x_who());
        c->dead.counted_ns = oracle.dead_ring; /* the one it has open */
    }
    /* Into a ring that is no more. */
    if (c->dead.counted_ns != oracle.dead_ring)
        return SHMQI_SENT_REFUSED;
    o_payload(msg, &tag);
    struct o_letter l = {msg->position, (uint32_t)(tag >> 8) & 0xff,
        (uint32_t)tag & 0xff, c->member.entry};
    check_letter(c, msg, &l, reason[0] == 'e');
    if (oracle.letter_cnt == O_LETTERS)
        x_fail("one record is buried again and again");
    *ret_at = oracle.letter_cnt;
    oracle.letters[oracle.letter_cnt++] = l;
    x_run.stores++;
    x_step();
    return *ret_at < __wrap_shmqi_dead_mark(c) ? SHMQI_SENT_SAFE
                                               : SHMQI_SENT_WAITS;
}

uint64_t __wrap_shmqi_dead_mark(const struct shmq_consumer *c)
{
    if (!oracle.dead_is_late)
        return UINT64_MAX;
    /* The marks of a ring that is no more stand still. */
    return c->dead.counted_ns == oracle.dead_ring ? oracle.letters_safe : 0;
}

bool __wrap_shmqi_dead_gone(struct shmq_consumer *c)
{
    return !c->dead.topic || c->dead.counted_ns != oracle.dead_ring;
}

void __wrap_shmqi_dead_shut(struct shmq_consumer *c)
{
    c->dead.topic = NULL;
}

/* -- what scenarios call --------------------------------------------------- */

int o_receive_late(struct o_reader *r, struct o_hand *ret)
{
    x_call(2 * X_STEPS);
    if (r->consumer->dead.cnt) /* as shmqi_past_look() */
        shmqi_dead_look(r->consumer);
    return o_receive(r, ret);
}

int o_nack_later(struct o_reader *r, struct o_hand *h, uint64_t delay_ns)
{
    x_call(X_STEPS);
    int rc = shmq_consumer_nack_later(r->consumer, &h->msg, delay_ns);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_STALE)
        x_fail("nack later: %s", shmq_err_name(rc));
    return rc;
}

void o_letters_safe(void)
{
    if (oracle.letters_safe != oracle.letter_cnt)
        x_run.stores++;
    oracle.letters_safe = oracle.letter_cnt;
}

void o_letters_lost(void)
{
    oracle.letter_cnt = oracle.letters_safe;
    oracle.dead_ring++;
    x_run.stores++;
}

static bool is_safe(uint32_t group, uint64_t position)
{
    for (uint32_t i = 0; i < safe_cnt(); i++)
        if (oracle.letters[i].position == position &&
            oracle.letters[i].group == group)
            return true;
    return false;
}

bool o_buried(const void *claim, uint32_t lap, uint32_t done)
{
    struct shmqi_ring *r = x_ring();
    uint64_t at = (uint64_t)((const shmqi_word *)claim - r->claims);
    uint64_t mask = (1ull << r->claim_lg2) - 1;
    for (uint32_t i = 0; i < safe_cnt(); i++) {
        uint64_t seq = shmqi_pos_seq(oracle.letters[i].position);
        if (oracle.letters[i].group == at >> r->claim_lg2 &&
            (seq & mask) == (at & mask) &&
            shmqi_claim_lap(seq, r->claim_lg2) == lap &&
            shmqi_pos_idx(oracle.letters[i].position) == done)
            return true;
    }
    return false;
}

/* As the words of the group say. */
static bool is_done(uint32_t group, uint64_t position)
{
    const struct shmqi_ring *r = x_ring();
    uint64_t near = x_memory_newest(&r->data->tail);
    uint64_t floor =
        shmqi_cursor_pos(x_memory_newest(&r->groups[group].floor), near);
    uint64_t seq = shmqi_pos_seq(position);
    if (!oracle.groups[group].shared)
        return position < floor;
    struct shmqi_claims c = shmqi_claims_of(r, group);
    uint64_t w = x_memory_newest(shmqi_claim_at(&c, seq));
    struct shmqi_claim k = shmqi_claim_unpack(w);
    int32_t age = shmqi_claim_age(&c, w, seq);
    return seq < shmqi_pos_seq(floor) || age > 0 ||
        (age == 0 &&
            (k.state == SHMQI_CLAIM_DONE || shmqi_pos_idx(position) < k.done));
}

void o_check_buried(uint32_t group)
{
    for (uint32_t a = 0; a < O_AUTHORS; a++)
        for (uint32_t i = 0; i < oracle.cnt[a]; i++) {
            const struct o_record *rec = &oracle.records[a][i];
            const struct o_mark *m = &oracle.groups[group].marks[a][i];
            if (rec->published == O_YES && !m->done && !m->maybe &&
                is_done(group, rec->position) && !is_safe(group, rec->position))
                x_fail("record %u of author %u is done, and nowhere", i, a);
        }
}

void o_count_letters(void)
{
    for (uint32_t i = 0; i < safe_cnt(); i++) {
        const struct o_letter *l = &oracle.letters[i];
        oracle.groups[l->group].marks[l->author][l->number].lost = true;
    }
}
