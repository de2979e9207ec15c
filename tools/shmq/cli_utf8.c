/* cli_utf8.c - UTF-8 check and encoder. */
#include "cli_utf8.h"

#include <string.h>

/* Eight bytes at a time while all are ASCII, as most text is. */
static size_t ascii_prefix(const unsigned char *p, size_t len)
{
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (i < len && p[i] < 0x80)
        i++;
    return i;
}

/* Length of the multi-byte sequence at p, or 0 when it is not legal. The
 * second byte's range depends on the first (RFC 3629, section 4). */
static size_t sequence_len(const unsigned char *p, size_t len)
{
    unsigned char first = p[0], low = 0x80, high = 0xbf;
    size_t need;
    if (first >= 0xc2 && first <= 0xdf)
        need = 2;
    else if (first >= 0xe0 && first <= 0xef)
        need = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        need = 4;
    else
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

bool cli_utf8_valid(const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t i = 0;
    while (i < len) {
        i += ascii_prefix(p + i, len - i);
        if (i == len)
            break;
        size_t step = sequence_len(p + i, len - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

size_t cli_utf8_encode(uint32_t code, char buf[4])
{
    if (code < 0x80) {
        buf[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        buf[0] = (char)(0xc0 | code >> 6);
        buf[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        buf[0] = (char)(0xe0 | code >> 12);
        buf[1] = (char)(0x80 | (code >> 6 & 0x3f));
        buf[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    buf[0] = (char)(0xf0 | code >> 18);
    buf[1] = (char)(0x80 | (code >> 12 & 0x3f));
    buf[2] = (char)(0x80 | (code >> 6 & 0x3f));
    buf[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
