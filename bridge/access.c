#include "access.h"

#include <shmq/topic.h>
#include <shmq/waitset.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_CHARS 40u
#define USER_MAX 64u
#define ITEMS_MAX 65536u

struct key {
    char key[KEY_CHARS + 1];
    char user[USER_MAX + 1];
};

struct rule {
    char user[USER_MAX + 1]; /* "*": everybody */
    uint32_t verbs;
    char pattern[SHMQ_TOPIC_MAX + 13];
};

struct shmqz_access {
    struct key *keys;
    uint32_t key_cnt, key_cap;
    struct rule *rules;
    uint32_t rule_cnt, rule_cap;
};

/* -- reading ----------------------------------------------------------------
 */

/* Makes room for one more of `cnt` items. */
static bool grow(void **items, uint32_t cnt, uint32_t *cap, size_t bytes)
{
    if (cnt < *cap)
        return true;
    uint32_t more = *cap ? *cap * 2 : 16;
    void *bigger = cnt < ITEMS_MAX ? realloc(*items, more * bytes) : NULL;
    if (!bigger)
        return false;
    *items = bigger;
    *cap = more;
    return true;
}

static bool is_name(const char *s, size_t max)
{
    size_t n = strlen(s);
    return n > 0 && n <= max &&
        strspn(s,
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
            "0123456789._-") == n;
}

static bool is_pattern(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n < SHMQ_TOPIC_MAX + 13 &&
        strspn(s,
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
            "0123456789._-@*") == n;
}

static uint32_t verbs_of(char *list)
{
    static const struct {
        const char *name;
        uint32_t verb;
    } known[] = {{"publish", SHMQZ_PUBLISH}, {"consume", SHMQZ_CONSUME},
        {"admin", SHMQZ_ADMIN}};
    uint32_t verbs = 0;
    char *save = NULL;
    for (char *v = strtok_r(list, ",", &save); v;
         v = strtok_r(NULL, ",", &save)) {
        uint32_t verb = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            verb |= strcmp(v, known[i].name) == 0 ? known[i].verb : 0;
        if (!verb)
            return 0;
        verbs |= verb;
    }
    return verbs;
}

/* NULL, or what is wrong. */
static const char *add_key(struct shmqz_access *a, char *words[4])
{
    if (!words[2] || words[3])
        return "a key line is: key KEY USER";
    if (strlen(words[1]) != KEY_CHARS)
        return "a public key has 40 characters";
    if (!is_name(words[2], USER_MAX))
        return "a user is 1 to 64 of A-Z a-z 0-9 . _ -";
    if (shmqz_access_user(a, words[1]))
        return "the key has a user already";
    void *keys = a->keys;
    if (!grow(&keys, a->key_cnt, &a->key_cap, sizeof *a->keys))
        return "too many keys";
    a->keys = keys;
    struct key *key = &a->keys[a->key_cnt++];
    memset(key, 0, sizeof *key);
    memcpy(key->key, words[1], KEY_CHARS);
    memcpy(key->user, words[2], strlen(words[2]));
    return NULL;
}

static const char *add_rule(struct shmqz_access *a, char *words[4])
{
    if (!words[2] || !words[3])
        return "a rule is: allow USER VERB[,VERB...] PATTERN";
    if (strcmp(words[1], "*") != 0 && !is_name(words[1], USER_MAX))
        return "a user is 1 to 64 of A-Z a-z 0-9 . _ -, or *";
    uint32_t verbs = verbs_of(words[2]);
    if (!verbs)
        return "a verb is publish, consume or admin";
    if (!is_pattern(words[3]))
        return "a pattern is a topic's name in which * may stand";
    void *rules = a->rules;
    if (!grow(&rules, a->rule_cnt, &a->rule_cap, sizeof *a->rules))
        return "too many rules";
    a->rules = rules;
    struct rule *rule = &a->rules[a->rule_cnt++];
    memset(rule, 0, sizeof *rule);
    memcpy(rule->user, words[1], strlen(words[1]));
    memcpy(rule->pattern, words[3], strlen(words[3]));
    rule->verbs = verbs;
    return NULL;
}

static const char *add_line(struct shmqz_access *a, char *line)
{
    char *words[4] = {NULL, NULL, NULL, NULL}, *save = NULL;
    uint32_t n = 0;
    /* A key may hold a #, so a comment needs a line or a space. */
    if (line[strspn(line, " \t\r")] == '#')
        return NULL;
    for (char *w = strtok_r(line, " \t\r", &save); w;
         w = strtok_r(NULL, " \t\r", &save)) {
        if (n >= 2 && w[0] == '#')
            break;
        if (n == 4)
            return "too many words";
        words[n++] = w;
    }
    if (n == 0)
        return NULL;
    if (strcmp(words[0], "key") == 0)
        return add_key(a, words);
    if (strcmp(words[0], "allow") == 0)
        return add_rule(a, words);
    return "a line begins with key, allow or #";
}

int shmqz_access_parse(
    const char *text, struct shmqz_access **ret, char *error, size_t error_room)
{
    struct shmqz_access *a = calloc(1, sizeof *a);
    char *copy = strdup(text), *save = copy;
    if (!a || !copy) {
        free(a);
        free(copy);
        return -1;
    }
    int line = 0;
    const char *wrong = NULL;
    while (save && !wrong) {
        char *at = strsep(&save, "\n");
        line++;
        wrong = add_line(a, at);
    }
    free(copy);
    if (wrong) {
        (void)snprintf(error, error_room, "%s", wrong);
        shmqz_access_free(a);
        return line;
    }
    *ret = a;
    return 0;
}

void shmqz_access_free(struct shmqz_access *access)
{
    if (!access)
        return;
    free(access->keys);
    free(access->rules);
    free(access);
}

/* -- asking -----------------------------------------------------------------
 */

uint32_t shmqz_access_key_cnt(const struct shmqz_access *access)
{
    return access->key_cnt;
}

uint32_t shmqz_access_rule_cnt(const struct shmqz_access *access)
{
    return access->rule_cnt;
}

const char *shmqz_access_user(
    const struct shmqz_access *access, const char *key)
{
    const char *user = NULL;
    for (uint32_t i = 0; i < access->key_cnt; i++) {
        uint8_t differ = 0;
        for (uint32_t c = 0; c < KEY_CHARS; c++)
            differ |= (uint8_t)(access->keys[i].key[c] ^ key[c]);
        if (!differ)
            user = access->keys[i].user;
    }
    return user;
}

bool shmqz_access_holds(
    const struct shmqz_access *access, const char *key, const char *user)
{
    for (uint32_t i = 0; i < access->key_cnt; i++)
        if (strcmp(access->keys[i].user, user) == 0 &&
            strncmp(access->keys[i].key, key, KEY_CHARS) == 0)
            return true;
    return false;
}

static bool concerns(const struct rule *rule, const char *user, uint32_t verbs)
{
    return (rule->verbs & verbs) &&
        (strcmp(rule->user, "*") == 0 || strcmp(rule->user, user) == 0);
}

bool shmqz_access_allows(const struct shmqz_access *access, const char *user,
    uint32_t verbs, const char *topic)
{
    for (uint32_t i = 0; i < access->rule_cnt; i++)
        if (concerns(&access->rules[i], user, verbs) &&
            shmq_pattern_matches(access->rules[i].pattern, topic))
            return true;
    return false;
}

/* Of the patterns only those of the form PREFIX* are sure to cover all. */
bool shmqz_access_allows_all(const struct shmqz_access *access,
    const char *user, uint32_t verbs, const char *prefix)
{
    for (uint32_t i = 0; i < access->rule_cnt; i++) {
        const struct rule *rule = &access->rules[i];
        size_t n = strcspn(rule->pattern, "*");
        bool covers = rule->pattern[n] == '*' && rule->pattern[n + 1] == '\0' &&
            strncmp(rule->pattern, prefix, n) == 0 && strlen(prefix) >= n;
        /* * does not mean the system's topics. */
        bool system = prefix[0] == '@' && rule->pattern[0] != '@';
        if (covers && !system && concerns(rule, user, verbs))
            return true;
    }
    return false;
}
