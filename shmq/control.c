/* control.c - asking shmqd over its socket. */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "files.h"
#include "process.h"

#define LOOK_AGAIN_NS 20000000ull
#define CONNECT_US 100000
#define ANSWER_WAIT_NS 30000000000ull /* the disk may be slow, not dead */

int shmqi_control_path(char ret[SHMQI_CONTROL_PATH_MAX], const char *ns)
{
    char space[SHMQ_NAMESPACE_MAX + 1];
    int rc = shmqi_namespace(ns, space);
    if (rc == SHMQ_OK)
        (void)snprintf(
            ret, SHMQI_CONTROL_PATH_MAX, "%s/shmq.%s.s", SHMQI_DIR, space);
    return rc;
}

int shmqi_ask_check(struct shmqi_ask *ask, uint64_t bytes)
{
    if (bytes != sizeof *ask || ask->magic != SHMQI_CONTROL_MAGIC ||
        ask->version != SHMQI_CONTROL_VERSION || ask->kind < SHMQI_ASK_PING ||
        ask->kind > SHMQI_ASK_REMOVE)
        return SHMQ_ERR_INVAL;
    if (!memchr(ask->topic, 0, sizeof ask->topic) ||
        !memchr(ask->schema, 0, sizeof ask->schema) ||
        !memchr(ask->consumed, 0, sizeof ask->consumed))
        return SHMQ_ERR_INVAL;
    ask->attrs.schema = ask->schema[0] ? ask->schema : NULL;
    ask->retain.consumed =
        ask->retain.flags & SHMQ_RETAIN_CONSUMED ? ask->consumed : NULL;
    if (ask->kind == SHMQI_ASK_CREATE &&
        ask->attrs.struct_bytes != sizeof ask->attrs)
        return SHMQ_ERR_INVAL;
    return SHMQ_OK;
}

/* -- connecting -------------------------------------------------------------
 */

static int not_trusted(const char *path, uid_t uid)
{
    return shmqi_fail(SHMQ_ERR_PERM,
        "%s: belongs to uid %u; list it in SHMQ_TRUSTED_UIDS if you trust it",
        path, (unsigned)uid);
}

/* One try. NODAEMON: nobody listens (yet). */
static int try_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un a;
    struct ucred peer;
    struct stat st;
    socklen_t n = sizeof peer;
    if (lstat(path, &st) != 0)
        return errno == ENOENT
            ? SHMQ_ERR_NODAEMON
            : shmqi_fail_sys(errno, "%s: cannot look at it", path);
    if (!S_ISSOCK(st.st_mode))
        return shmqi_fail(
            SHMQ_ERR_LAYOUT, "%s: it is no socket; remove it", path);
    if (!shmqi_owner_trusted(st.st_uid))
        return not_trusted(path, st.st_uid);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return shmqi_fail_sys(errno, "cannot make a socket");
    /* A stopped daemon's queue may be full: connect(2) gives up, then. */
    const struct timeval tv = {0, CONNECT_US};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
    memset(&a, 0, sizeof a);
    a.sun_family = AF_UNIX;
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int rc = SHMQ_OK;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        rc = errno == ECONNREFUSED || errno == ENOENT || errno == EAGAIN
            ? SHMQ_ERR_NODAEMON
            : shmqi_fail_sys(errno, "%s: cannot connect", path);
    if (rc == SHMQ_OK &&
        (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 ||
            !shmqi_owner_trusted(peer.uid)))
        rc = not_trusted(path, peer.uid);
    if (rc) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    return SHMQ_OK;
}

static int no_daemon(const char *ns)
{
    char space[SHMQ_NAMESPACE_MAX + 1] = "";
    (void)shmqi_namespace(ns, space);
    return shmqi_fail(SHMQ_ERR_NODAEMON,
        "shmqd does not run in namespace %s; start it, or use --durability "
        "none",
        space);
}

static int connect_until(const char *ns, uint64_t deadline_ns, int *ret_fd)
{
    char path[SHMQI_CONTROL_PATH_MAX];
    int rc = shmqi_control_path(path, ns);
    if (rc)
        return rc;
    for (;;) {
        rc = try_connect(path, ret_fd);
        if (rc != SHMQ_ERR_NODAEMON)
            return rc;
        if (shmqi_now_monotonic() >= deadline_ns)
            return no_daemon(ns);
        struct timespec ts = {0, (long)LOOK_AGAIN_NS};
        (void)nanosleep(&ts, NULL);
    }
}

/* -- asking ------------------------------------------------------------------
 */

static int wait_readable(int fd, uint64_t until)
{
    struct pollfd p = {fd, POLLIN, 0};
    for (;;) {
        uint64_t now = shmqi_now_monotonic();
        uint64_t left = until > now ? until - now : 0;
        int n = poll(&p, 1, (int)(left / 1000000) + 1);
        if (n > 0)
            return SHMQ_OK;
        if (n == 0 && shmqi_now_monotonic() >= until)
            return shmqi_fail(SHMQ_ERR_TIMEOUT,
                "shmqd does not answer; look whether it is stopped");
        if (n < 0 && errno != EINTR)
            return shmqi_fail_sys(errno, "shmqd: cannot wait for its answer");
    }
}

static int exchange(int fd, const struct shmqi_ask *ask, uint64_t answer_ns,
    struct shmqi_answer *ret)
{
    struct shmqi_answer a;
    if (send(fd, ask, sizeof *ask, MSG_NOSIGNAL) != (ssize_t)sizeof *ask)
        return shmqi_fail(SHMQ_ERR_NODAEMON, "shmqd went away; try again");
    int rc = wait_readable(fd, shmqi_now_monotonic() + answer_ns);
    if (rc)
        return rc;
    memset(&a, 0, sizeof a);
    if (recv(fd, &a, sizeof a, 0) != (ssize_t)sizeof a)
        return shmqi_fail(SHMQ_ERR_NODAEMON, "shmqd went away; try again");
    if (a.magic != SHMQI_CONTROL_MAGIC || a.version != SHMQI_CONTROL_VERSION ||
        !memchr(a.text, 0, sizeof a.text))
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "shmqd speaks another version; use matching programs");
    *ret = a;
    return a.rc == SHMQ_OK ? SHMQ_OK : shmqi_fail(a.rc, "%s", a.text);
}

int shmqi_control_ask_for(const char *ns, struct shmqi_ask *ask,
    uint64_t deadline_ns, uint64_t answer_ns, struct shmqi_answer *ret)
{
    struct shmqi_answer a;
    int fd = -1;
    ask->magic = SHMQI_CONTROL_MAGIC;
    ask->version = SHMQI_CONTROL_VERSION;
    int rc = connect_until(ns, deadline_ns, &fd);
    if (rc)
        return rc;
    rc = exchange(fd, ask, answer_ns, &a);
    (void)close(fd);
    if (rc == SHMQ_OK && ret)
        *ret = a;
    return rc;
}

int shmqi_control_ask(const char *ns, struct shmqi_ask *ask,
    uint64_t deadline_ns, struct shmqi_answer *ret)
{
    return shmqi_control_ask_for(ns, ask, deadline_ns, ANSWER_WAIT_NS, ret);
}

int shmqi_control_ask_once(const char *ns, struct shmqi_ask *ask,
    uint64_t answer_ns, struct shmqi_answer *ret)
{
    return shmqi_control_ask_for(ns, ask, 0, answer_ns, ret);
}
