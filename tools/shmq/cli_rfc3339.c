/* cli_rfc3339.c - RFC 3339 times, without the C library's time zones. */
#include "cli_rfc3339.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* `cnt` digits at *at. */
static bool scan_digits(const char **at, int cnt, int64_t *ret)
{
    int64_t value = 0;
    for (int i = 0; i < cnt; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret = value;
    return true;
}

static bool scan_char(const char **at, const char *set)
{
    if (**at == '\0' || strchr(set, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

/* Days from 1970-01-01, proleptic Gregorian: years begin in March here, so
 * that the leap day is the last one. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t shifted = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * shifted + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool date_exists(int64_t year, int64_t month, int64_t day)
{
    static const int64_t lengths[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t length = lengths[month - 1] + (month == 2 && leap);
    return day <= length;
}

static bool scan_date(const char **at, int64_t *ret_days)
{
    int64_t year, month, day;
    if (!scan_digits(at, 4, &year) || !scan_char(at, "-") ||
        !scan_digits(at, 2, &month) || !scan_char(at, "-") ||
        !scan_digits(at, 2, &day) || !date_exists(year, month, day))
        return false;
    *ret_days = days_of(year, month, day);
    return true;
}

/* A leap second (60) is taken as the second behind it. */
static bool scan_clock(const char **at, int64_t *ret_s, int64_t *ret_ns)
{
    int64_t hour, minute, second, ns = 0;
    if (!scan_digits(at, 2, &hour) || !scan_char(at, ":") ||
        !scan_digits(at, 2, &minute) || !scan_char(at, ":") ||
        !scan_digits(at, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (**at == '.') {
        int64_t scale = 100000000, digit;
        (*at)++;
        if (!scan_digits(at, 1, &digit))
            return false;
        do {
            ns += digit * scale;
            scale /= 10;
        } while (scan_digits(at, 1, &digit));
    }
    *ret_s = hour * 3600 + minute * 60 + second;
    *ret_ns = ns;
    return true;
}

/* Z, +hh:mm or -hh:mm as seconds east of UTC. */
static bool scan_zone(const char **at, int64_t *ret_s)
{
    int64_t hour, minute;
    if (scan_char(at, "Zz")) {
        *ret_s = 0;
        return true;
    }
    bool west = **at == '-';
    if (!scan_char(at, "+-") || !scan_digits(at, 2, &hour) ||
        !scan_char(at, ":") || !scan_digits(at, 2, &minute) || hour > 23 ||
        minute > 59)
        return false;
    *ret_s = (hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

bool cli_rfc3339_parse(const char *text, uint64_t *ret_ns)
{
    int64_t days, seconds, ns, zone;
    if (!scan_date(&text, &days) || !scan_char(&text, "Tt ") ||
        !scan_clock(&text, &seconds, &ns) || !scan_zone(&text, &zone) ||
        *text != '\0')
        return false;
    int64_t unix_s = days * 86400 + seconds - zone;
    if (unix_s < 0 || unix_s > INT64_MAX / 1000000000 - 1)
        return false;
    *ret_ns = (uint64_t)unix_s * 1000000000 + (uint64_t)ns;
    return true;
}

size_t cli_rfc3339_format(int64_t time_ns, char buf[CLI_RFC3339_BYTES])
{
    time_t seconds = (time_t)(time_ns / 1000000000);
    long ns = (long)(time_ns % 1000000000);
    struct tm tm;
    if (ns < 0) {
        ns += 1000000000;
        seconds--;
    }
    gmtime_r(&seconds, &tm);
    size_t len = strftime(buf, CLI_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(buf + len, CLI_RFC3339_BYTES - len, ".%09ldZ", ns);
    return len + (size_t)(more > 0 ? more : 0);
}
