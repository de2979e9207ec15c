/* cli_group_opts.h - the attributes of a group as options of sub and of group
 * create. */
#ifndef SHMQ_CLI_GROUP_OPTS_H
#define SHMQ_CLI_GROUP_OPTS_H

#include "cli_options.h"

/* Reads --lease, --absent, --max-attempts and --dead-letter; what is not
 * given stays 0, which the library takes as the default, or "any". */
int cli_group_attrs(const struct cli_args *args, struct shmq_group_attrs *ret);

/* Whether one of them was given. */
bool cli_group_attrs_given(const struct cli_args *args);

/* The kind to ask for: --exclusive, or what a group of this topic is without
 * it. Returns a result of the library. */
int cli_group_kind(
    struct shmq_topic *topic, bool exclusive, uint32_t *ret_kind);

/* Their lines in the help of both commands. */
extern const struct cli_option_help cli_group_attr_opts[];

#endif
