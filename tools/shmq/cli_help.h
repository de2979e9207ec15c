/* cli_help.h - prints help on stdout; returns an exit status. */
#ifndef SHMQ_CLI_HELP_H
#define SHMQ_CLI_HELP_H

#include "cli_options.h"

int cli_help_all(void);
int cli_help_command(const struct cli_command *command);

#endif
