/* json_read.c - a small JSON reader: the whole text, one tree. Depth is
 * bounded; escapes other than \" \\ \/ \n \t \uXXXX (below 256) are refused. */
#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32u
#define FILE_MAX_BYTES (64L << 20)

struct reader {
    const char *at;
    const char *error;
};

static struct lab_node *read_value(struct reader *r, uint32_t depth);

static void skip_space(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')
        r->at++;
}

static int skip_char(struct reader *r, char c)
{
    skip_space(r);
    if (*r->at != c)
        return 0;
    r->at++;
    return 1;
}

static int unescape(struct reader *r, char *ret)
{
    unsigned int code;
    char hex[5];

    switch (*r->at) {
    case 'n':
        *ret = '\n';
        break;
    case 't':
        *ret = '\t';
        break;
    case '"':
    case '\\':
    case '/':
        *ret = *r->at;
        break;
    case 'u':
        memcpy(hex, r->at + 1, 4);
        hex[4] = '\0';
        code = (unsigned int)strtoul(hex, NULL, 16);
        if (strlen(hex) < 4 || code == 0 || code > 255)
            return -1;
        *ret = (char)code;
        r->at += 4;
        break;
    default:
        return -1;
    }
    return 0;
}

static char *read_text(struct reader *r)
{
    const char *end;
    char *text;
    size_t len = 0;

    if (!skip_char(r, '"'))
        return NULL;
    for (end = r->at; *end && *end != '"'; end++) {
        if (*end == '\\' && end[1])
            end++;
    }
    text = malloc((size_t)(end - r->at) + 1);
    while (text && *r->at && *r->at != '"') {
        text[len] = *r->at;
        if (*r->at == '\\') {
            r->at++;
            if (unescape(r, &text[len]))
                break;
        }
        r->at++;
        len++;
    }
    if (!text || *r->at != '"') {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    r->at++;
    return text;
}

/* Members of an object or an array, up to its closing bracket. */
static int read_members(
    struct reader *r, struct lab_node *node, char close, uint32_t depth)
{
    struct lab_node **tail = &node->first;

    if (skip_char(r, close))
        return 0;
    do {
        char *key = NULL;

        if (close == '}') {
            key = read_text(r);
            if (!key || !skip_char(r, ':')) {
                free(key);
                return -1;
            }
        }
        *tail = read_value(r, depth + 1);
        if (!*tail) {
            free(key);
            return -1;
        }
        (*tail)->key = key;
        tail = &(*tail)->next;
    } while (skip_char(r, ','));
    return skip_char(r, close) ? 0 : -1;
}

static int read_plain(struct reader *r, struct lab_node *node)
{
    static const struct {
        const char *word;
        enum lab_json_kind kind;
        double number;
    } words[] = {{"null", LAB_JSON_NULL, 0}, {"true", LAB_JSON_NUMBER, 1},
        {"false", LAB_JSON_NUMBER, 0}};
    char *end;

    for (int i = 0; i < 3; i++) {
        size_t len = strlen(words[i].word);

        if (strncmp(r->at, words[i].word, len) == 0) {
            node->kind = words[i].kind;
            node->number = words[i].number;
            r->at += len;
            return 0;
        }
    }
    node->kind = LAB_JSON_NUMBER;
    node->number = strtod(r->at, &end);
    if (end == r->at)
        return -1;
    r->at = end;
    return 0;
}

static struct lab_node *read_value(struct reader *r, uint32_t depth)
{
    struct lab_node *node = calloc(1, sizeof(*node));
    int rc;

    if (!node || depth > DEPTH_MAX) {
        free(node);
        return NULL;
    }
    skip_space(r);
    if (*r->at == '"') {
        node->kind = LAB_JSON_TEXT;
        node->text = read_text(r);
        rc = node->text ? 0 : -1;
    } else if (*r->at == '{' || *r->at == '[') {
        char close = *r->at == '{' ? '}' : ']';

        node->kind = *r->at == '{' ? LAB_JSON_OBJECT : LAB_JSON_ARRAY;
        r->at++;
        rc = read_members(r, node, close, depth);
    } else {
        rc = read_plain(r, node);
    }
    if (rc == 0)
        return node;
    lab_json_free(node);
    return NULL;
}

static char *read_file(const char *path, char *error)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    long len = -1;

    if (f && fseek(f, 0, SEEK_END) == 0)
        len = ftell(f);
    if (len >= 0 && len < FILE_MAX_BYTES)
        text = calloc(1, (size_t)len + 8);
    if (text) {
        rewind(f);
        if (fread(text, 1, (size_t)len, f) != (size_t)len) {
            free(text);
            text = NULL;
        }
    }
    if (!text)
        snprintf(error, 192, "%.120s: %s", path, strerror(errno));
    if (f)
        fclose(f);
    return text;
}

struct lab_node *lab_json_read(const char *path, char *error)
{
    char *text = read_file(path, error);
    struct reader r = {.at = text};
    struct lab_node *node;

    if (!text)
        return NULL;
    node = read_value(&r, 0);
    if (node) {
        skip_space(&r);
        if (*r.at) {
            lab_json_free(node);
            node = NULL;
        }
    }
    if (!node)
        snprintf(error, 192, "%.120s: not JSON at byte %ld", path,
            (long)(r.at - text));
    free(text);
    return node;
}

/* Depth is bounded by the reader. */
void lab_json_free(struct lab_node *node)
{
    while (node) {
        struct lab_node *next = node->next;

        lab_json_free(node->first);
        free(node->text);
        free(node->key);
        free(node);
        node = next;
    }
}

const struct lab_node *lab_json_get(
    const struct lab_node *node, const char *key)
{
    if (!node)
        return NULL;
    for (const struct lab_node *n = node->first; n; n = n->next) {
        if (n->key && strcmp(n->key, key) == 0)
            return n;
    }
    return NULL;
}

const char *lab_json_get_text(const struct lab_node *node, const char *key)
{
    const struct lab_node *n = lab_json_get(node, key);

    return n && n->text ? n->text : "";
}

double lab_json_get_number(const struct lab_node *node, const char *key)
{
    const struct lab_node *n = lab_json_get(node, key);

    return n && n->kind == LAB_JSON_NUMBER ? n->number : 0.0;
}
