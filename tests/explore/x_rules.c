/* x_rules.c - rules that every single store must keep. Words are sorted once
 * by what they are, so the check costs one look at a table. */
#include <inttypes.h>
#include <stdlib.h>

#include "oracle.h"
#include "words.h"

enum class {
    ANY,
    TAIL,
    GATE,
    SLOT,
    ROLE_CNT,
    VERSION,
    RECLAIMED,
    GROUP,
    BIND,
    CLAIM,
    NEXT,
    FLOOR,
    HINT,
    ROLE,
    IDENTITY
};

/* A change of these is worth another look for those who wait; of others, two
 * who wait could keep each other busy for ever. */
#define PROGRESS \
    (1u << TAIL | 1u << SLOT | 1u << VERSION | 1u << GROUP | 1u << BIND | \
        1u << CLAIM | 1u << FLOOR | 1u << HINT | 1u << ROLE | 1u << IDENTITY)

static uint8_t *classes;

static void set(const void *word, enum class c)
{
    classes[x_memory_off(word) >> 3] = (uint8_t)c;
}

void x_rules_init(void)
{
    struct shmqi_ring *r = x_ring();
    classes = calloc(1, (x_memory_off(r->control) >> 3) + 65536);
    if (!classes)
        abort();
    set(&r->data->tail, TAIL);
    set(&r->data->gate, GATE);
    set(&r->data->role_cnt, ROLE_CNT);
    set(&r->data->hint, HINT);
    set(&r->data->role, ROLE);
    set(&r->data->reclaimed, RECLAIMED);
    set(&r->control->version, VERSION);
    for (uint32_t i = 0; i < r->producer_cnt; i++)
        set(&r->arenas[i].reclaimed, RECLAIMED);
    for (uint32_t i = 0; i < r->name_cnt; i++)
        set(&r->names[i].bind, BIND);
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        set(&r->groups[i].word, GROUP);
        set(&r->groups[i].next, NEXT);
        set(&r->groups[i].floor, FLOOR);
        set(&r->groups[i].reader, ROLE);
    }
    for (uint32_t i = 0; i < r->producer_cnt + r->member_cnt; i++)
        set(&r->endpoints[i].identity, IDENTITY);
    if (r->ring != SHMQ_RING_MPMC)
        return;
    for (uint64_t i = 0; i < 1ull << r->cap_lg2; i++)
        set(&r->slots[i], SLOT);
    for (uint64_t i = 0; i < (uint64_t)r->group_cnt << r->claim_lg2; i++)
        set(&r->claims[i], CLAIM);
}

/* groups.h lists who leaves which state for which. */
static bool group_may(uint64_t old, uint64_t value)
{
    struct shmqi_gword a = shmqi_gword_unpack(old);
    struct shmqi_gword b = shmqi_gword_unpack(value);
    if (b.state == SHMQI_GROUP_FREE)
        return b.generation == ((a.generation + 1) & SHMQI_GENERATION_MASK) &&
            (a.state == SHMQI_GROUP_CREATING || a.state == SHMQI_GROUP_GATING ||
                a.state == SHMQI_GROUP_DELETING);
    if (a.generation != b.generation)
        return false;
    switch (b.state) {
    case SHMQI_GROUP_CREATING:
        return a.state == SHMQI_GROUP_FREE;
    case SHMQI_GROUP_GATING:
        return a.state == SHMQI_GROUP_CREATING && a.endpoint == b.endpoint;
    case SHMQI_GROUP_SEALED:
        return a.state == SHMQI_GROUP_GATING && a.endpoint == b.endpoint;
    case SHMQI_GROUP_READY:
        return a.state == SHMQI_GROUP_SEALED || a.state == SHMQI_GROUP_READY;
    case SHMQI_GROUP_ABSENT:
        return a.state == SHMQI_GROUP_READY && a.joins == b.joins;
    case SHMQI_GROUP_DELETING:
        return a.state == SHMQI_GROUP_READY || a.state == SHMQI_GROUP_ABSENT ||
            a.state == SHMQI_GROUP_GATING || a.state == SHMQI_GROUP_SEALED;
    default:
        return false;
    }
}

/* Words of an entry that is being made are reset by its maker. */
static bool being_made(const void *word, size_t of_claims)
{
    struct shmqi_ring *r = x_ring();
    uint64_t entry = of_claims
        ? (uint64_t)((const shmqi_word *)word - r->claims) >> r->claim_lg2
        : (uint64_t)((const uint8_t *)word - (const uint8_t *)r->groups) /
            sizeof *r->groups;
    struct shmqi_gword w =
        shmqi_gword_unpack(x_memory_newest(&r->groups[entry].word));
    /* A maker whose entry was stolen does not know it yet. */
    return w.state == SHMQI_GROUP_CREATING || w.state == SHMQI_GROUP_GATING ||
        (w.state == SHMQI_GROUP_DELETING && w.joins == 0);
}

static bool claim_may(const void *word, uint64_t old, uint64_t value)
{
    struct shmqi_claim a = shmqi_claim_unpack(old);
    struct shmqi_claim b = shmqi_claim_unpack(value);
    if (b.state > SHMQI_CLAIM_DONE)
        return false;
    if (b.lap != a.lap)
        /* taken for a later lap, or given back as never claimed */
        return (int32_t)(b.lap - a.lap) > 0 ? b.state == SHMQI_CLAIM_CLAIMED ||
                b.state == SHMQI_CLAIM_DEADLETTER || being_made(word, 1)
                                            : being_made(word, 1) ||
                (a.state == SHMQI_CLAIM_CLAIMED && b.lap + 1 == a.lap &&
                    b.state == SHMQI_CLAIM_DONE);
    if (a.state == SHMQI_CLAIM_DONE)
        return being_made(word, 1);
    if (a.state == SHMQI_CLAIM_DEADLETTER && b.attempt == 0 &&
        (b.state == SHMQI_CLAIM_DONE || b.done > a.done))
        return o_buried(word, a.lap, a.done);
    if (a.state == SHMQI_CLAIM_FREE && b.state == SHMQI_CLAIM_DONE)
        return being_made(word, 1);
    if (a.state == SHMQI_CLAIM_CLAIMED && b.state == SHMQI_CLAIM_CLAIMED)
        return a.owner == b.owner && b.done >= a.done;
    return true;
}

static bool floor_may(const void *word, uint64_t old, uint64_t value)
{
    if (shmqi_cursor_tag(old) != shmqi_cursor_tag(value))
        return true; /* the role moves, or a seek begins or ends */
    if (being_made(word, 0) || (shmqi_cursor_tag(old) & SHMQI_TAG_PIN))
        return true;
    return shmqi_sext(value - old, SHMQI_PLACE_BITS) >= 0;
}

static bool may(const void *word, enum class c, uint64_t old, uint64_t value)
{
    switch (c) {
    case TAIL:
        return value == old + 1;
    case GATE:
        return value > old;
    case RECLAIMED:
        return value >= old;
    case ROLE_CNT:
        return value == old + 1;
    case SLOT:
        return value >> SHMQI_FRAME_BITS ==
            (((old >> SHMQI_FRAME_BITS) + 1) & ((1ull << SHMQI_LAP_BITS) - 1));
    case VERSION:
        return value == old + 1 || value == (old | SHMQI_DELETED);
    case GROUP:
        return group_may(old, value);
    case BIND:
        return value >> 16 == (old >> 16) + 1;
    case CLAIM:
        return claim_may(word, old, value);
    case NEXT:
        return ((shmqi_next_epoch(value) - shmqi_next_epoch(old)) &
                   ((1u << 24) - 1)) <= 1;
    case FLOOR:
        return floor_may(word, old, value);
    default:
        return true;
    }
}

void x_rules_store(const void *word, uint64_t old, uint64_t value)
{
    enum class c = classes[x_memory_off(word) >> 3];
    if (__builtin_expect(c == ANY, 1))
        return;
    if (old != value && (c != IDENTITY || value == 0))
        x_run.stores += PROGRESS >> c & 1;
    if (x_fetching || may(word, c, old, value))
        return;
    char name[64];
    x_name(name, sizeof name, word);
    x_fail(
        "no legal change of %s: %#" PRIx64 " to %#" PRIx64, name, old, value);
}
