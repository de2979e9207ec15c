/* words.h - how the 64-bit shared words are packed. Pure functions; no shared
 * memory is touched here. All sequence and lap compares are modular.
 *
 *   slot     lap 36 | frame 28         frame = offset in 64-byte units
 *   claim    lap 32 | state 3 | owner 10 | attempt 7 | done 12
 *   next     epoch 24 | sequence 40
 *   cursor   tag 12 | place 52         place: mpmc sequence 40, index 12;
 *                                      spsc byte offset / 8
 *   group    generation 28 | state 4 | joins 20 | endpoint 12
 *   bind     generation 48 | entry + 1 in 16 (0: none)
 *   names    entry + 1 in 16 above generation 28 (0: names nothing)
 *   commit   length 32 (8-aligned, bit 0: pad) | position / 8, low 32 */
#ifndef SHMQI_WORDS_H
#define SHMQI_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* -- positions ---------------------------------------------------------- */
#define SHMQI_IDX_BITS 12u
#define SHMQI_SEQ_END (1ull << 52) /* sequences stay below */

static inline uint64_t shmqi_pos(uint64_t seq, uint32_t idx)
{
    return seq << SHMQI_IDX_BITS | idx;
}
static inline uint64_t shmqi_pos_seq(uint64_t pos)
{
    return pos >> SHMQI_IDX_BITS;
}
static inline uint32_t shmqi_pos_idx(uint64_t pos)
{
    return (uint32_t)(pos & ((1u << SHMQI_IDX_BITS) - 1));
}

/* Sign-extends the low `bits` of `v`. */
static inline int64_t shmqi_sext(uint64_t v, unsigned bits)
{
    return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

/* -- slot ----------------------------------------------------------------*/
#define SHMQI_FRAME_BITS 28u
#define SHMQI_FRAME_UNIT 64u
#define SHMQI_LAP_BITS 36u

static inline uint64_t shmqi_slot(uint64_t lap, uint64_t frame)
{
    return lap << SHMQI_FRAME_BITS | frame;
}
static inline uint64_t shmqi_slot_frame(uint64_t w)
{
    return w & ((1ull << SHMQI_FRAME_BITS) - 1);
}
/* Lap of a slot word minus the lap that sequence `seq` has: 0 published here,
 * negative not yet, positive overwritten. */
static inline int64_t shmqi_slot_age(uint64_t w, uint64_t seq, uint32_t cap_lg2)
{
    uint64_t lap = (seq >> cap_lg2) + 1;
    return shmqi_sext((w >> SHMQI_FRAME_BITS) - lap, SHMQI_LAP_BITS);
}
static inline uint64_t shmqi_slot_lap(uint64_t seq, uint32_t cap_lg2)
{
    return ((seq >> cap_lg2) + 1) & ((1ull << SHMQI_LAP_BITS) - 1);
}

/* -- claim -------------------------------------------------------------- */
enum shmqi_claim_state {
    SHMQI_CLAIM_FREE = 0,
    SHMQI_CLAIM_CLAIMED = 1,
    SHMQI_CLAIM_DEADLETTER = 2,
    SHMQI_CLAIM_DONE = 3
};
struct shmqi_claim {
    uint32_t lap, state, owner, attempt, done;
};
#define SHMQI_ATTEMPT_MAX 127u

static inline uint64_t shmqi_claim_pack(struct shmqi_claim c)
{
    return (uint64_t)c.lap << 32 | (uint64_t)c.state << 29 |
        (uint64_t)c.owner << 19 | (uint64_t)c.attempt << 12 | c.done;
}
static inline struct shmqi_claim shmqi_claim_unpack(uint64_t w)
{
    struct shmqi_claim c = {(uint32_t)(w >> 32), (uint32_t)(w >> 29) & 7u,
        (uint32_t)(w >> 19) & 1023u, (uint32_t)(w >> 12) & 127u,
        (uint32_t)w & 4095u};
    return c;
}
static inline uint32_t shmqi_claim_lap(uint64_t seq, uint32_t claim_lg2)
{
    return (uint32_t)((seq >> claim_lg2) + 1);
}

/* -- next --------------------------------------------------------------- */
#define SHMQI_NEXT_BITS 40u
#define SHMQI_NEXT_MASK ((1ull << SHMQI_NEXT_BITS) - 1)

static inline uint64_t shmqi_next(uint64_t epoch, uint64_t seq)
{
    return epoch << SHMQI_NEXT_BITS | (seq & SHMQI_NEXT_MASK);
}
static inline uint64_t shmqi_next_epoch(uint64_t w)
{
    return w >> SHMQI_NEXT_BITS;
}
/* near + d, but never below 0: the other end of the number range has slot laps
 * that look like those of an unused ring. */
static inline uint64_t shmqi_expand(uint64_t near, int64_t d)
{
#ifdef SHMQ_BUG_CURSOR_TRUSTED
    return near + (uint64_t)d;
#else
    return d < 0 && (uint64_t)-d > near ? 0 : near + (uint64_t)d;
#endif
}
/* The full sequence of a 40-bit one that lies within 2^39 of `near`. */
static inline uint64_t shmqi_seq_expand(uint64_t low, uint64_t near)
{
    return shmqi_expand(near, shmqi_sext(low - near, SHMQI_NEXT_BITS));
}

/* -- cursor (floor, seen) ------------------------------------------------ */
#define SHMQI_PLACE_BITS 52u
#define SHMQI_PLACE_MASK ((1ull << SHMQI_PLACE_BITS) - 1)

/* Tag of an exclusive floor: the lowest bit marks the pin of a seek that is not
 * through; whoever takes the role adds a step. */
#define SHMQI_TAG_PIN 1ull
#define SHMQI_TAG_STEP 2ull

static inline uint64_t shmqi_cursor(uint64_t tag, uint64_t place)
{
    return tag << SHMQI_PLACE_BITS | (place & SHMQI_PLACE_MASK);
}
static inline uint64_t shmqi_cursor_tag(uint64_t w)
{
    return w >> SHMQI_PLACE_BITS;
}
static inline uint64_t shmqi_cursor_place(uint64_t w)
{
    return w & SHMQI_PLACE_MASK;
}
/* mpmc: position of a cursor, expanded around sequence `near_seq`. */
static inline uint64_t shmqi_cursor_pos(uint64_t w, uint64_t near_seq)
{
    uint64_t near = shmqi_pos(near_seq, 0);
    return shmqi_expand(near, shmqi_sext(w - near, SHMQI_PLACE_BITS));
}

/* -- group --------------------------------------------------------------- */
enum shmqi_group_state {
    SHMQI_GROUP_FREE = 0,
    SHMQI_GROUP_CREATING = 1,
    SHMQI_GROUP_GATING = 2,
    SHMQI_GROUP_READY = 3,
    SHMQI_GROUP_ABSENT = 4,
    SHMQI_GROUP_DELETING = 5,
    SHMQI_GROUP_SEALED = 6
};
struct shmqi_gword {
    uint32_t generation, state, joins, endpoint;
};
#define SHMQI_GENERATION_MASK 0xfffffffu

static inline uint64_t shmqi_gword_pack(struct shmqi_gword g)
{
    return (uint64_t)(g.generation & SHMQI_GENERATION_MASK) << 36 |
        (uint64_t)g.state << 32 | (uint64_t)(g.joins & 0xfffffu) << 12 |
        (g.endpoint & 0xfffu);
}
static inline struct shmqi_gword shmqi_gword_unpack(uint64_t w)
{
    struct shmqi_gword g = {(uint32_t)(w >> 36), (uint32_t)(w >> 32) & 15u,
        (uint32_t)(w >> 12) & 0xfffffu, (uint32_t)w & 0xfffu};
    return g;
}
static inline uint64_t shmqi_gword_with(
    uint64_t w, uint32_t state, uint32_t endpoint)
{
    struct shmqi_gword g = shmqi_gword_unpack(w);
    g.state = state;
    g.endpoint = endpoint;
    return shmqi_gword_pack(g);
}

/* -- bind and the names that endpoints hold ------------------------------ */
static inline uint64_t shmqi_bind(uint64_t generation, uint32_t entry_plus_1)
{
    return generation << 16 | entry_plus_1;
}
static inline uint32_t shmqi_bind_entry(uint64_t w) /* entry + 1, 0: none */
{
    return (uint32_t)w & 0xffffu;
}
static inline uint64_t shmqi_naming(uint32_t entry, uint32_t generation)
{
    return (uint64_t)(entry + 1) << 28 | (generation & SHMQI_GENERATION_MASK);
}

static inline uint32_t shmqi_naming_entry(uint64_t name)
{
    return (uint32_t)(name >> 28) - 1;
}

/* -- spsc commit word ----------------------------------------------------- */
#define SHMQI_COMMIT_PAD 1u

static inline uint64_t shmqi_commit(uint32_t len, uint32_t flags, uint64_t pos)
{
    return (uint64_t)(len | flags) << 32 | (uint32_t)(pos >> 3);
}
static inline uint32_t shmqi_commit_len(uint64_t w)
{
    return (uint32_t)(w >> 32) & ~7u;
}
static inline bool shmqi_commit_is_pad(uint64_t w)
{
    return (w >> 32 & SHMQI_COMMIT_PAD) != 0;
}
static inline bool shmqi_commit_fits(uint64_t w, uint64_t pos)
{
    return (uint32_t)w == (uint32_t)(pos >> 3);
}

#endif
