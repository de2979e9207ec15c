/* cli_base64.c - base64 encoder and strict decoder. */
#include "cli_base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t cli_base64_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

void cli_base64_encode(const void *data, size_t len, char *to)
{
    const unsigned char *p = data;
    size_t i = 0;
    for (; len - i >= 3; i += 3) {
        uint32_t bits =
            (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | (uint32_t)p[i + 2];
        *to++ = alphabet[bits >> 18];
        *to++ = alphabet[bits >> 12 & 63];
        *to++ = alphabet[bits >> 6 & 63];
        *to++ = alphabet[bits & 63];
    }
    if (i == len)
        return;
    uint32_t bits = (uint32_t)p[i] << 16;
    if (len - i == 2)
        bits |= (uint32_t)p[i + 1] << 8;
    *to++ = alphabet[bits >> 18];
    *to++ = alphabet[bits >> 12 & 63];
    *to++ = len - i == 2 ? alphabet[bits >> 6 & 63] : '=';
    *to++ = '=';
}

/* Value of a digit, or 64 when it is none. */
static uint32_t digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : 64;
}

/* Four digits, of which the last `pads` are '='. Returns false on others. */
static bool decode_quad(const char *text, uint32_t pads, uint32_t *ret_bits)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t value = i < 4 - pads ? digit_value(text[i]) : 0;
        if (value == 64)
            return false;
        bits = bits << 6 | value;
    }
    if ((pads == 1 && (bits & 0xff) != 0) ||
        (pads == 2 && (bits & 0xffff) != 0))
        return false;
    *ret_bits = bits;
    return true;
}

bool cli_base64_decode(const char *text, size_t len, char *to, size_t *ret_len)
{
    size_t done = 0;
    if (len % 4 != 0)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t bits, pads = 0;
        if (i + 4 == len && text[i + 3] == '=')
            pads = text[i + 2] == '=' ? 2 : 1;
        if (!decode_quad(text + i, pads, &bits))
            return false;
        to[done++] = (char)(bits >> 16);
        if (pads < 2)
            to[done++] = (char)(bits >> 8 & 0xff);
        if (pads < 1)
            to[done++] = (char)(bits & 0xff);
    }
    *ret_len = done;
    return true;
}
