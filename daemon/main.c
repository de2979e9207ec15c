/* main.c - shmqd: from the command line to serving, and to the end.
 *
 * Order: settings, the namespace's lock, the store's lock, the sandbox, then
 * recovery (which reads what a disk or an enemy may have changed), then the
 * socket: it listens only when every topic is served. */
#include "daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <shmq.h>

#include "confine.h"
#include "control_socket.h"
#include "data_dir.h"
#include "files.h"
#include "journal.h"
#include "loop.h"
#include "options.h"
#include "reaper.h"
#include "service/service_log.h"
#include "service/service_notify.h"
#include "service/service_signals.h"
#include "topics.h"

#define STANDBY_LOOK_NS 50000000l

static int fail(
    const struct shmqd *daemon, int status, const char *place, const char *text)
{
    return shmqs_settings_fail(daemon->settings, status, place, "%s", text);
}

static int status_of(int rc)
{
    switch (rc) {
    case SHMQ_ERR_BUSY:
        return SHMQS_EXIT_OWNED;
    case SHMQ_ERR_PERM:
        return SHMQS_EXIT_PERMISSION;
    case SHMQ_ERR_LAYOUT:
    case SHMQ_ERR_CORRUPT:
        return SHMQS_EXIT_DAMAGED;
    case SHMQ_ERR_NOSPACE:
        return SHMQS_EXIT_NO_ROOM;
    case SHMQ_ERR_INVAL:
        return SHMQS_EXIT_USAGE;
    case SHMQ_ERR_NOENT:
        return SHMQS_EXIT_MISSING;
    default:
        return SHMQS_EXIT_FAILED;
    }
}

/* What can be wrong with settings beyond their form. */
static int check_settings(struct shmqd *daemon)
{
    const struct shmqs_values *values = shmqs_settings_values(daemon->settings);
    if (shmqi_namespace(shmqs_text(values, "namespace"), daemon->ns) != 0)
        return fail(daemon, SHMQS_EXIT_USAGE, shmqs_place(values, "namespace"),
            shmq_error_text());
    int status = shmqd_topics_check(daemon->settings);
    return status != 0 ? status : shmqd_data_dir(daemon);
}

static int make_io(struct shmqd *daemon, struct shmqd_io **ret_io)
{
    const struct shmqs_values *values = shmqs_settings_values(daemon->settings);
    enum shmqd_io_choice choice = SHMQD_IO_AUTO;
    const char *why = NULL;
    if (shmqs_given(values, "io"))
        choice = shmqs_number(values, "io") == 0 ? SHMQD_IO_URING
                                                 : SHMQD_IO_PWRITEV2;
    int rc = shmqd_io_create(choice, ret_io, &why);
    if (rc != 0)
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_FAILED,
            shmqs_place(values, "io"), "%s: %s; try --io pwritev2",
            why != NULL ? why : "cannot be set up", strerror(-rc));
    if (why != NULL)
        shmqs_log(
            SHMQS_WARNING, "io_uring is not used (%s): pwritev2 writes", why);
    return 0;
}

static int open_store(struct shmqd *daemon, bool standby)
{
    const struct shmqs_values *values = shmqs_settings_values(daemon->settings);
    char text[512] = "";
    struct shmqd_io *io;
    int status = make_io(daemon, &io);
    if (status != 0)
        return status;
    struct shmqd_store_options options = {
        .namespace_name = daemon->ns,
        .io = io,
        .min_free_bytes = shmqs_given(values, "min-free")
            ? shmqs_number(values, "min-free")
            : UINT64_MAX,
        .segment_bytes = shmqs_number(values, "segment-size") & ~UINT64_C(4095),
        .lock_wait_ns = standby ? 1 : 0,
    };
    int rc = shmqd_store_open(
        daemon->dir, &options, &daemon->store, text, sizeof(text));
    if (rc == 0)
        return 0;
    daemon->store = NULL;
    io->ops->destroy(io);
    if (rc == SHMQ_ERR_BUSY && standby)
        return SHMQS_EXIT_OWNED;
    return fail(daemon, status_of(rc), daemon->dir, text);
}

/* A signal ends the wait: returns false then. */
static bool nap(struct shmqd *daemon)
{
    struct timespec time = {0, STANDBY_LOOK_NS};
    nanosleep(&time, NULL);
    return shmqs_signals_take(daemon->signal_fd) == 0;
}

/* Takes the namespace and the data directory. */
static int own_place(struct shmqd *daemon)
{
    bool standby =
        shmqs_number(shmqs_settings_values(daemon->settings), "standby") != 0;
    bool said = false;
    while (true) {
        int status = shmqd_control_claim(daemon, !standby);
        if (status == 0)
            status = open_store(daemon, standby);
        if (status != SHMQS_EXIT_OWNED || !standby)
            return status;
        shmqd_control_close(daemon);
        if (!said)
            shmqs_log(SHMQS_INFO, "stands by: another shmqd serves");
        said = true;
        if (!nap(daemon))
            return -1;
    }
}

static int confine(struct shmqd *daemon)
{
    const char *step;
    if (shmqs_number(shmqs_settings_values(daemon->settings), "no-sandbox"))
        return 0;
    int rc = shmqd_io_restrict(shmqd_store_io(daemon->store));
    if (rc != 0)
        return fail(
            daemon, SHMQS_EXIT_FAILED, "io_uring restrictions", strerror(-rc));
    if (!shmqs_sandbox_possible()) {
        shmqs_log(SHMQS_WARNING, "no sandbox: this build cannot have one");
        return 0;
    }
    if (shmqs_sandbox_enter(shmqd_calls, &step) != 0)
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_FAILED,
            "sandbox", "%s: %s; --no-sandbox goes without", step,
            strerror(errno));
    return 0;
}

static int serve(struct shmqd *daemon)
{
    int status = confine(daemon);
    if (status == 0)
        status = shmqd_journal_open(daemon);
    if (status == 0)
        status = shmqd_topics_open(daemon);
    if (status == 0) {
        shmqd_topics_configure(daemon);
        shmqd_topics_settle(daemon);
        status = shmqd_control_open(daemon);
    }
    if (status != 0)
        return status;
    int fd = shmqd_store_fd(daemon->store);
    if (fd >= 0)
        (void)shmqd_watch(daemon, fd, SHMQD_EVENT_STORE, 0);
    shmqs_log(SHMQS_INFO, "serves %u topics of namespace %s from %s by %s",
        daemon->topic_cnt, daemon->ns, daemon->dir,
        shmqd_store_back_end(daemon->store));
    shmqs_notify("READY=1");
    bool drained = shmqd_loop_run(daemon);
    bool noted = shmqd_journal_close(daemon);
    bool closed = shmqd_topics_close(daemon, true);
    if (drained && noted && closed) {
        shmqs_log(SHMQS_INFO, "everything published is on disk; ends");
        return SHMQS_EXIT_DONE;
    }
    shmqs_log(SHMQS_ERROR,
        "ends without having drained everything: what the "
        "rings hold stays there, the next start drains it");
    return SHMQS_EXIT_FAILED;
}

/* Each topic needs some descriptors, each attached process one. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(struct shmqd *daemon)
{
    raise_limit();
    daemon->started_ns = shmqd_clock_ns();
    daemon->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    daemon->signal_fd = shmqs_signals_open();
    if (daemon->epoll_fd < 0 || daemon->signal_fd < 0 ||
        shmqd_watch(daemon, daemon->signal_fd, SHMQD_EVENT_SIGNAL, 0) != 0 ||
        shmqd_reaper_open(daemon) != 0)
        return fail(daemon, SHMQS_EXIT_FAILED, "start", strerror(errno));
    shmqs_notify_open();
    int status = own_place(daemon);
    if (status == 0)
        status = serve(daemon);
    (void)shmqd_topics_close(daemon, false);
    shmqd_journal_free(daemon);
    shmqd_reaper_close(daemon);
    shmqd_control_close(daemon);
    shmqd_store_close(daemon->store);
    return status < 0 ? SHMQS_EXIT_DONE : status;
}

int main(int argc, char **argv)
{
    struct shmqd daemon;
    struct shmqs_settings *settings;
    int status;
    memset(&daemon, 0, sizeof(daemon));
    if (!shmqs_settings_load(&shmqd_program, argc, argv, &settings, &status))
        return status;
    const struct shmqs_values *values = shmqs_settings_values(settings);
    daemon.settings = settings;
    shmqs_log_open("shmqd", shmqs_number(values, "log-format") == 1,
        (enum shmqs_level)shmqs_number(values, "log-level"));
    status = check_settings(&daemon);
    if (status == 0 && shmqs_number(values, "check-config") == 0)
        status = run(&daemon);
    shmqs_settings_free(settings);
    return status;
}
