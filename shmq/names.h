/* names.h - the insert-only table of group names, word by word.
 *
 * hash, then the bytes: each word changes once, from 0, by CAS. So a loaded
 * word that is not 0 is final, an inserter that was stopped is helped by the
 * next one of the same name, and nothing can be reused under anybody. */
#ifndef SHMQI_NAMES_H
#define SHMQI_NAMES_H

#include "layout.h"

enum shmqi_name_found {
    SHMQI_NAME_HERE,
    SHMQI_NAME_OTHER, /* go on with the next place */
    SHMQI_NAME_NONE, /* free, and nothing was to be inserted */
    SHMQI_NAME_COLLIDES /* another name of the same hash */
};

/* Is `words` (hash `hash`, not 0) the name at `idx`? Enters it there when the
 * place is free and `insert`; fills in what an inserter has left. */
static inline enum shmqi_name_found shmqi_name_at(const struct shmqi_ring *r,
    uint32_t idx, uint64_t hash, const uint64_t words[SHMQI_NAME_WORDS],
    bool insert)
{
    struct shmqi_name_shm *n = &r->names[idx];
    uint64_t h = shm_ld(J14, &n->hash);
    if (h == 0 && insert) {
        (void)shm_cas(J13, &n->hash, 0, hash);
        h = shm_ld(J14, &n->hash);
    }
    if (h != hash)
        return h == 0 ? SHMQI_NAME_NONE : SHMQI_NAME_OTHER;
    for (uint32_t i = 0; i < SHMQI_NAME_WORDS; i++) {
        if (words[i] != 0)
            (void)shm_cas(J13, &n->bytes[i], 0, words[i]);
        if (shm_ld(J14, &n->bytes[i]) != words[i])
            return SHMQI_NAME_COLLIDES;
    }
    return SHMQI_NAME_HERE;
}

#endif
