/* transport.c - the table of transports and what they share. */
#define _GNU_SOURCE
#include "transport.h"

#include "transports/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

const struct lab_transport *const lab_transports[] = {
#define LAB_TRANSPORT(symbol) &symbol,
    LAB_TRANSPORTS
#undef LAB_TRANSPORT
        NULL};

const struct lab_transport *lab_transport_find(const char *name)
{
    for (int i = 0; lab_transports[i]; i++) {
        if (strcmp(lab_transports[i]->name, name) == 0)
            return lab_transports[i];
    }
    return NULL;
}

const char *lab_peer_versions(void)
{
    static char text[256];
    const char *last = "";
    size_t len = 0;

    text[0] = '\0';
    for (int i = 0; lab_transports[i]; i++) {
        const char *version = lab_transports[i]->version;

        if (!version || strcmp(version, last) == 0 ||
            len + strlen(version) + 3 > sizeof(text))
            continue;
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, ", %s", version);
        last = version;
    }
    return text;
}

int lab_shared_create(struct lab_channel *channel, uint64_t bytes)
{
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (mem == MAP_FAILED) {
        lab_explain(channel->error, "mmap", errno);
        return -1;
    }
    channel->shared = mem;
    channel->shared_bytes = bytes;
    return 0;
}

void lab_shared_destroy(struct lab_channel *channel)
{
    if (channel->shared)
        munmap(channel->shared, channel->shared_bytes);
    channel->shared = NULL;
}

uint64_t lab_shared_footprint(const struct lab_channel *channel)
{
    return channel->shared_bytes;
}

void lab_explain(char *error, const char *what, int errnum)
{
    snprintf(error, 160, "%s: %s", what, strerror(errnum));
}
