/* cli_optval.h - values of options as numbers, durations and choices.
 *
 * Each leaves *ret alone when the option was not given. Returns CLI_DONE, or
 * CLI_USAGE after having said what is wrong with the value. */
#ifndef SHMQ_CLI_OPTVAL_H
#define SHMQ_CLI_OPTVAL_H

#include "cli_options.h"

int cli_optval_u64(const struct cli_args *args, enum cli_opt opt, uint64_t min,
    uint64_t max, uint64_t *ret);
int cli_optval_u32(const struct cli_args *args, enum cli_opt opt, uint32_t min,
    uint32_t max, uint32_t *ret);
int cli_optval_size(
    const struct cli_args *args, enum cli_opt opt, uint64_t *ret_bytes);
int cli_optval_duration(
    const struct cli_args *args, enum cli_opt opt, uint64_t *ret_ns);
int cli_optval_mode(
    const struct cli_args *args, enum cli_opt opt, uint32_t *ret);
int cli_optval_rate(const struct cli_args *args, enum cli_opt opt, double *ret);
int cli_optval_start(
    const struct cli_args *args, enum cli_opt opt, struct shmq_start *ret);

/* One of the words that the option's placeholder lists ("a|b|c"); *ret gets
 * its place from 0. */
int cli_optval_choice(
    const struct cli_args *args, enum cli_opt opt, uint32_t *ret);

/* The value of --namespace or NULL, as the library takes it. */
const char *cli_namespace(const struct cli_args *args);

#endif
