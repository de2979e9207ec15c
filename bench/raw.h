/* raw.h - samples one by one, for those who ask (--raw): when each message was
 * meant to be sent, and how long it took. In memory that the parties share; one
 * of them writes. */
#ifndef LAB_RAW_H
#define LAB_RAW_H

#include <stdint.h>

#define LAB_RAW_MAX (UINT64_C(1) << 22) /* samples of one measurement */

struct lab_raw_sample {
    uint64_t at, took; /* ticks */
};

struct lab_raw {
    uint64_t cnt; /* may exceed LAB_RAW_MAX: the rest was not kept */
    struct lab_raw_sample samples[LAB_RAW_MAX];
};

static inline void lab_raw_add(struct lab_raw *raw, uint64_t at, uint64_t took)
{
    if (raw->cnt < LAB_RAW_MAX)
        raw->samples[raw->cnt] = (struct lab_raw_sample){at, took};
    raw->cnt++;
}

#endif
