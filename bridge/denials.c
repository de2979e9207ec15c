#include "denials.h"

#include <stdint.h>
#include <stdio.h>

#include "service/service_log.h"

#define REMEMBERED 1024u

static uint64_t hash(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return h * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

void shmqz_denied(const char *user, const char *what, const char *thing)
{
    static uint64_t seen[REMEMBERED];
    uint64_t h = hash(hash(hash(0xcbf29ce484222325, user), what), thing);
    uint64_t *slot = &seen[(h >> 32) % REMEMBERED];
    if (*slot == h)
        return;
    *slot = h;
    shmqs_log_about(SHMQS_WARNING, "user", *user ? user : "-",
        "refused: %s %s (told once)", what, thing);
}
