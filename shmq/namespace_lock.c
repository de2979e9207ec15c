/* namespace_lock.c - the lock under which topics of a user are made and
 * removed, and what killed makers and removers have left behind. */
#define _GNU_SOURCE
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "error.h"
#include "process.h"

#define LOCK_WAIT_NS 5000000000ull

static void lock_path(char path[SHMQI_PATH_MAX], const char *ns, uid_t uid)
{
    (void)snprintf(path, SHMQI_PATH_MAX, "%s/shmq.%s.lock.%u", SHMQI_DIR, ns,
        (unsigned)uid);
}

/* The lock may have been removed by its last user while we waited for it. */
static bool still_named(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_ino == b.st_ino &&
        a.st_dev == b.st_dev;
}

/* Ours, and not to be opened: whoever made it died before fchmod(2). */
static bool lock_is_shut(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_uid == geteuid() && (st.st_mode & 0600) != 0600;
}

/* Not O_CREAT alone: root may not "create" another user's file that exists in
 * a sticky directory (fs.protected_regular), and one that root makes for a user
 * must be that user's. */
static int open_lock(const char *path, uid_t uid)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    int fd = open(path, flags);
    if (fd < 0 && errno == EACCES && lock_is_shut(path)) {
        /* In a sticky directory nobody else can have put it there since. */
        (void)chmod(path, 0600);
        fd = open(path, flags);
    }
    if (fd >= 0 || errno != ENOENT)
        return fd;
    fd = open(path, flags | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
        (void)fchmod(fd, 0600); /* whatever the umask is */
    if (fd >= 0 && uid != geteuid() && fchown(fd, uid, (gid_t)-1) != 0) {
        int err = errno;
        (void)unlink(path);
        (void)close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

/* Anybody may make files in a sticky directory: a lock that somebody else has
 * made could be held for ever, so nobody waits for it. (Root makes locks for
 * others and gives them away.) */
static bool lock_is_foreign(int fd, uid_t uid, struct stat *ret)
{
    return fstat(fd, ret) == 0 &&
        (!S_ISREG(ret->st_mode) || (ret->st_uid != uid && ret->st_uid != 0));
}

int shmqi_namespace_lock(const char *ns, uid_t uid, int *ret_fd)
{
    char path[SHMQI_PATH_MAX];
    struct stat st;
    lock_path(path, ns, uid);
    uint64_t deadline = shmqi_now_monotonic() + LOCK_WAIT_NS;
    do {
        int fd = open_lock(path, uid);
        if (fd < 0 && errno != EEXIST)
            return shmqi_fail_sys(errno, "%s: cannot open the lock", path);
        if (fd >= 0 && lock_is_foreign(fd, uid, &st)) {
            (void)close(fd);
            return shmqi_fail(SHMQ_ERR_PERM,
                "%s: uid %u has taken the name of uid %u's lock; that user or "
                "root must remove it, or use another namespace",
                path, (unsigned)st.st_uid, (unsigned)uid);
        }
        if (fd >= 0) {
            if (flock(fd, LOCK_EX | LOCK_NB) == 0 && still_named(fd, path)) {
                *ret_fd = fd;
                return SHMQ_OK;
            }
            (void)close(fd);
        }
        (void)usleep(2000);
    } while (shmqi_now_monotonic() < deadline);
    return shmqi_fail(SHMQ_ERR_BUSY,
        "namespace %s: another create or rm has not finished for "
        "5 s; look for a stopped process (fuser %s)",
        ns, path);
}

/* Locks of others, whose last topic was removed by us: root may. Not while
 * somebody has it. */
static void remove_lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (still_named(fd, path))
            (void)unlink(path);
        (void)flock(fd, LOCK_UN);
    }
    (void)close(fd);
}

static void remove_locks(const char *ns)
{
    char prefix[SHMQ_NAMESPACE_MAX + 16];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "shmq.%s.lock.", ns);
    DIR *dir = opendir(SHMQI_DIR);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[SHMQI_PATH_MAX];
        int len = snprintf(path, sizeof path, SHMQI_DIR "/%s", e->d_name);
        if (strncmp(e->d_name, prefix, n) == 0 && len < (int)sizeof path)
            remove_lock(path);
    }
    (void)closedir(dir);
}

/* Locks, and shmqd's socket, are nobody's topics. */
static bool is_topic_file(const char *rest)
{
    return strncmp(rest, "lock.", 5) != 0 && strcmp(rest, "s") != 0 &&
        strcmp(rest, "s.lock") != 0;
}

static bool namespace_empty(const char *ns)
{
    char prefix[SHMQ_NAMESPACE_MAX + 16];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "shmq.%s.", ns);
    DIR *dir = opendir(SHMQI_DIR);
    if (!dir)
        return false;
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(dir));)
        if (strncmp(e->d_name, prefix, n) == 0 && is_topic_file(e->d_name + n))
            empty = false;
    (void)closedir(dir);
    return empty;
}

/* Control and watermark files without a data file: their creator or remover was
 * killed in between. Whoever makes or removes a topic of this user holds our
 * lock. */
static void remove_leftovers(const char *ns, uid_t uid, char kind)
{
    char prefix[SHMQ_NAMESPACE_MAX + 16];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "shmq.%s.%c.", ns, kind);
    DIR *dir = opendir(SHMQI_DIR);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[SHMQI_PATH_MAX];
        struct stat st;
        if (strncmp(e->d_name, prefix, n) != 0 ||
            shmqi_topic_name_check(e->d_name + n, true) != SHMQ_OK)
            continue;
        shmqi_path(path, ns, 'd', e->d_name + n);
        if (lstat(path, &st) == 0 || errno != ENOENT)
            continue;
        shmqi_path(path, ns, kind, e->d_name + n);
        if (lstat(path, &st) == 0 && st.st_uid == uid)
            (void)unlink(path);
    }
    (void)closedir(dir);
}

void shmqi_namespace_unlock(const char *ns, uid_t uid, int fd)
{
    char path[SHMQI_PATH_MAX];
    lock_path(path, ns, uid);
    remove_leftovers(ns, uid, 'c');
    remove_leftovers(ns, uid, 'm');
    if (namespace_empty(ns)) {
        (void)unlink(path);
        if (geteuid() == 0)
            remove_locks(ns);
    }
    (void)flock(fd, LOCK_UN); /* a fork child may share the descriptor */
    (void)close(fd);
}
