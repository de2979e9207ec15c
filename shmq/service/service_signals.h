/* service_signals.h - signals as events of the run loop. */
#ifndef SHMQS_SERVICE_SIGNALS_H
#define SHMQS_SERVICE_SIGNALS_H

/* Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and gives a
 * non-blocking descriptor that is readable while one is pending; ignores
 * SIGPIPE. Call it before other threads start: they inherit the mask. Returns
 * the descriptor, or -1 with errno. */
int shmqs_signals_open(void);

/* The next pending signal, or 0. */
int shmqs_signals_take(int fd);

#endif
