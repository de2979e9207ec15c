/* cli_mem.h - private memory. Running out of it ends the command with status
 * 1: what it holds goes back by itself when the process is gone. */
#ifndef SHMQ_CLI_MEM_H
#define SHMQ_CLI_MEM_H

#include <stddef.h>

/* Zeroed memory for `cnt` elements; free with free(). */
void *cli_alloc(size_t cnt, size_t element_bytes);

/* Makes *data, of capacity *cap elements, hold at least `need`. */
void cli_grow(void *data, size_t *cap, size_t need, size_t element_bytes);

#endif
