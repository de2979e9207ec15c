/* scribble_ledger.c - what a game published, and what its readers are handed.
 * Results of calls, too: which are documented. */
#include "game.h"

bool scribble_loud;

int scribble_result(int rc)
{
    scribble_call_end();
    if (scribble_loud)
        (void)fprintf(stderr, "    %d\n", rc);
    if (rc < 0 && strcmp(shmq_err_name(rc), "UNKNOWN") == 0)
        T_FAIL("a result that is not documented");
    if (rc == SHMQ_ERR_FORKED || rc == SHMQ_ERR_NOMEM)
        T_FAIL("a result that has nothing to do with peers");
    return rc;
}

void scribble_only(int rc, const int *legal, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++)
        if (rc == legal[i])
            return;
    (void)fprintf(stderr, "%s gave %d %s: %s\n", scribble_call(), rc,
        shmq_err_name(rc), shmq_error_text());
    T_FAIL("not an error of this call");
}

static struct entry *entry_of(struct game *g, uint64_t position, bool make)
{
    for (uint32_t i = 0; i < LEDGER; i++) {
        struct entry *e =
            &g->ledger[(position * 0x9e3779b97f4a7c15ull + i) % LEDGER];
        if (e->used ? e->position == position : make)
            return e;
        if (!e->used)
            return NULL;
    }
    return NULL;
}

void scribble_enter(struct game *g, uint64_t position, uint64_t tag,
    uint64_t size, uint64_t producer, uint64_t sequence)
{
    struct entry *e = entry_of(g, position, true);
    T_TRUE(e != NULL);
    *e = (struct entry){position, tag, size, producer, sequence, true};
}

static void differs(
    const struct shmq_message *msg, const struct entry *e, const char *text)
{
    (void)fprintf(stderr,
        "position %llu: %llu bytes, producer %llx, sequence %llu; published: "
        "%llu, %llx, %llu\n",
        (unsigned long long)msg->position, (unsigned long long)msg->size,
        (unsigned long long)msg->producer, (unsigned long long)msg->sequence,
        (unsigned long long)e->size, (unsigned long long)e->producer,
        (unsigned long long)e->sequence);
    T_FAIL(text);
}

static void check_record(struct game *g, const struct shmq_message *msg)
{
    const struct entry *e = entry_of(g, msg->position, false);
    const struct entry none = {0};
    if (e == NULL)
        differs(msg, &none, "a record that nobody published");
    if (msg->size != e->size || msg->producer != e->producer ||
        msg->sequence != e->sequence || msg->attr_bytes != 0)
        differs(msg, e, "a record's header differs from what was published");
    if (!t_matches(msg->data, msg->size, e->tag))
        differs(msg, e, "a record's bytes differ from what was published");
}

static volatile uint64_t sink;

static void read_all(const void *p, uint64_t bytes)
{
    const volatile uint8_t *at = p;
    for (uint64_t i = 0; i < bytes; i++)
        sink += at[i];
}

bool scribble_in_ring(const struct game *g, const void *p, uint64_t bytes)
{
    const struct shmqi_ring *r = &g->segment->ring;
    const uint8_t *at = p, *base = r->arena_base;
    uint64_t room = r->arena_bytes * r->producer_cnt;
    return at >= base && bytes <= room && at + bytes <= base + room;
}

/* What a durable topic's reader took from the log is in memory of its own. */
static bool in_copy(const struct user *u, const void *p, uint64_t bytes)
{
    const struct shmq_consumer *c = u->c;
    const uint8_t *at = p;
    for (uint32_t i = 0; c->past && i < c->held_max; i++) {
        const struct shmqi_held *h = &c->held[i];
        if (h->used && h->copy && at >= h->copy && bytes <= h->copy_cap &&
            at + bytes <= h->copy + h->copy_cap)
            return true;
    }
    return false;
}

static bool in_bounds(
    const struct game *g, const struct user *u, const void *p, uint64_t bytes)
{
    return u->c->copies || scribble_in_ring(g, p, bytes) ||
        in_copy(u, p, bytes);
}

void scribble_check_message(
    struct game *g, const struct user *u, const struct shmq_message *msg)
{
    struct shmq_attr a;
    if (!in_bounds(g, u, msg->data, msg->size) ||
        !in_bounds(g, u, msg->attrs, msg->attr_bytes))
        T_FAIL("a view that leaves the file");
    read_all(msg->data, msg->size);
    read_all(msg->attrs, msg->attr_bytes);
    for (uint32_t i = 0; i < 200 && shmq_message_attr(msg, 0, i, &a) == 0; i++)
        read_all(a.value, a.value_bytes);
    if (g->control_only)
        check_record(g, msg);
}
