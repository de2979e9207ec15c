/* cli_suggest.h - finds the known word that a mistyped one is nearest to. */
#ifndef SHMQ_CLI_SUGGEST_H
#define SHMQ_CLI_SUGGEST_H

#include <stdint.h>

struct cli_nearest {
    const char *word;
    const char *best; /* "" while nothing was offered */
    uint32_t distance;
};

void cli_nearest_begin(struct cli_nearest *nearest, const char *word);
void cli_nearest_offer(struct cli_nearest *nearest, const char *candidate);

#endif
