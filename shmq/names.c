/* names.c - the insert-only table of group names (groups.h). */
#include <ctype.h>
#include <string.h>

#include "error.h"
#include "groups.h"
#include "names.h"

int shmqi_group_name_check(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    bool legal = n >= 1 && n <= SHMQ_GROUP_MAX;
    for (size_t i = 0; legal && i < n; i++)
        legal = isalnum((unsigned char)name[i]) || strchr("._-@", name[i]);
    if (legal)
        return SHMQ_OK;
    return shmqi_fail(SHMQ_ERR_INVAL,
        "group '%.40s': not a legal name; use 1 "
        "to %d of A-Z a-z 0-9 . _ -",
        name ? name : "", SHMQ_GROUP_MAX);
}

void shmqi_make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            *text = '?';
}

static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (const char *p = name; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
    return h ? h : 1;
}

int shmqi_group_name(
    struct shmqi_segment *s, const char *name, bool insert, uint32_t *ret_idx)
{
    struct shmqi_ring *r = &s->ring;
    uint64_t words[SHMQI_NAME_WORDS] = {0}, hash;
    int rc = shmqi_group_name_check(name);
    if (rc)
        return rc;
    hash = hash_of(name);
    memcpy(words, name, strlen(name));
    for (uint32_t i = 0; i < r->name_cnt; i++) {
        uint32_t idx = (uint32_t)((hash + i) % r->name_cnt);
        enum shmqi_name_found found =
            shmqi_name_at(r, idx, hash, words, insert);
        if (found == SHMQI_NAME_COLLIDES)
            return shmqi_fail(SHMQ_ERR_EXISTS,
                "group %s of %s: its name "
                "collides with another; use another name",
                name, s->topic);
        if (found == SHMQI_NAME_NONE)
            break;
        if (found == SHMQI_NAME_OTHER)
            continue;
        *ret_idx = idx;
        return SHMQ_OK;
    }
    if (!insert)
        return shmqi_fail(SHMQ_ERR_NOENT,
            "group %s of %s: no such group; make "
            "it with shmq group create",
            name, s->topic);
    return shmqi_fail(SHMQ_ERR_LIMIT,
        "%s: %u group names have been used, no "
        "more fit; use an old name, or recreate the topic",
        s->topic, r->name_cnt);
}

void shmqi_group_name_read(
    const struct shmqi_ring *r, uint32_t idx, char ret[SHMQ_GROUP_MAX + 1])
{
    uint64_t words[SHMQI_NAME_WORDS] = {0};
    if (idx < r->name_cnt)
        for (uint32_t i = 0; i < SHMQI_NAME_WORDS; i++)
            words[i] = shm_ld(J14, &r->names[idx].bytes[i]);
    memcpy(ret, words, SHMQ_GROUP_MAX);
    ret[SHMQ_GROUP_MAX] = '\0';
    shmqi_make_printable(ret);
}
