/* cli_signals.h - SIGINT, SIGTERM and SIGHUP as a request to end in order.
 *
 * After the first of them every blocking call is interrupted again and again
 * (EINTR), so none that was entered just after the signal can hide it. A second
 * signal asks to end at once, without finishing the record at hand. */
#ifndef SHMQ_CLI_SIGNALS_H
#define SHMQ_CLI_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* For all commands: a closed stdout shows as EPIPE instead of killing us, and
 * descriptors 0 to 2 are open, so that no file opened later gets their place
 * and the data that is meant for them. */
void cli_streams_init(void);

/* For commands that hold something: catches the three signals. */
void cli_signals_init(void);

/* The signal that came first, or 0; whether more than one came. */
int cli_signal(void);
bool cli_signal_insists(void);

/* Interrupts blocking calls from `delay_ns` on, as after a signal. */
void cli_interrupt_after(uint64_t delay_ns);

#endif
