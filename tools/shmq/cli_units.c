/* cli_units.c - parses rates, positions and times. */
#include "cli_units.h"

#include <string.h>

#include "cli_rfc3339.h"
#include "service/units.h"

bool cli_parse_rate(const char *text, double *ret)
{
    const char *p = text;
    uint64_t whole, billionths;
    if (!shmqs_scan_u64(&p, &whole) || !shmqs_scan_fraction(&p, &billionths) ||
        *p != '\0' || (whole == 0 && billionths == 0))
        return false;
    *ret = (double)whole + (double)billionths / 1e9;
    return true;
}

static bool parse_unix(const char *text, uint64_t *ret_ns)
{
    uint64_t seconds, billionths;
    if (!shmqs_scan_u64(&text, &seconds) ||
        !shmqs_scan_fraction(&text, &billionths) || *text != '\0' ||
        seconds > INT64_MAX / 1000000000 - 1)
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
        if (!shmqs_parse_duration(text + 1, &ago))
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
    else if (shmqs_parse_u64(text, &start.value))
        start.kind = SHMQ_START_POSITION;
    else if (cli_parse_time(text, now_ns, &start.value))
        start.kind = SHMQ_START_TIME;
    else
        return false;
    *ret = start;
    return true;
}
