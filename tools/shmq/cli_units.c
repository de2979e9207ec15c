/* cli_units.c - parses sizes, durations, positions and times. */
#include "cli_units.h"

#include <stdlib.h>
#include <string.h>

#include "cli_rfc3339.h"

enum { FRACTION_DIGITS = 9 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits at *at and moves it behind them; false without any, or when
 * they do not fit. */
static bool scan_u64(const char **at, uint64_t *ret)
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

/* Reads an optional ".digits" as billionths; digits behind the ninth are
 * below a nanosecond in every unit that matters and are dropped. */
static bool scan_fraction(const char **at, uint64_t *ret_billionths)
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

bool cli_parse_u64(const char *text, uint64_t *ret)
{
    uint64_t value;
    if (!scan_u64(&text, &value) || *text != '\0')
        return false;
    *ret = value;
    return true;
}

bool cli_parse_octal(const char *text, uint32_t *ret)
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

bool cli_parse_size(const char *text, uint64_t *ret_bytes)
{
    uint64_t value;
    uint32_t shift = 0;
    if (!scan_u64(&text, &value))
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

bool cli_parse_duration(const char *text, uint64_t *ret_ns)
{
    uint64_t whole, billionths, unit;
    if (!scan_u64(&text, &whole) || !scan_fraction(&text, &billionths) ||
        !unit_ns(text, &unit))
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

bool cli_parse_rate(const char *text, double *ret)
{
    const char *p = text;
    uint64_t whole, billionths;
    if (!scan_u64(&p, &whole) || !scan_fraction(&p, &billionths) ||
        *p != '\0' || (whole == 0 && billionths == 0))
        return false;
    *ret = (double)whole + (double)billionths / 1e9;
    return true;
}

static bool parse_unix(const char *text, uint64_t *ret_ns)
{
    uint64_t seconds, billionths;
    if (!scan_u64(&text, &seconds) || !scan_fraction(&text, &billionths) ||
        *text != '\0' || seconds > INT64_MAX / 1000000000 - 1)
        return false;
    *ret_ns = seconds * 1000000000 + billionths;
    return true;
}

bool cli_parse_time(const char *text, uint64_t now_ns, uint64_t *ret_ns)
{
    if (*text == '@')
        return parse_unix(text + 1, ret_ns);
    if (*text == '-') {
        uint64_t ago;
        if (!cli_parse_duration(text + 1, &ago))
            return false;
        *ret_ns = ago < now_ns ? now_ns - ago : 0;
        return true;
    }
    return cli_rfc3339_parse(text, ret_ns);
}

bool cli_parse_start(const char *text, uint64_t now_ns, struct shmq_start *ret)
{
    struct shmq_start start = {SHMQ_START_DEFAULT, 0, 0};
    if (strcmp(text, "earliest") == 0)
        start.kind = SHMQ_START_EARLIEST;
    else if (strcmp(text, "latest") == 0)
        start.kind = SHMQ_START_LATEST;
    else if (cli_parse_u64(text, &start.value))
        start.kind = SHMQ_START_POSITION;
    else if (cli_parse_time(text, now_ns, &start.value))
        start.kind = SHMQ_START_TIME;
    else
        return false;
    *ret = start;
    return true;
}
