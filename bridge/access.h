/* access.h - who may come in, and who may do what.
 *
 * A text file, one rule a line, `#` begins a comment:
 *
 *     key   <public key, 40 characters>  USER
 *     allow USER|*  VERB[,VERB...]  PATTERN
 *
 * VERB is publish, consume or admin. In PATTERN `*` stands for any characters;
 * names that begin with @ match only patterns that do. What no rule allows is
 * not allowed. Pure: no files, no sockets. */
#ifndef SHMQZ_ACCESS_H
#define SHMQZ_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shmqz_verb {
    SHMQZ_PUBLISH = 1u << 0,
    SHMQZ_CONSUME = 1u << 1,
    SHMQZ_ADMIN = 1u << 2,
};

struct shmqz_access;

/* Reads rules. 0; or the number of the line (from 1) that is wrong, with what
 * is wrong in `error`; -1: no memory. */
int shmqz_access_parse(const char *text, struct shmqz_access **ret, char *error,
    size_t error_room);
void shmqz_access_free(struct shmqz_access *access);

/* How many keys and rules there are. */
uint32_t shmqz_access_key_cnt(const struct shmqz_access *access);
uint32_t shmqz_access_rule_cnt(const struct shmqz_access *access);

/* The user of a key in its printable form, or NULL. Takes the same time for
 * every key that is not there. */
const char *shmqz_access_user(
    const struct shmqz_access *access, const char *key);

/* Whether `key` still belongs to `user`. */
bool shmqz_access_holds(
    const struct shmqz_access *access, const char *key, const char *user);

/* Whether `user` may do one of `verbs` (enum shmqz_verb) on `topic`. */
bool shmqz_access_allows(const struct shmqz_access *access, const char *user,
    uint32_t verbs, const char *topic);

/* The same on every topic whose name begins with `prefix`. */
bool shmqz_access_allows_all(const struct shmqz_access *access,
    const char *user, uint32_t verbs, const char *prefix);

#endif
