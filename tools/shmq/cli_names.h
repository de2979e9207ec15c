/* cli_names.h - the library's enumerations as the words of the command. */
#ifndef SHMQ_CLI_NAMES_H
#define SHMQ_CLI_NAMES_H

#include <stdint.h>

/* Total: a value that is not known gives "unknown". */
const char *cli_ring_name(uint32_t ring);
const char *cli_on_full_name(uint32_t on_full);
const char *cli_durability_name(uint32_t durability);
const char *cli_kind_name(uint32_t kind);
const char *cli_absent_name(uint32_t absent);
const char *cli_role_name(uint32_t role);
const char *cli_timestamps_name(uint32_t timestamps);

/* An endpoint of another pid namespace is alive, which is all that can be
 * told: "running". */
const char *cli_state_name(uint32_t state);

#endif
