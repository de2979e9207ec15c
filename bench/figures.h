/* figures.h - what a run found: a list of figures, each with one value per
 * repetition, and the same divided by the floor of its repetition. */
#ifndef LAB_FIGURES_H
#define LAB_FIGURES_H

#include <stdint.h>

#define LAB_REPEATS_MAX 64u

struct lab_figure {
    const char *mode;
    const char *transport;
    const char *kind; /* ours, peer, floor */
    const char *metric; /* p50, p99, rate, ... */
    const char *unit;
    int better; /* -1: lower is better, 1: higher, 0: neither */
    uint32_t size; /* bytes of a message */
    uint32_t senders, receivers;
    uint32_t cnt;
    double values[LAB_REPEATS_MAX];
    uint32_t relative_cnt; /* 0, or cnt */
    double relative[LAB_REPEATS_MAX];
    double floors[LAB_REPEATS_MAX]; /* p50 of the floor, ns */
    uint64_t samples; /* behind it, all repetitions */
    uint32_t disturbed; /* repetitions that the jitter probe marked */
    char mark[128]; /* why it should not be trusted; "" */
};

struct lab_figures {
    struct lab_figure *list;
    uint32_t cnt, cap;
};

/* A new figure at the end, zeroed. Ends the program when memory runs out. */
struct lab_figure *lab_figures_add(struct lab_figures *figures);
void lab_figures_free(struct lab_figures *figures);

/* NULL when there is none. */
const struct lab_figure *lab_figures_find(const struct lab_figures *figures,
    const char *mode, const char *transport, uint32_t size, const char *metric);

#endif
