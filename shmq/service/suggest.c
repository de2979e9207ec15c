/* suggest.c - edit distance between short words. */
#include "suggest.h"

#include <string.h>

enum { WORD_MAX = 40 }; /* longer words are compared up to here */

static uint32_t least(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance, one row at a time. */
static uint32_t edit_distance(const char *a, const char *b)
{
    uint32_t row[WORD_MAX + 1];
    size_t a_len = strnlen(a, WORD_MAX);
    size_t b_len = strnlen(b, WORD_MAX);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 1; i <= a_len; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= b_len; j++) {
            uint32_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(row[j] + 1, row[j - 1] + 1, change);
        }
    }
    return row[b_len];
}

void shmqs_nearest_begin(struct shmqs_nearest *nearest, const char *word)
{
    nearest->word = word;
    nearest->best = "";
    nearest->distance = UINT32_MAX;
}

/* A word of which the typed one is the beginning is nearer than its distance
 * says: --exit is --exit-when-empty rather than --wait. */
void shmqs_nearest_offer(struct shmqs_nearest *nearest, const char *candidate)
{
    uint32_t distance = edit_distance(nearest->word, candidate);
    size_t len = strlen(nearest->word);
    if (len >= 3 && strncmp(nearest->word, candidate, len) == 0)
        distance = 1;
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

const char *shmqs_nearest_word(const struct shmqs_nearest *nearest)
{
    uint32_t len = (uint32_t)strnlen(nearest->word, WORD_MAX);
    uint32_t most = len / 3 > 2 ? len / 3 : 2;
    return nearest->distance <= most && nearest->distance < len ? nearest->best
                                                                : "";
}
