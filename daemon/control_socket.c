/* control_socket.c - connections on the control socket. */
#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "service/service_log.h"

enum { ASKERS_MAX = 64 };
#define SILENT_NS 10000000000ull
#define CLAIM_WAIT_NS 2000000000ull

struct asker {
    int fd; /* -1: free */
    uint64_t heard_ns;
};

struct shmqd_control {
    char path[SHMQI_CONTROL_PATH_MAX];
    char lock_path[SHMQI_CONTROL_PATH_MAX + 8];
    int fd;
    ino_t inode; /* of the name that we made */
    struct asker askers[ASKERS_MAX];
};

/* The lock is a file beside the socket. Its holder removes it at the end, so a
 * lock that was got on a file without a name does not count. */
static int take_lock(const char *path)
{
    for (int round = 0; round < 100; round++) {
        struct stat mine, named;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
        if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 &&
            mine.st_ino == named.st_ino && mine.st_dev == named.st_dev)
            return fd;
        close(fd);
    }
    errno = EWOULDBLOCK;
    return -1;
}

/* A daemon that was just killed may hold it while the kernel takes it apart. */
static int wait_for_lock(const char *path, uint64_t wait_ns)
{
    uint64_t end_ns = shmqd_clock_ns() + wait_ns;
    int fd = take_lock(path);
    while (fd < 0 && errno == EWOULDBLOCK && shmqd_clock_ns() < end_ns) {
        struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
        fd = take_lock(path);
    }
    return fd;
}

int shmqd_control_claim(struct shmqd *daemon, bool tell)
{
    struct shmqd_control *control = calloc(1, sizeof(*control));
    if (control == NULL)
        return SHMQS_EXIT_FAILED;
    control->fd = -1;
    for (uint32_t i = 0; i < ASKERS_MAX; i++)
        control->askers[i].fd = -1;
    (void)shmqi_control_path(control->path, daemon->ns);
    snprintf(control->lock_path, sizeof(control->lock_path), "%s.lock",
        control->path);
    daemon->space_lock_fd =
        wait_for_lock(control->lock_path, tell ? CLAIM_WAIT_NS : 0);
    if (daemon->space_lock_fd >= 0) {
        daemon->control = control;
        return 0;
    }
    int status = errno == EWOULDBLOCK ? SHMQS_EXIT_OWNED
        : errno == EACCES             ? SHMQS_EXIT_PERMISSION
                                      : SHMQS_EXIT_FAILED;
    const char *why = strerror(errno);
    if (status == SHMQS_EXIT_OWNED && tell)
        shmqs_settings_fail(daemon->settings, status, daemon->ns,
            "another shmqd serves this namespace; stop it, or use --standby");
    else if (status != SHMQS_EXIT_OWNED)
        shmqs_settings_fail(
            daemon->settings, status, control->lock_path, "%s", why);
    free(control);
    return status;
}

/* A name that a dead daemon left is replaced; that none lives the lock says.
 * The socket gets its name by rename, complete. */
static int listen_on(struct shmqd_control *control)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    snprintf(
        address.sun_path, sizeof(address.sun_path), "%s.new", control->path);
    (void)unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(address.sun_path, 0600) != 0 || listen(fd, ASKERS_MAX) != 0 ||
        lstat(address.sun_path, &st) != 0 ||
        rename(address.sun_path, control->path) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    control->inode = st.st_ino;
    return fd;
}

int shmqd_control_open(struct shmqd *daemon)
{
    struct shmqd_control *control = daemon->control;
    control->fd = listen_on(control);
    if (control->fd < 0 ||
        shmqd_watch(daemon, control->fd, SHMQD_EVENT_LISTEN, 0) != 0)
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_FAILED,
            control->path, "cannot listen: %s", strerror(errno));
    return 0;
}

static void drop(struct shmqd *daemon, struct asker *asker)
{
    shmqd_unwatch(daemon, asker->fd);
    close(asker->fd);
    asker->fd = -1;
}

void shmqd_control_close(struct shmqd *daemon)
{
    struct shmqd_control *control = daemon->control;
    struct stat st;
    if (control == NULL)
        return;
    for (uint32_t i = 0; i < ASKERS_MAX; i++) {
        if (control->askers[i].fd >= 0)
            drop(daemon, &control->askers[i]);
    }
    if (control->fd >= 0) {
        if (lstat(control->path, &st) == 0 && st.st_ino == control->inode)
            (void)unlink(control->path);
        close(control->fd);
    }
    (void)unlink(control->lock_path);
    close(daemon->space_lock_fd);
    free(control);
    daemon->control = NULL;
}

static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
        (peer.uid == 0 || peer.uid == geteuid());
}

void shmqd_control_accept(struct shmqd *daemon)
{
    struct shmqd_control *control = daemon->control;
    struct asker *free_one = NULL;
    for (uint32_t i = 0; i < ASKERS_MAX && free_one == NULL; i++) {
        if (control->askers[i].fd < 0)
            free_one = &control->askers[i];
    }
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (free_one == NULL || !may_ask(fd) ||
        shmqd_watch(daemon, fd, SHMQD_EVENT_ASKER,
            (uint32_t)(free_one - control->askers)) != 0) {
        close(fd);
        return;
    }
    free_one->fd = fd;
    free_one->heard_ns = shmqd_clock_ns();
}

/* Descriptors that come along are not taken: no room for them is given, so the
 * kernel drops them (and says so, which ends the connection). */
void shmqd_control_read(struct shmqd *daemon, uint32_t number)
{
    struct asker *asker = &daemon->control->askers[number % ASKERS_MAX];
    struct shmqi_ask ask;
    struct shmqi_answer answer;
    char beyond;
    struct iovec parts[] = {{&ask, sizeof(ask)}, {&beyond, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (asker->fd < 0)
        return;
    ssize_t len = recvmsg(asker->fd, &message, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        shmqi_ask_check(&ask, (uint64_t)len) != 0) {
        drop(daemon, asker);
        return;
    }
    asker->heard_ns = shmqd_clock_ns();
    memset(&answer, 0, sizeof(answer));
    answer.magic = SHMQI_CONTROL_MAGIC;
    answer.version = SHMQI_CONTROL_VERSION;
    shmqd_control_answer(daemon, &ask, &answer);
    if (send(asker->fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) !=
        (ssize_t)sizeof(answer))
        drop(daemon, asker);
}

void shmqd_control_look(struct shmqd *daemon, uint64_t now_ns)
{
    struct shmqd_control *control = daemon->control;
    struct stat st;
    for (uint32_t i = 0; i < ASKERS_MAX; i++) {
        struct asker *asker = &control->askers[i];
        if (asker->fd >= 0 && now_ns > asker->heard_ns + SILENT_NS)
            drop(daemon, asker);
    }
    if (control->fd < 0 ||
        (lstat(control->path, &st) == 0 && st.st_ino == control->inode))
        return;
    int fd = listen_on(control);
    if (fd < 0)
        return;
    shmqs_log(SHMQS_WARNING,
        "%s was removed or replaced by somebody; made anew", control->path);
    shmqd_unwatch(daemon, control->fd);
    close(control->fd);
    control->fd = fd;
    (void)shmqd_watch(daemon, fd, SHMQD_EVENT_LISTEN, 0);
}
