/* commands.h - the commands, one file cmd_*.c each. */
#ifndef SHMQ_CLI_COMMANDS_H
#define SHMQ_CLI_COMMANDS_H

#include "cli.h"

extern const struct cli_command cmd_create;
extern const struct cli_command cmd_pub;
extern const struct cli_command cmd_sub;
extern const struct cli_command cmd_ls;
extern const struct cli_command cmd_stat;
extern const struct cli_command cmd_groups;
extern const struct cli_command cmd_group;
extern const struct cli_command cmd_group_create;
extern const struct cli_command cmd_group_reset;
extern const struct cli_command cmd_group_rm;
extern const struct cli_command cmd_group_evict;
extern const struct cli_command cmd_rm;
extern const struct cli_command cmd_cat;
extern const struct cli_command cmd_set;
extern const struct cli_command cmd_top;
extern const struct cli_command cmd_events;
extern const struct cli_command cmd_doctor;
extern const struct cli_command cmd_health;
extern const struct cli_command cmd_keygen;
extern const struct cli_command cmd_log;
extern const struct cli_command cmd_help;

#endif
