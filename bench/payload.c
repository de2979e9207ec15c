/* payload.c - making the messages to send. */
#define _GNU_SOURCE
#include "payload.h"

#include <stdlib.h>
#include <string.h>

#define POOL_BYTES_MAX 16384u /* sources share the cache with the ring */

/* splitmix64: a pattern without repeats. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint32_t pool_cnt(uint32_t size)
{
    uint32_t cnt = 64;

    while (cnt > 1 && (uint64_t)cnt * size > POOL_BYTES_MAX)
        cnt /= 2;
    return cnt;
}

int lab_source_open(
    struct lab_source *source, uint32_t size, uint32_t cnt, uint32_t producer)
{
    uint64_t words = size / 8;

    memset(source, 0, sizeof(*source));
    source->size = size;
    source->cnt = cnt ? cnt : pool_cnt(size);
    source->producer = (uint64_t)producer << LAB_SEQ_BITS;
    if (posix_memalign(
            (void **)&source->bytes, 4096, (size_t)source->cnt * size) != 0)
        return -1;
    source->rest = calloc(source->cnt, sizeof(*source->rest));
    if (!source->rest) {
        free(source->bytes);
        return -1;
    }
    for (uint32_t i = 0; i < source->cnt; i++) {
        lab_word *w = (lab_word *)(source->bytes + (uint64_t)i * size);

        w[0] = 0;
        for (uint64_t k = 1; k < words; k++)
            w[k] = mix(i * words + k + ((uint64_t)producer << 40));
        source->rest[i] = lab_sum(w, size);
    }
    return 0;
}

void lab_source_close(struct lab_source *source)
{
    free(source->bytes);
    free(source->rest);
    source->bytes = NULL;
    source->rest = NULL;
}

const void *lab_source_end(struct lab_source *source)
{
    *(lab_word *)source->bytes = LAB_END | source->producer;
    return source->bytes;
}

/* A message that is not the next one: of another producer, a producer's end,
 * or out of order. True when it counts. */
static int surprise(struct lab_sink *sink, uint64_t first)
{
    uint64_t seq = first & LAB_SEQ_MASK;
    uint64_t producer = first >> LAB_SEQ_BITS;
    uint64_t before = sink->expect >> LAB_SEQ_BITS;

    if (producer >= LAB_PRODUCERS_MAX) {
        sink->disorder++;
        return 0;
    }
    if (seq == LAB_END) {
        sink->ends++;
        return 0;
    }
    /* What the last run of messages brought its producer to. */
    sink->next_seq[before] = sink->expect & LAB_SEQ_MASK;
    if (seq < sink->next_seq[producer] ||
        (seq > sink->next_seq[producer] && !sink->competing))
        sink->disorder++;
    return 1;
}

void lab_sink_take_any(struct lab_sink *sink, const void *data, uint64_t size)
{
    uint64_t first = *(const lab_word *)data;
    struct lab_tally *tally = &sink->tallies[first % 4];

    if (first != sink->expect && !surprise(sink, first))
        return;
    if (size != sink->size) {
        sink->wrong_size++;
        return;
    }
    sink->expect = first + 1;
    tally->cnt++;
    tally->sum += lab_sum(data, sink->size);
    if (sink->on_message)
        sink->on_message(sink, first >> LAB_SEQ_BITS, first & LAB_SEQ_MASK);
}
