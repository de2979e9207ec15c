/* service_notify.h - tells the service manager how the daemon is, by the
 * protocol of sd_notify(3): one datagram to the socket NOTIFY_SOCKET. */
#ifndef SHMQS_SERVICE_NOTIFY_H
#define SHMQS_SERVICE_NOTIFY_H

#include <stdint.h>

/* Opens the socket that NOTIFY_SOCKET names, before the sandbox closes. Does
 * nothing without it. */
void shmqs_notify_open(void);

/* Sends `state`: "READY=1", "STOPPING=1", "STATUS=...", "WATCHDOG=1"; never
 * waits. Does nothing when there is nobody to tell. */
void shmqs_notify(const char *state);

/* How often "WATCHDOG=1" has to be sent (half of WATCHDOG_USEC), or 0. */
uint64_t shmqs_notify_watchdog_ns(void);

#endif
