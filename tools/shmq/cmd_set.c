/* cmd_set.c - `shmq set`: changes what history a durable topic keeps. */
#include "commands.h"

#include <string.h>

#include "cli_options.h"
#include "cli_optval.h"
#include "service/suggest.h"
#include "service/units.h"

static const char *const keys[] = {
    "retain-bytes", "retain-age", "retain-consumed", "max-lag-bytes"};

static int bad_key(const char *key, size_t len)
{
    struct shmqs_nearest nearest;
    char word[64];
    if (len >= sizeof(word))
        len = sizeof(word) - 1;
    memcpy(word, key, len);
    word[len] = '\0';
    shmqs_nearest_begin(&nearest, word);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        shmqs_nearest_offer(&nearest, keys[i]);
    const char *meant = shmqs_nearest_word(&nearest);
    if (strcmp(word, "ttl") == 0)
        return cli_fail(CLI_USAGE,
            "ttl: a topic has the one that it was made with; make another "
            "topic, or limit its history: shmq set TOPIC retain-age=DURATION");
    return cli_fail(CLI_USAGE,
        "%s: cannot be set; %s%s%sset one of "
        "retain-bytes, retain-age, retain-consumed, "
        "max-lag-bytes",
        word, *meant != '\0' ? "did you mean " : "", meant,
        *meant != '\0' ? "? " : "");
}

static int bad_value(const char *pair, const char *form)
{
    return cli_fail(
        CLI_USAGE, "%s: the value does not do; give a %s", pair, form);
}

/* KEY=V. */
static int take_pair(const char *pair, struct shmq_retention *ret)
{
    size_t len = strcspn(pair, "=");
    const char *value = pair + len + 1;
    bool is[4] = {false, false, false, false};
    for (size_t i = 0; i < 4; i++)
        is[i] = strlen(keys[i]) == len && memcmp(keys[i], pair, len) == 0;
    if (!is[0] && !is[1] && !is[2] && !is[3])
        return bad_key(pair, len);
    if (pair[len] != '=')
        return cli_fail(
            CLI_USAGE, "%s: its value is missing; give KEY=VALUE", pair);
    if (is[0]) {
        ret->flags |= SHMQ_RETAIN_BYTES;
        if (!shmqs_parse_size(value, &ret->retain_bytes))
            return bad_value(pair, "SIZE, 0 for no limit");
    } else if (is[1]) {
        ret->flags |= SHMQ_RETAIN_AGE;
        if (!shmqs_parse_duration(value, &ret->retain_age_ns))
            return bad_value(pair, "DURATION, 0 for no limit");
    } else if (is[2]) {
        ret->flags |= SHMQ_RETAIN_CONSUMED;
        ret->consumed = value;
    } else {
        ret->flags |= SHMQ_MAX_LAG;
        if (!shmqs_parse_size(value, &ret->max_lag_bytes))
            return bad_value(pair, "SIZE, 0 for no limit");
    }
    return CLI_DONE;
}

static int run_set(const struct cli_args *args)
{
    struct shmq_retention retention;
    memset(&retention, 0, sizeof(retention));
    retention.struct_bytes = sizeof(retention);
    for (uint32_t i = 1; i < args->operand_cnt; i++) {
        int status = take_pair(args->operands[i], &retention);
        if (status != CLI_DONE)
            return status;
    }
    int rc = shmq_topic_set_retention(
        cli_namespace(args), args->operands[0], &retention);
    return rc == SHMQ_OK ? CLI_DONE : cli_fail_rc(rc, args->operands[0]);
}

static const struct cli_option_help set_opts[] = {{CLI_OPT_NONE, NULL}};

const struct cli_command cmd_set = {
    .name = "set",
    .operands = "TOPIC KEY=VALUE...",
    .operand_min = 2,
    .operand_max = UINT32_MAX,
    .summary = "change what history a durable topic keeps, live",
    .opts = set_opts,
    .notes =
        "retain-bytes=SIZE, retain-age=DURATION, max-lag-bytes=SIZE: 0 takes\n"
        "the limit away. retain-consumed=all|GROUP,GROUP: history goes when\n"
        "these groups are done with it; retain-consumed= switches it off.\n"
        "What is already gone does not come back. shmqd must run (status "
        "9).\n",
    .examples = "  shmq set orders retain-bytes=10G retain-age=7d\n"
                "  shmq set orders retain-consumed=billing,audit\n",
    .run = run_set,
};
