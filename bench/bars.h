/* bars.h - a bar: one figure of ours against one reference and a limit. */
#ifndef LAB_BARS_H
#define LAB_BARS_H

#include "stats.h"

#include <stdint.h>

#define LAB_BAR_REPEATS_MAX 64u

enum lab_sense { LAB_AT_MOST = 1, LAB_AT_LEAST = 2, LAB_REPORT = 3 };

/* What the repetitions of one bar gave. */
struct lab_bar {
    const char *name;
    const char *what; /* one line: ours / reference */
    enum lab_sense sense;
    double limit;
    uint32_t cnt;
    double ratios[LAB_BAR_REPEATS_MAX];
    double ours[LAB_BAR_REPEATS_MAX], reference[LAB_BAR_REPEATS_MAX];
    uint8_t disturbed[LAB_BAR_REPEATS_MAX]; /* the cores were busy */
    uint32_t left_out; /* disturbed repetitions that do not count */
    const char *unit; /* of ours and reference */
    /* Recovery: kills in each repetition, and the longest one in ns. */
    uint32_t kills[LAB_BAR_REPEATS_MAX];
    double worst[LAB_BAR_REPEATS_MAX];
    char skipped[160]; /* why it could not be measured here */
    char failed[192]; /* why measuring went wrong */
};

void lab_bar_add(struct lab_bar *bar, double ours, double reference);

/* When at least five repetitions (or all of fewer) were not disturbed, the
 * others are left out. */
void lab_bar_settle(struct lab_bar *bar);

/* Forgets the newest repetition. */
void lab_bar_undo(struct lab_bar *bar);

/* 1 pass, 0 miss, -1 skipped. Reports (LAB_REPORT) always pass. */
int lab_bar_verdict(const struct lab_bar *bar);

void lab_bar_print(const struct lab_bar *bar);

/* The bars that are no comparison of two transports; bars_special.c. Each
 * fills in one or more bars with `repeats` repetitions. */
struct lab_special {
    const char *names; /* what it is for, comma-separated */
    double seconds; /* about, per repetition */
    void (*measure)(struct lab_bar *bars, uint32_t kills);
    struct lab_bar *bars; /* ends with a bar without a name */
    uint32_t once; /* repetitions make no sense */
};
extern struct lab_special lab_specials[];

/* Durable topics; bars_durable.c. */
extern struct lab_bar lab_durable_bars[];
void lab_durable_measure(struct lab_bar *bars, uint32_t kills);
extern struct lab_bar lab_durable_log_bars[];
void lab_durable_log_measure(struct lab_bar *bars, uint32_t kills);

/* Those of the bridge; bars_bridge.c. */
extern struct lab_bar lab_bridge_feed_bars[], lab_bridge_deliver_bars[],
    lab_bridge_publish_bars[];
void lab_bridge_feed_measure(struct lab_bar *bars, uint32_t kills);
void lab_bridge_deliver_measure(struct lab_bar *bars, uint32_t kills);
void lab_bridge_publish_measure(struct lab_bar *bars, uint32_t kills);

#endif
