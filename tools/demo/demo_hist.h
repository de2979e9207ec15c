/* demo_hist.h - log-linear histogram of times: 16 steps per octave. */
#ifndef SHMQ_DEMO_HIST_H
#define SHMQ_DEMO_HIST_H

#include <stdint.h>

#define DEMO_HIST_CNT 1024

struct demo_hist {
    uint64_t cnt;
    uint64_t max_ns;
    uint64_t buckets[DEMO_HIST_CNT];
};

void demo_hist_add(struct demo_hist *hist, uint64_t ns);
void demo_hist_merge(struct demo_hist *into, const struct demo_hist *from);

/* Upper edge of the bucket that holds the value of rank permille / 1000 (0 to
 * 1000), at most 6 % too high; 0 when nothing was added. */
uint64_t demo_hist_ns(const struct demo_hist *hist, uint32_t permille);

#endif
