/* payload.h - what is sent, and what every receiver does with it.
 *
 * A message is `size` bytes, a multiple of 8. Its first word names the producer
 * (top byte) and its sequence number; the rest is a pattern that differs from
 * message to message. The transport copies all of it; the receiver adds up all
 * words and checks the order. At the end the sums of both sides must agree, so
 * no figure comes from bytes that were not moved. */
#ifndef LAB_PAYLOAD_H
#define LAB_PAYLOAD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LAB_PRODUCERS_MAX 16u
#define LAB_SEQ_BITS 56
#define LAB_SEQ_MASK ((UINT64_C(1) << LAB_SEQ_BITS) - 1)
#define LAB_END LAB_SEQ_MASK /* sequence of a producer's last message */

/* Some transports hand out messages at odd addresses. */
typedef uint64_t __attribute__((may_alias, aligned(1))) lab_word;

/* Messages ready to be sent: `cnt` of `size` bytes, one after the other. */
struct lab_source {
    unsigned char *bytes;
    uint64_t *rest; /* sum of the words behind the first, by message */
    uint32_t size, cnt;
    uint32_t next_idx;
    uint64_t next_seq;
    uint64_t producer; /* shifted into place */
    uint64_t sum; /* of all words prepared */
};

/* 0, or -1 when memory runs out. `cnt` 0 takes as many as sit well in a
 * cache. */
int lab_source_open(
    struct lab_source *source, uint32_t size, uint32_t cnt, uint32_t producer);
void lab_source_close(struct lab_source *source);

/* What a receiver keeps. Counting is spread over four places, by sequence
 * number: adding to one word in memory for every message would wait for the
 * addition before it, which is slower than the fastest transports are. */
struct lab_tally {
    uint64_t cnt; /* messages, the last ones of producers not counted */
    uint64_t sum; /* of all their words */
};

struct lab_sink {
    struct lab_tally tallies[4];
    uint64_t expect; /* first word of the next message, if nothing changes */
    uint32_t size; /* expected */
    uint32_t competing; /* others take messages too: order is `rising` */
    uint64_t disorder; /* messages out of order within their producer */
    uint64_t ends; /* producers that have finished */
    uint64_t wrong_size;
    uint64_t next_seq[LAB_PRODUCERS_MAX];
    /* Called per message when set. */
    void (*on_message)(struct lab_sink *sink, uint64_t producer, uint64_t seq);
    void *ctx;
};

/* Messages taken, and the sum of their words. */
static inline uint64_t lab_sink_cnt(const struct lab_sink *sink)
{
    return sink->tallies[0].cnt + sink->tallies[1].cnt + sink->tallies[2].cnt +
        sink->tallies[3].cnt;
}

static inline uint64_t lab_sink_sum(const struct lab_sink *sink)
{
    return sink->tallies[0].sum + sink->tallies[1].sum + sink->tallies[2].sum +
        sink->tallies[3].sum;
}

/* Sum of all words. */
static inline uint64_t lab_sum(const void *data, uint32_t size)
{
    const lab_word *w = (const lab_word *)data;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    uint32_t n = size / 8, i = 0;

    for (; i + 8 <= n; i += 8) {
        a += w[i] + w[i + 4];
        b += w[i + 1] + w[i + 5];
        c += w[i + 2] + w[i + 6];
        d += w[i + 3] + w[i + 7];
    }
    for (; i < n; i++)
        a += w[i];
    return a + b + c + d;
}

/* Takes one received message, of any kind. */
void lab_sink_take_any(struct lab_sink *sink, const void *data, uint64_t size);

/* The same, short for the usual one: 64 bytes, and the next of its producer.
 * Leaves nothing out that the other does. */
static inline void lab_sink_take(
    struct lab_sink *sink, const void *data, uint64_t size)
{
    uint64_t first = *(const lab_word *)data;
    struct lab_tally *tally = &sink->tallies[first % 4];

    if (__builtin_expect(
            first != sink->expect || size != 64 || sink->size != 64, 0)) {
        lab_sink_take_any(sink, data, size);
        return;
    }
    sink->expect = first + 1;
    tally->cnt++;
    tally->sum += lab_sum(data, 64);
    if (__builtin_expect(sink->on_message != 0, 0))
        sink->on_message(sink, first >> LAB_SEQ_BITS, first & LAB_SEQ_MASK);
}

/* The next `cnt` messages, which must divide source->cnt. */
static inline const void *lab_source_next(
    struct lab_source *source, uint32_t cnt)
{
    uint64_t size = source->size, word = source->next_seq | source->producer;
    unsigned char *start = source->bytes + source->next_idx * size, *at = start;
    const uint64_t *rest = source->rest + source->next_idx;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < cnt; i++, at += size, word++) {
        *(lab_word *)at = word;
        sum += word + rest[i];
    }
    source->next_seq += cnt;
    source->sum += sum;
    source->next_idx += cnt;
    if (source->next_idx == source->cnt)
        source->next_idx = 0;
    return start;
}

/* The producer's last message; not counted by anybody. */
const void *lab_source_end(struct lab_source *source);

#ifdef __cplusplus
}
#endif

#endif
