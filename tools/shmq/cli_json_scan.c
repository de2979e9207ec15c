/* cli_json_scan.c - strict JSON reader. */
#include "cli_json_scan.h"

#include <stdint.h>
#include <string.h>

#include "cli_utf8.h"

enum { DEPTH_MAX = 64 };

char cli_json_peek(struct cli_json_scan *scan)
{
    while (scan->at < scan->end &&
        (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' ||
            *scan->at == '\r'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

bool cli_json_take(struct cli_json_scan *scan, char c)
{
    if (cli_json_peek(scan) != c || scan->at == scan->end)
        return false;
    scan->at++;
    return true;
}

static bool take_hex4(struct cli_json_scan *scan, uint32_t *ret)
{
    uint32_t value = 0;
    if (scan->end - scan->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *scan->at++;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

/* The code point behind \u; characters above U+FFFF come as two surrogates,
 * and a surrogate alone is no character. */
static bool take_unicode(struct cli_json_scan *scan, uint32_t *ret)
{
    uint32_t high, low;
    if (!take_hex4(scan, &high) || (high >= 0xdc00 && high <= 0xdfff))
        return false;
    if (high < 0xd800 || high > 0xdfff) {
        *ret = high;
        return true;
    }
    if (scan->end - scan->at < 2 || scan->at[0] != '\\' || scan->at[1] != 'u')
        return false;
    scan->at += 2;
    if (!take_hex4(scan, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* Decodes what follows a backslash; *to moves behind it. */
static bool take_escape(struct cli_json_scan *scan, char **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->end)
        return false;
    char c = *scan->at++;
    if (c == 'u') {
        uint32_t code;
        if (!take_unicode(scan, &code))
            return false;
        *to += cli_utf8_encode(code, *to);
        return true;
    }
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    if (name == NULL)
        return false;
    *(*to)++ = values[name - names];
    return true;
}

/* No escape is shorter than what it stands for, so decoding in place never
 * overtakes the reading; the NUL goes at the latest where the closing quote
 * was. */
bool cli_json_take_string(
    struct cli_json_scan *scan, struct cli_json_string *ret)
{
    if (!cli_json_take(scan, '"'))
        return false;
    char *begin = scan->at;
    char *to = begin;
    while (scan->at < scan->end) {
        char c = *scan->at++;
        if (c == '"') {
            *to = '\0';
            ret->data = begin;
            ret->len = (size_t)(to - begin);
            return true;
        }
        if ((unsigned char)c < 0x20)
            return false;
        if (c != '\\')
            *to++ = c;
        else if (!take_escape(scan, &to))
            return false;
    }
    return false;
}

bool cli_json_take_key(struct cli_json_scan *scan, struct cli_json_string *ret)
{
    return cli_json_take_string(scan, ret) && cli_json_take(scan, ':');
}

static bool take_digits(struct cli_json_scan *scan)
{
    char *begin = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > begin;
}

static bool at_one_of(const struct cli_json_scan *scan, char a, char b)
{
    return scan->at < scan->end && (*scan->at == a || *scan->at == b);
}

static bool skip_number(struct cli_json_scan *scan)
{
    if (at_one_of(scan, '-', '-'))
        scan->at++;
    if (at_one_of(scan, '0', '0'))
        scan->at++;
    else if (!take_digits(scan))
        return false;
    if (at_one_of(scan, '.', '.')) {
        scan->at++;
        if (!take_digits(scan))
            return false;
    }
    if (!at_one_of(scan, 'e', 'E'))
        return true;
    scan->at++;
    if (at_one_of(scan, '+', '-'))
        scan->at++;
    return take_digits(scan);
}

static bool skip_literal(struct cli_json_scan *scan)
{
    static const char *const literals[] = {"true", "false", "null"};
    size_t left = (size_t)(scan->end - scan->at);
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(literals[i]);
        if (left >= len && memcmp(scan->at, literals[i], len) == 0) {
            scan->at += len;
            return true;
        }
    }
    return false;
}

static bool skip_scalar(struct cli_json_scan *scan)
{
    struct cli_json_string string;
    char c = cli_json_peek(scan);
    if (c == '"')
        return cli_json_take_string(scan, &string);
    if (c == '-' || (c >= '0' && c <= '9'))
        return skip_number(scan);
    return skip_literal(scan);
}

/* Open brackets: bit n tells whether level n is an object. */
struct nesting {
    uint64_t objects;
    uint32_t depth;
};

static bool in_object(const struct nesting *nesting)
{
    return (nesting->objects >> (nesting->depth - 1) & 1) != 0;
}

/* Goes into the array or object that begins here. *ret_value tells whether a
 * value follows, or the bracket was closed at once. */
static bool enter(
    struct cli_json_scan *scan, struct nesting *nesting, bool *ret_value)
{
    struct cli_json_string key;
    bool object = *scan->at == '{';
    if (nesting->depth == DEPTH_MAX)
        return false;
    scan->at++;
    if (cli_json_take(scan, object ? '}' : ']')) {
        *ret_value = false;
        return true;
    }
    uint64_t bit = UINT64_C(1) << nesting->depth;
    nesting->objects = (nesting->objects & ~bit) | (object ? bit : 0);
    nesting->depth++;
    *ret_value = true;
    return !object || cli_json_take_key(scan, &key);
}

/* Behind a value: closes brackets, up to a comma or the outermost one. */
static bool leave(struct cli_json_scan *scan, struct nesting *nesting)
{
    struct cli_json_string key;
    while (nesting->depth > 0) {
        if (cli_json_take(scan, ','))
            return !in_object(nesting) || cli_json_take_key(scan, &key);
        if (!cli_json_take(scan, in_object(nesting) ? '}' : ']'))
            return false;
        nesting->depth--;
    }
    return true;
}

bool cli_json_skip(struct cli_json_scan *scan)
{
    struct nesting nesting = {0, 0};
    do {
        bool value_follows = false;
        char c = cli_json_peek(scan);
        if (c == '{' || c == '[') {
            if (!enter(scan, &nesting, &value_follows))
                return false;
        } else if (!skip_scalar(scan)) {
            return false;
        }
        if (!value_follows && !leave(scan, &nesting))
            return false;
    } while (nesting.depth > 0);
    return true;
}
