#include "oracle.h"

#include <string.h>

struct oracle oracle;

#define MAGIC 0x5348000000000000ull

static uint64_t tag_of(uint32_t author, uint32_t number)
{
    return MAGIC | (uint64_t)author << 8 | number;
}

static uint64_t word_of(uint64_t tag, uint32_t i)
{
    return i == 0 ? tag : (tag + i) * 0x9e3779b97f4a7c15ull;
}

/* -- opening -------------------------------------------------------------- */

struct shmq_producer *o_producer_try(
    uint32_t process, uint32_t author, int *ret_rc)
{
    struct shmq_producer_options o = {sizeof o, 0, 1};
    struct shmq_producer *p = NULL;
    x_call(X_STEPS);
    *ret_rc = shmq_producer_open(x_topic(process), &o, &p);
    if (*ret_rc)
        return NULL;
    oracle.identity[author] = shmq_producer_identity(p);
    return p;
}

struct shmq_producer *o_producer(uint32_t process, uint32_t author)
{
    int rc;
    struct shmq_producer *p = o_producer_try(process, author, &rc);
    if (!p)
        x_fail("producer open: %s (%s)", shmq_err_name(rc), shmq_error_text());
    return p;
}

struct shmq_consumer_options o_options(
    const char *name, uint32_t kind, uint32_t flags)
{
    struct shmq_consumer_options o;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.group = name;
    o.flags = flags;
    o.attrs.kind = kind;
    o.prefetch_frames = 3;
    o.spin_ns = 1;
    return o;
}

int o_reader_try(uint32_t process, const struct shmq_consumer_options *options,
    uint32_t group, struct o_reader *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->group = group;
    ret->ordered = options->attrs.kind != SHMQ_GROUP_SHARED;
    oracle.groups[group].shared = !ret->ordered;
    x_call(X_STEPS);
    return shmq_consumer_open(x_topic(process), options, &ret->consumer);
}

struct o_reader o_reader(uint32_t process, const char *name, uint32_t group,
    uint32_t kind, uint32_t flags)
{
    struct shmq_consumer_options o = o_options(name, kind, flags);
    struct o_reader r;
    int rc = o_reader_try(process, &o, group, &r);
    if (rc)
        x_fail("consumer open: %s (%s)", shmq_err_name(rc), shmq_error_text());
    return r;
}

/* -- publishing ----------------------------------------------------------- */

static struct o_record *next_record(
    uint32_t author, uint32_t words, uint64_t *payload)
{
    uint32_t number = oracle.cnt[author];
    if (number == O_RECORDS || words > 16)
        x_fail("the oracle has no room");
    for (uint32_t i = 0; i < words; i++)
        payload[i] = word_of(tag_of(author, number), i);
    struct o_record *rec = &oracle.records[author][number];
    rec->published = O_MAYBE;
    rec->words = (uint8_t)words;
    oracle.cnt[author]++;
    return rec;
}

static void published(uint32_t author, uint32_t number, uint64_t position)
{
    struct o_record *rec = &oracle.records[author][number];
    rec->published = O_YES;
    rec->position = position;
    if (number && oracle.records[author][number - 1].published == O_YES &&
        oracle.records[author][number - 1].position >= position)
        x_fail("positions of author %u do not go up", author);
}

static int refused(uint32_t author, uint32_t cnt, int rc)
{
    for (uint32_t i = 0; i < cnt; i++)
        oracle.records[author][--oracle.cnt[author]].published = O_NEVER;
    if (rc != SHMQ_ERR_FULL && rc != SHMQ_ERR_CLOSED && rc != SHMQ_ERR_TIMEOUT)
        x_fail("publish: %s", shmq_err_name(rc));
    return rc;
}

int o_publish(struct shmq_producer *p, uint32_t author, uint32_t words)
{
    uint64_t payload[16], position = 0;
    uint32_t number = oracle.cnt[author];
    (void)next_record(author, words, payload);
    x_call(X_STEPS);
    int rc = shmq_producer_publish(p, payload, words * 8ull, &position);
    if (rc)
        return refused(author, 1, rc);
    published(author, number, position);
    return rc;
}

int o_publish_wait(struct shmq_producer *p, uint32_t author, uint32_t words,
    uint64_t deadline_ns)
{
    uint64_t payload[16], position = 0;
    uint32_t number = oracle.cnt[author];
    (void)next_record(author, words, payload);
    x_call(8 * X_STEPS);
    int rc = shmq_producer_publish_wait(
        p, payload, words * 8ull, deadline_ns, &position);
    if (rc)
        return refused(author, 1, rc);
    published(author, number, position);
    return rc;
}

int o_publish_batch(
    struct shmq_producer *p, uint32_t author, uint32_t cnt, uint32_t words)
{
    uint64_t payload[4][16], positions[4];
    struct shmq_record recs[4];
    uint32_t first = oracle.cnt[author];
    for (uint32_t i = 0; i < cnt; i++) {
        (void)next_record(author, words, payload[i]);
        recs[i] = (struct shmq_record){payload[i], words * 8ull, NULL, 0, 0};
    }
    x_call(X_STEPS);
    int rc = shmq_producer_publish_batch(p, recs, cnt, positions);
    if (rc)
        return refused(author, cnt, rc);
    for (uint32_t i = 0; i < cnt; i++)
        published(author, first + i, positions[i]);
    return rc;
}

int o_commit(struct shmq_producer *p, uint32_t author, struct shmq_loan *loan,
    uint32_t words)
{
    uint64_t payload[16], position = 0;
    uint32_t number = oracle.cnt[author];
    (void)next_record(author, words, payload);
    shmqi_hooks->put(loan->data, payload, words * 8ull);
    x_call(X_STEPS);
    int rc = shmq_producer_commit(p, loan, words * 8ull, &position);
    if (rc)
        return refused(author, 1, rc);
    published(author, number, position);
    return rc;
}

/* -- receiving ------------------------------------------------------------ */

/* The payload is whole, and says who wrote it. */
void o_payload(const struct shmq_message *msg, uint64_t *ret_tag)
{
    uint64_t words[16];
    if (x_fetching) {
        x_fetch_range(msg->data, msg->size);
        x_fetch_range(msg->attrs, msg->attr_bytes);
    }
    if (msg->size < 8 || msg->size > sizeof words || msg->size % 8)
        x_fail("a record of %llu bytes", (unsigned long long)msg->size);
    x_read(words, msg->data, msg->size);
    for (uint32_t i = 0; i < msg->size / 8; i++)
        if (words[i] != word_of(words[0], i) || words[0] >> 48 != MAGIC >> 48)
            x_fail("a torn record at position %llu: word %u is %#llx",
                (unsigned long long)msg->position, i,
                (unsigned long long)words[i]);
    *ret_tag = words[0];
}

static void check_author(const struct o_hand *h)
{
    const struct shmq_message *msg = &h->msg;
    const struct o_record *rec = &oracle.records[h->author][h->number];
    if (rec->published == O_NEVER)
        x_fail(
            "record %u of author %u was never published", h->number, h->author);
    if (rec->words * 8ull != msg->size)
        x_fail("record %u of author %u has another size", h->number, h->author);
    if (rec->published == O_YES && rec->position != msg->position)
        x_fail("record %u of author %u has another position", h->number,
            h->author);
    if (msg->sequence != h->number)
        x_fail("record %u of author %u carries sequence %llu", h->number,
            h->author, (unsigned long long)msg->sequence);
    if (oracle.identity[h->author] &&
        msg->producer != oracle.identity[h->author])
        x_fail("record %u of author %u carries another producer", h->number,
            h->author);
}

static void check_order(struct o_reader *r, const struct o_hand *h)
{
    bool again = h->msg.flags & SHMQ_MESSAGE_REDELIVERED;
    if (r->ordered && r->any && h->msg.position <= r->last)
        x_fail("position %llu after %llu", (unsigned long long)h->msg.position,
            (unsigned long long)r->last);
    r->last = h->msg.position;
    r->any = true;
    if (!r->ordered)
        return;
    if (r->gapless && r->begun[h->author] && h->number != r->next[h->author])
        x_fail("author %u: record %u comes after %u", h->author, h->number,
            r->next[h->author] - 1);
    if (!again && r->begun[h->author] && h->number < r->next[h->author])
        x_fail("author %u: record %u comes late", h->author, h->number);
    r->begun[h->author] = true;
    r->next[h->author] = h->number + 1;
}

static void check_hand(struct o_reader *r, struct o_hand *h)
{
    uint64_t tag;
    o_payload(&h->msg, &tag);
    h->author = (uint32_t)(tag >> 8) & 0xff;
    h->number = (uint32_t)tag & 0xff;
    if (h->author >= O_AUTHORS || h->number >= O_RECORDS)
        x_fail("a record of nobody");
    check_author(h);
    check_order(r, h);
    struct o_group *g = &oracle.groups[r->group];
    struct o_mark *m = &g->marks[h->author][h->number];
    bool again = h->msg.flags & SHMQ_MESSAGE_REDELIVERED;
    if (!again && m->unflagged++ && !g->flux)
        x_fail("record %u of author %u is handed out again without its flag",
            h->number, h->author);
    if (m->done && g->shared && !g->moves && !g->flux)
        x_fail("record %u of author %u is handed out after it was done",
            h->number, h->author);
    m->handed++;
}

/* Gaps begin where the last record ended, and end where the next begins. */
static void check_gap(struct o_reader *r)
{
    struct shmq_gap gap;
    if (!oracle.groups[r->group].lossy)
        x_fail("a gap, where nothing may be lost");
    if (!r->exact)
        return;
    X_TRUE(shmq_consumer_gap(r->consumer, &gap) == SHMQ_OK);
    if (gap.from != r->expected || gap.to <= gap.from ||
        gap.frames != (gap.to - gap.from) >> 12)
        x_fail("a gap from %llu to %llu, %llu frames; expected from %llu",
            (unsigned long long)gap.from, (unsigned long long)gap.to,
            (unsigned long long)gap.frames, (unsigned long long)r->expected);
    r->expected = gap.to;
}

static int received(struct o_reader *r, struct o_hand *ret, int rc)
{
    switch (rc) {
    case SHMQ_OK:
        ret->stale = false;
        check_hand(r, ret);
        if (r->exact && ret->msg.position != r->expected)
            x_fail("position %llu, expected %llu",
                (unsigned long long)ret->msg.position,
                (unsigned long long)r->expected);
        r->expected = (ret->msg.position | 4095) + 1;
        break;
    case SHMQ_ERR_GAP:
        check_gap(r);
        break;
    case SHMQ_ERR_EMPTY:
    case SHMQ_ERR_TIMEOUT:
    case SHMQ_ERR_STALE:
    case SHMQ_ERR_LIMIT:
    case SHMQ_ERR_CLOSED:
        break;
    default:
        x_fail("receive: %s", shmq_err_name(rc));
    }
    return rc;
}

int o_receive(struct o_reader *r, struct o_hand *ret)
{
    x_call(X_STEPS);
    return received(r, ret, shmq_consumer_receive(r->consumer, &ret->msg));
}

int o_receive_wait(struct o_reader *r, struct o_hand *ret, uint64_t deadline_ns)
{
    x_call(8 * X_STEPS);
    return received(r, ret,
        shmq_consumer_receive_wait(r->consumer, deadline_ns, &ret->msg));
}

int o_seek_back(struct o_reader *r)
{
    struct o_group *g = &oracle.groups[r->group];
    struct shmq_start start = {SHMQ_START_EARLIEST, 0, 0};
    if (x_below(2)) {
        start.kind = SHMQ_START_POSITION;
        start.value = r->last;
    }
    for (uint32_t a = 0; a < O_AUTHORS; a++)
        for (uint32_t i = 0; i < O_RECORDS; i++) {
            g->marks[a][i].maybe += g->marks[a][i].done;
            g->marks[a][i].done = false;
            g->marks[a][i].handed = g->marks[a][i].unflagged = 0;
        }
    r->any = false;
    memset(r->begun, 0, sizeof r->begun);
    x_call(X_STEPS);
    int rc = shmq_consumer_seek(r->consumer, &start);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_STALE)
        x_fail("seek: %s", shmq_err_name(rc));
    return rc;
}

/* It has not changed under our eyes. */
static void look_again(const struct o_hand *h)
{
    uint64_t tag;
    o_payload(&h->msg, &tag);
    if (tag != tag_of(h->author, h->number))
        x_fail(
            "record %u of author %u has become another", h->number, h->author);
}

int o_release(struct o_reader *r, struct o_hand *h)
{
    struct o_mark *m = &oracle.groups[r->group].marks[h->author][h->number];
    look_again(h);
    m->maybe++;
    x_call(X_STEPS);
    int rc = shmq_consumer_release(r->consumer, &h->msg);
    const struct o_group *g = &oracle.groups[r->group];
    if (rc == SHMQ_OK && m->done && g->shared && !g->flux)
        x_fail("record %u of author %u is acknowledged twice", h->number,
            h->author);
    if (rc == SHMQ_OK)
        m->done = true;
    else if (rc == SHMQ_ERR_STALE)
        m->maybe--;
    else
        x_fail("release: %s", shmq_err_name(rc));
    return rc;
}

int o_nack(struct o_reader *r, struct o_hand *h)
{
    look_again(h);
    x_call(X_STEPS);
    int rc = shmq_consumer_nack(r->consumer, &h->msg);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_STALE)
        x_fail("nack: %s", shmq_err_name(rc));
    return rc;
}

uint32_t o_drain(struct o_reader *r)
{
    struct o_hand h;
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < 2 * O_AUTHORS * O_RECORDS; i++) {
        int rc = o_receive(r, &h);
        if (rc == SHMQ_ERR_GAP)
            continue;
        if (rc != SHMQ_OK)
            return cnt;
        (void)o_release(r, &h);
        cnt++;
    }
    x_fail("a reader that never comes to an end");
}

void o_peek(struct o_reader *r, uint32_t group, uint32_t cnt)
{
    struct shmq_consumer_options o = o_options(NULL, 0, 0);
    struct o_hand h;
    o.start.kind = SHMQ_START_EARLIEST;
    oracle.groups[group].lossy = true;
    int rc = o_reader_try(x_who(), &o, group, r);
    if (rc)
        x_fail("peek: %s (%s)", shmq_err_name(rc), shmq_error_text());
    for (uint32_t i = 0; i < cnt; i++) {
        rc = o_receive(r, &h);
        if (rc == SHMQ_OK)
            (void)o_release(r, &h);
        else if (rc != SHMQ_ERR_GAP && !x_idle())
            break;
    }
    x_call(X_STEPS);
    shmq_consumer_close(r->consumer);
    r->consumer = NULL;
}

int o_handle(void *ctx, const struct shmq_message *msg)
{
    struct o_reader *r = ctx;
    struct o_hand h;
    h.msg = *msg;
    check_hand(r, &h);
    x_yield();
    look_again(&h);
    oracle.groups[r->group].marks[h.author][h.number].maybe++;
    x_call(X_STEPS);
    return SHMQ_HANDLED_ACK;
}

/* -- the end -------------------------------------------------------------- */

void o_check_done(uint32_t group, uint64_t from)
{
    struct o_group *g = &oracle.groups[group];
    for (uint32_t a = 0; a < O_AUTHORS; a++)
        for (uint32_t i = 0; i < oracle.cnt[a]; i++) {
            struct o_record *rec = &oracle.records[a][i];
            struct o_mark *m = &g->marks[a][i];
            if (rec->published == O_YES && rec->position >= from && !m->done &&
                !m->maybe && !m->lost)
                x_fail(
                    "record %u of author %u is lost to group %u", i, a, group);
        }
}

void o_check_positions(void)
{
    uint64_t seen[O_AUTHORS * O_RECORDS];
    uint32_t n = 0;
    for (uint32_t a = 0; a < O_AUTHORS; a++)
        for (uint32_t i = 0; i < oracle.cnt[a]; i++) {
            if (oracle.records[a][i].published != O_YES)
                continue;
            for (uint32_t k = 0; k < n; k++)
                if (seen[k] == oracle.records[a][i].position)
                    x_fail("two records at one position");
            seen[n++] = oracle.records[a][i].position;
        }
}
