/* cli_clock.c - sleeping. */
#include "cli_clock.h"

void cli_sleep_until(uint64_t deadline_ns)
{
    struct timespec at = {
        (time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}
