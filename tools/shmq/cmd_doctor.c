/* cmd_doctor.c - `shmq doctor` and `shmq health`: what is wrong, and what to
 * do. */
#include "commands.h"

#include <string.h>

#include "cli_optval.h"
#include "findings.h"

static int print_text(const struct findings *f, enum finding_level least)
{
    struct cli_out out = {NULL, 0, 0};
    findings_text(f, least, &out);
    int status = cli_out_flush(&out);
    cli_out_free(&out);
    return status;
}

static int print_json(const struct findings *f, const char *verdict)
{
    struct cli_out out = {NULL, 0, 0};
    struct cli_json json = {&out, false};
    cli_json_begin(&json, '{');
    cli_json_key(&json, "status");
    cli_json_name(&json, verdict);
    cli_json_key(&json, "findings");
    findings_json(f, FINDING_OK, &json);
    cli_json_end(&json, '}');
    cli_out_char(&out, '\n');
    int status = cli_out_flush(&out);
    cli_out_free(&out);
    return status;
}

static int run_doctor(const struct cli_args *args)
{
    const char *ns = cli_namespace(args);
    struct findings f;
    memset(&f, 0, sizeof(f));
    check_shm(&f);
    check_limits(&f);
    check_kernel(&f);
    check_logind(&f);
    int checked = check_topics(&f, ns);
    if (checked != CLI_DONE && checked != CLI_NO_DAEMON) {
        findings_free(&f);
        return checked;
    }
    check_leftovers(&f, ns);
    bool bad = findings_any(&f, FINDING_BAD);
    int status = cli_opt_given(args, CLI_OPT_JSON)
        ? print_json(&f, bad ? "bad" : "ok")
        : print_text(&f, FINDING_OK);
    findings_free(&f);
    return status != CLI_DONE || !bad ? status : CLI_FAILED;
}

static int run_health(const struct cli_args *args)
{
    struct findings f;
    memset(&f, 0, sizeof(f));
    check_shm_room(&f);
    int checked = check_topics(&f, cli_namespace(args));
    if (checked != CLI_DONE && checked != CLI_NO_DAEMON) {
        findings_free(&f);
        return checked;
    }
    bool bad = findings_any(&f, FINDING_BAD);
    if (checked == CLI_DONE && bad)
        checked = CLI_FAILED;
    int status = cli_opt_given(args, CLI_OPT_JSON)
        ? print_json(&f, bad ? "degraded" : "well")
        : print_text(&f, FINDING_BAD);
    findings_free(&f);
    return status != CLI_DONE ? status : checked;
}

static const struct cli_option_help json_opts[] = {
    {CLI_OPT_JSON, "print one JSON object with status and findings"},
    {CLI_OPT_NONE, NULL},
};

const struct cli_command cmd_doctor = {
    .name = "doctor",
    .operands = "",
    .operand_min = 0,
    .operand_max = 0,
    .summary = "look at the host and the topics, say what to do",
    .opts = json_opts,
    .notes =
        "A line each: ok, hint (works; could be better) or bad (does not\n"
        "work, or is stuck), what was looked at, what was found, what to do.\n"
        "/dev/shm: kind, size, room, permissions. Limits of this process and\n"
        "its memory control group. Kernel features, tried out. Whether "
        "logind\n"
        "would remove topics at logout (RemoveIPC). The topics of the\n"
        "namespace, and leftovers of killed processes. Nothing is changed.\n"
        "Status 1 when anything is bad.\n",
    .examples = "  shmq doctor\n"
                "  shmq doctor --json | jq '.findings[] | "
                "select(.level != \"ok\")'\n",
    .run = run_doctor,
};

const struct cli_command cmd_health = {
    .name = "health",
    .operands = "",
    .operand_min = 0,
    .operand_max = 0,
    .summary = "tell by the status whether all is well",
    .opts = json_opts,
    .notes =
        "0 well, prints nothing; 1 degraded: a topic is damaged, producers\n"
        "wait for somebody who is stopped or for a group without members, a\n"
        "stopped process holds records, or /dev/shm is nearly full; 9 a\n"
        "durable topic exists and shmqd is not there. What is wrong is "
        "printed,\n"
        "a line each, with what to do.\n",
    .examples = "  shmq health || shmq doctor\n"
                "  shmq health --json --namespace prod\n",
    .run = run_health,
};
