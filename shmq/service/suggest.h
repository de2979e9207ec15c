/* suggest.h - finds the known word that a mistyped one is nearest to. */
#ifndef SHMQS_SUGGEST_H
#define SHMQS_SUGGEST_H

#include <stdint.h>

struct shmqs_nearest {
    const char *word;
    const char *best; /* "" while nothing was offered */
    uint32_t distance;
};

void shmqs_nearest_begin(struct shmqs_nearest *nearest, const char *word);
void shmqs_nearest_offer(struct shmqs_nearest *nearest, const char *candidate);
/* The nearest word, or "" when none is so near that it may have been meant. */
const char *shmqs_nearest_word(const struct shmqs_nearest *nearest);

#endif
