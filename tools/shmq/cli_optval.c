/* cli_optval.c - reads option values, and says what is wrong with them. */
#include "cli_optval.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli_units.h"
#include "service/units.h"

static int bad_value(enum cli_opt opt, const char *value, const char *wanted)
{
    return cli_fail(CLI_USAGE, "%s: \"%s\" does not do; give %s",
        cli_opt_name(opt), value, wanted);
}

int cli_optval_u64(const struct cli_args *args, enum cli_opt opt, uint64_t min,
    uint64_t max, uint64_t *ret)
{
    const char *value = cli_opt_value(args, opt);
    uint64_t number;
    if (value == NULL)
        return CLI_DONE;
    if (!shmqs_parse_u64(value, &number) || number < min || number > max) {
        return cli_fail(CLI_USAGE,
            "%s: \"%s\" does not do; give a number from %" PRIu64
            " to %" PRIu64,
            cli_opt_name(opt), value, min, max);
    }
    *ret = number;
    return CLI_DONE;
}

int cli_optval_u32(const struct cli_args *args, enum cli_opt opt, uint32_t min,
    uint32_t max, uint32_t *ret)
{
    uint64_t number = *ret;
    int status = cli_optval_u64(args, opt, min, max, &number);
    if (status == CLI_DONE)
        *ret = (uint32_t)number;
    return status;
}

/* A size of 0 has no use anywhere, and the library would take it as "the
 * default". */
int cli_optval_size(
    const struct cli_args *args, enum cli_opt opt, uint64_t *ret_bytes)
{
    const char *value = cli_opt_value(args, opt);
    uint64_t bytes;
    if (value == NULL)
        return CLI_DONE;
    if (!shmqs_parse_size(value, &bytes) || bytes == 0)
        return bad_value(
            opt, value, "a size above 0: bytes, or a number with K, M or G");
    *ret_bytes = bytes;
    return CLI_DONE;
}

int cli_optval_duration(
    const struct cli_args *args, enum cli_opt opt, uint64_t *ret_ns)
{
    const char *value = cli_opt_value(args, opt);
    if (value == NULL || shmqs_parse_duration(value, ret_ns))
        return CLI_DONE;
    return bad_value(opt, value,
        "a duration: seconds, or a number with us, ms, s, m, h or d");
}

int cli_optval_mode(
    const struct cli_args *args, enum cli_opt opt, uint32_t *ret)
{
    const char *value = cli_opt_value(args, opt);
    uint32_t mode;
    if (value == NULL)
        return CLI_DONE;
    if (!shmqs_parse_octal(value, &mode) || mode == 0 || mode > 0777)
        return bad_value(opt, value, "octal permission bits from 0001 to 0777");
    *ret = mode;
    return CLI_DONE;
}

int cli_optval_rate(const struct cli_args *args, enum cli_opt opt, double *ret)
{
    const char *value = cli_opt_value(args, opt);
    if (value == NULL || cli_parse_rate(value, ret))
        return CLI_DONE;
    return bad_value(opt, value, "records per second, a number above 0");
}

int cli_optval_start(
    const struct cli_args *args, enum cli_opt opt, struct shmq_start *ret)
{
    const char *value = cli_opt_value(args, opt);
    struct timespec now;
    if (value == NULL)
        return CLI_DONE;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    if (cli_parse_start(value, now_ns, ret))
        return CLI_DONE;
    return bad_value(opt, value,
        "earliest, latest, a position, or a time (RFC 3339, @UNIX, "
        "-DURATION)");
}

int cli_optval_choice(
    const struct cli_args *args, enum cli_opt opt, uint32_t *ret)
{
    const char *value = cli_opt_value(args, opt);
    const char *word = cli_opt_placeholder(opt);
    if (value == NULL)
        return CLI_DONE;
    for (uint32_t idx = 0;; idx++) {
        size_t len = strcspn(word, "|");
        if (strlen(value) == len && memcmp(value, word, len) == 0) {
            *ret = idx;
            return CLI_DONE;
        }
        if (word[len] == '\0')
            break;
        word += len + 1;
    }
    return bad_value(opt, value, cli_opt_placeholder(opt));
}

const char *cli_namespace(const struct cli_args *args)
{
    return cli_opt_value(args, CLI_OPT_NAMESPACE);
}
