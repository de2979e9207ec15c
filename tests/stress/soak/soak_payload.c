/* soak_payload.c - what record `seq` of a producer holds follows from the seed,
 * the producer's identity and seq; the second word tells which publish it is
 * part of, and the words behind depend on it. */
#include <string.h>

#include "stress/soak/soak.h"

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return z ^ (z >> 32);
}

static uint64_t tag_of(uint64_t seed, uint64_t producer, uint64_t seq)
{
    return mix(seed ^ producer ^ seq * GOLDEN);
}

static uint64_t size_of(uint64_t tag)
{
    if (tag % 1024 == 0)
        return 24 + (tag >> 20) % (SOAK_PAYLOAD_MAX - 24);
    uint64_t size = 24 + (tag >> 10) % 5 * 8;
    return (tag >> 30) % 4 == 0 ? size + (tag >> 40) % 8 : size;
}

uint64_t soak_size(uint64_t seed, uint64_t producer, uint64_t seq)
{
    return size_of(tag_of(seed, producer, seq));
}

void soak_fill(void *at, uint64_t size, uint64_t seed, uint64_t producer,
    uint64_t seq, uint64_t first, uint32_t cnt)
{
    char *to = at;
    uint64_t tag = tag_of(seed, producer, seq);
    uint64_t part = first | (uint64_t)cnt << 56;
    uint64_t word = mix(tag ^ part);
    memcpy(to, &tag, 8);
    memcpy(to + 8, &part, 8);
    uint64_t i = 16;
    for (; i + 8 <= size; i += 8, word += GOLDEN)
        memcpy(to + i, &word, 8);
    memcpy(to + i, &word, size - i);
}

bool soak_check(const struct shmq_message *msg, uint64_t seed,
    uint64_t *ret_first, uint32_t *ret_cnt)
{
    const char *from = msg->data;
    uint64_t tag = tag_of(seed, msg->producer, msg->sequence);
    uint64_t is, part, word;
    if (msg->size != size_of(tag))
        return false;
    memcpy(&is, from, 8);
    memcpy(&part, from + 8, 8);
    uint64_t wrong = is ^ tag;
    uint64_t right = mix(tag ^ part);
    uint64_t i = 16;
    for (; i + 8 <= msg->size; i += 8, right += GOLDEN) {
        memcpy(&word, from + i, 8);
        wrong |= word ^ right;
    }
    *ret_first = part & UINT64_C(0x00ffffffffffffff);
    *ret_cnt = (uint32_t)(part >> 56);
    return wrong == 0 && memcmp(from + i, &right, msg->size - i) == 0 &&
        msg->sequence - *ret_first < *ret_cnt;
}
