/* cli_signals.c - signals end the command in order. */
#include "cli_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_NS = 20 * 1000 * 1000 };

static volatile sig_atomic_t first_signal;
static volatile sig_atomic_t signal_cnt;
static timer_t tick_timer;
static bool tick_timer_made;

void cli_streams_init(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF)
            continue;
        /* The wrong way round on purpose: using it fails as on a closed
         * one. Lower ones are open, so it gets this number. */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            _exit(1);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* timer_settime() is async-signal-safe; setitimer() is not listed as such. */
void cli_interrupt_after(uint64_t delay_ns)
{
    struct itimerspec spec;
    if (!tick_timer_made)
        return;
    if (delay_ns == 0)
        delay_ns = 1;
    spec.it_value.tv_sec = (time_t)(delay_ns / 1000000000);
    spec.it_value.tv_nsec = (long)(delay_ns % 1000000000);
    spec.it_interval.tv_sec = 0;
    spec.it_interval.tv_nsec = TICK_NS;
    timer_settime(tick_timer, 0, &spec, NULL);
}

static void on_end_signal(int sig)
{
    int saved = errno;
    if (first_signal == 0)
        first_signal = sig;
    if (signal_cnt < 2)
        signal_cnt = signal_cnt + 1;
    cli_interrupt_after(TICK_NS);
    errno = saved;
}

/* Does nothing: that it ran interrupts the call. */
static void on_tick(int sig)
{
    (void)sig;
}

static void catch_signal(int sig, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(sig, &action, NULL);
}

static bool is_ignored(int sig)
{
    struct sigaction action;
    return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* SIGINT and SIGTERM are caught even when they came in ignored: shells do
 * that to background jobs, and giving back is what everybody wants of us.
 * An ignored SIGHUP is nohup's and stays so. */
void cli_signals_init(void)
{
    struct sigevent event;
    sigset_t set;
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGALRM;
    catch_signal(SIGALRM, on_tick);
    tick_timer_made = timer_create(CLOCK_MONOTONIC, &event, &tick_timer) == 0;
    catch_signal(SIGINT, on_end_signal);
    catch_signal(SIGTERM, on_end_signal);
    if (!is_ignored(SIGHUP))
        catch_signal(SIGHUP, on_end_signal);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int cli_signal(void)
{
    return first_signal;
}

bool cli_signal_insists(void)
{
    return signal_cnt > 1;
}
