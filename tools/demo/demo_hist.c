/* demo_hist.c - see demo_hist.h. */
#include "demo_hist.h"

static uint32_t bucket_of(uint64_t ns)
{
    if (ns < 16)
        return (uint32_t)ns;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(ns); /* 4 or more */
    return (octave - 3) * 16 + (uint32_t)(ns >> (octave - 4)) - 16;
}

static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < 16)
        return bucket;
    uint32_t octave = bucket / 16 + 3;
    uint64_t step = UINT64_C(1) << (octave - 4);
    return (UINT64_C(1) << octave) + (bucket % 16 + 1) * step - 1;
}

void demo_hist_add(struct demo_hist *hist, uint64_t ns)
{
    hist->cnt++;
    hist->buckets[bucket_of(ns)]++;
    if (ns > hist->max_ns)
        hist->max_ns = ns;
}

void demo_hist_merge(struct demo_hist *into, const struct demo_hist *from)
{
    into->cnt += from->cnt;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    for (uint32_t i = 0; i < DEMO_HIST_CNT; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t demo_hist_ns(const struct demo_hist *hist, uint32_t permille)
{
    uint64_t rank = (hist->cnt * permille + 999) / 1000;
    uint64_t seen = 0;
    if (hist->cnt == 0)
        return 0;
    for (uint32_t i = 0; i < DEMO_HIST_CNT; i++) {
        seen += hist->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t end = bucket_end(i);
            return end < hist->max_ns ? end : hist->max_ns;
        }
    }
    return hist->max_ns;
}
