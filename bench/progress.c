/* progress.c - the line on stderr that says what is going on. */
#include "clock.h"
#include "lab.h"

#include <string.h>
#include <unistd.h>

volatile int lab_interrupted; /* a signal's number is one store */

static struct {
    double total_s;
    uint64_t start_ns, last_ns;
    int terminal, quiet;
} state;

void lab_progress_start(double total_s, int quiet)
{
    memset(&state, 0, sizeof(state));
    state.total_s = total_s;
    state.start_ns = lab_now_ns();
    state.terminal = isatty(STDERR_FILENO);
    state.quiet = quiet;
}

/* The plan's own estimate, corrected by how it went so far. */
static double left_s(double done_s)
{
    double spent = (double)(lab_now_ns() - state.start_ns) * 1e-9;
    double speed = done_s > 1.0 && spent > 1.0 ? spent / done_s : 1.0;
    double left = (state.total_s - done_s) * speed;

    return left > 0 ? left : 0;
}

void lab_progress(double done_s, const char *what)
{
    uint64_t now = lab_now_ns();
    uint64_t pause_ns = state.terminal ? 100000000u : 15000000000u;

    if (state.quiet || now - state.last_ns < pause_ns)
        return;
    state.last_ns = now;
    fprintf(stderr, "%sshmq-bench: %-40.40s about %.0f s left%s",
        state.terminal ? "\r" : "", what, left_s(done_s),
        state.terminal ? "   " : "\n");
    fflush(stderr);
}

void lab_progress_end(void)
{
    if (!state.quiet && state.terminal && state.last_ns)
        fprintf(stderr, "\r%-72s\r", "");
}
