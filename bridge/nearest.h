/* nearest.h - which of several endpoints a peer can reach. Pure. */
#ifndef SHMQZ_NEAREST_H
#define SHMQZ_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

/* The endpoint of the comma-separated `list` that is best for a peer with
 * `address`: its IP address, anything else when it came by ipc. Peers of other
 * hosts get none that only this host can reach. False: there is none, or `room`
 * is too small for it. */
bool shmqz_nearest(
    const char *list, const char *address, char *ret, size_t room);

#endif
