/* cli_mem.c - allocation that succeeds or ends the command. */
#include "cli_mem.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void out_of_memory(void)
{
    exit(cli_fail(CLI_FAILED,
        "memory: the process got no more of it; free some, or use smaller "
        "batches and messages"));
}

void *cli_alloc(size_t cnt, size_t element_bytes)
{
    void *data = calloc(cnt == 0 ? 1 : cnt, element_bytes);
    if (data == NULL)
        out_of_memory();
    return data;
}

/* `data` points to a pointer of any type; it is copied as bytes, since a
 * pointer of one type may not be accessed through another. */
void cli_grow(void *data, size_t *cap, size_t need, size_t element_bytes)
{
    if (need <= *cap)
        return;
    size_t cap_new = *cap < 64 ? 64 : *cap;
    while (cap_new < need) {
        if (cap_new > SIZE_MAX / 2)
            out_of_memory();
        cap_new *= 2;
    }
    if (cap_new > SIZE_MAX / element_bytes)
        out_of_memory();
    void *old;
    memcpy(&old, data, sizeof(old));
    void *grown = realloc(old, cap_new * element_bytes);
    if (grown == NULL)
        out_of_memory();
    memcpy(data, &grown, sizeof(grown));
    *cap = cap_new;
}
