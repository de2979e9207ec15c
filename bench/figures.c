/* figures.c - the list of figures. */
#include "figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lab_figure *lab_figures_add(struct lab_figures *figures)
{
    if (figures->cnt == figures->cap) {
        uint32_t cap = figures->cap ? figures->cap * 2 : 64;
        void *list = realloc(figures->list, cap * sizeof(*figures->list));

        if (!list) {
            fprintf(stderr, "shmq-bench: out of memory\n");
            exit(1);
        }
        figures->list = list;
        figures->cap = cap;
    }
    memset(&figures->list[figures->cnt], 0, sizeof(*figures->list));
    return &figures->list[figures->cnt++];
}

void lab_figures_free(struct lab_figures *figures)
{
    free(figures->list);
    memset(figures, 0, sizeof(*figures));
}

const struct lab_figure *lab_figures_find(const struct lab_figures *figures,
    const char *mode, const char *transport, uint32_t size, const char *metric)
{
    for (uint32_t i = 0; i < figures->cnt; i++) {
        const struct lab_figure *f = &figures->list[i];

        if (strcmp(f->mode, mode) == 0 && strcmp(f->metric, metric) == 0 &&
            strcmp(f->transport, transport) == 0 && f->size == size)
            return f;
    }
    return NULL;
}
