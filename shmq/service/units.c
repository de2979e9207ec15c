/* units.c - parses numbers, sizes and durations. */
#include "units.h"

#include <string.h>

enum { FRACTION_DIGITS = 9 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool shmqs_scan_u64(const char **at, uint64_t *ret)
{
    const char *p = *at;
    uint64_t value = 0;
    if (!is_digit(*p))
        return false;
    for (; is_digit(*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *at = p;
    *ret = value;
    return true;
}

bool shmqs_scan_fraction(const char **at, uint64_t *ret_billionths)
{
    const char *p = *at;
    uint64_t value = 0;
    *ret_billionths = 0;
    if (*p != '.')
        return true;
    p++;
    if (!is_digit(*p))
        return false;
    int cnt = 0;
    for (; is_digit(*p); p++) {
        if (cnt < FRACTION_DIGITS) {
            value = value * 10 + (uint64_t)(*p - '0');
            cnt++;
        }
    }
    for (; cnt < FRACTION_DIGITS; cnt++)
        value *= 10;
    *at = p;
    *ret_billionths = value;
    return true;
}

bool shmqs_parse_u64(const char *text, uint64_t *ret)
{
    uint64_t value;
    if (!shmqs_scan_u64(&text, &value) || *text != '\0')
        return false;
    *ret = value;
    return true;
}

bool shmqs_parse_octal(const char *text, uint32_t *ret)
{
    uint32_t value = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "01234567") != len)
        return false;
    for (; *text != '\0'; text++)
        value = value * 8 + (uint32_t)(*text - '0');
    *ret = value;
    return true;
}

bool shmqs_parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t value;
    uint32_t shift = 0;
    if (!shmqs_scan_u64(&text, &value))
        return false;
    if (*text == 'K')
        shift = 10;
    else if (*text == 'M')
        shift = 20;
    else if (*text == 'G')
        shift = 30;
    if (shift != 0)
        text++;
    if (*text != '\0' || value > UINT64_MAX >> shift)
        return false;
    *ret_bytes = value << shift;
    return true;
}

static bool unit_ns(const char *unit, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"us", 1000},
        {"ms", 1000 * 1000},
        {"s", 1000000000},
        {"", 1000000000},
        {"m", 60 * UINT64_C(1000000000)},
        {"h", 3600 * UINT64_C(1000000000)},
        {"d", 86400 * UINT64_C(1000000000)},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *ret_ns = units[i].ns;
            return true;
        }
    }
    return false;
}

bool shmqs_parse_duration(const char *text, uint64_t *ret_ns)
{
    uint64_t whole, billionths, unit;
    if (!shmqs_scan_u64(&text, &whole) ||
        !shmqs_scan_fraction(&text, &billionths) || !unit_ns(text, &unit))
        return false;
    /* Units are either below a second or whole seconds: no product of the
     * fraction can overflow. */
    uint64_t part = unit < 1000000000 ? billionths * unit / 1000000000
                                      : billionths * (unit / 1000000000);
    /* Half the range is 292 years, and leaves room for now + duration. */
    if (whole > (INT64_MAX - part) / unit)
        return false;
    *ret_ns = whole * unit + part;
    return true;
}
