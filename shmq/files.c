#define _GNU_SOURCE
#include "files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "process.h"
#include "segment.h"
#include "watermarks.h"
#include "words.h"

#define HUGE_BYTES (UINT64_C(2) << 20)
#define LOCK_WAIT_NS 5000000000ull

/* -- names ----------------------------------------------------------------- */

static bool name_legal(const char *name, size_t max, const char *extra)
{
    size_t n = strlen(name);
    if (n < 1 || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr(extra, name[i]))
            return false;
    return true;
}

int shmqi_namespace(const char *ns, char ret[SHMQ_NAMESPACE_MAX + 1])
{
    if (!ns) {
        ns = getenv("SHMQ_NAMESPACE");
        if (!ns || !*ns)
            ns = "default";
    }
    if (!name_legal(ns, SHMQ_NAMESPACE_MAX, "_-"))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "namespace '%.40s': not a legal name; use 1 to 32 of "
            "A-Z a-z 0-9 _ -",
            ns);
    (void)strcpy(ret, ns);
    return SHMQ_OK;
}

int shmqi_topic_name_check(const char *topic, bool system)
{
    const char *name = topic ? topic : "";
    size_t max = SHMQ_TOPIC_MAX;
    const char *extra = "._-";
    if (system && name[0] == '@') {
        name++;
        max += 7;
        extra = "._-@";
    }
    if (!name_legal(name, max, extra) || name[0] == '.')
        return shmqi_fail(SHMQ_ERR_INVAL,
            "topic '%.40s%s': not a legal name; use 1 to 128 of "
            "A-Z a-z 0-9 . _ -, not starting with a dot",
            topic ? topic : "", topic && strlen(topic) > 40 ? "..." : "");
    return SHMQ_OK;
}

void shmqi_path(
    char ret[SHMQI_PATH_MAX], const char *ns, char kind, const char *topic)
{
    (void)snprintf(
        ret, SHMQI_PATH_MAX, "%s/shmq.%s.%c.%s", SHMQI_DIR, ns, kind, topic);
}

bool shmqi_owner_trusted(uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return true;
    const char *list = getenv("SHMQ_TRUSTED_UIDS");
    for (const char *p = list; p && *p;) {
        char *end;
        unsigned long v = strtoul(p, &end, 10);
        if (end == p || (*end != ',' && *end != '\0'))
            break; /* not a list of numbers: trust nobody on it */
        if (v == (unsigned long)uid)
            return true;
        p = *end ? end + 1 : end;
    }
    return false;
}

/* -- opening --------------------------------------------------------------- */

int shmqi_files_init(struct shmqi_files *f, const char *ns, const char *topic)
{
    memset(f, 0, sizeof *f);
    f->data_fd = f->control_fd = -1;
    int rc = shmqi_namespace(ns, f->ns);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_name_check(topic, true);
    if (rc == SHMQ_OK)
        (void)strcpy(f->topic, topic);
    return rc;
}

void shmqi_files_close(struct shmqi_files *f)
{
    if (f->data_fd >= 0)
        (void)close(f->data_fd);
    if (f->control_fd >= 0)
        (void)close(f->control_fd);
    f->data_fd = f->control_fd = -1;
}

int shmqi_file_open(const char *path, int mode)
{
    return open(path, mode | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static int check_and_read(const struct shmqi_files *f, int fd, struct stat *st,
    struct shmqi_constants_shm *c)
{
    if (fstat(fd, st) != 0)
        return shmqi_fail_sys(errno, "%s: cannot stat", f->topic);
    if (!S_ISREG(st->st_mode) || st->st_nlink > 1)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: not a regular file with one name; remove it", f->topic);
    if (!shmqi_owner_trusted(st->st_uid))
        return shmqi_fail(SHMQ_ERR_PERM,
            "%s: belongs to uid %u; list it in SHMQ_TRUSTED_UIDS "
            "if you trust it",
            f->topic, (unsigned)st->st_uid);
    memset(c, 0, sizeof *c);
    ssize_t n = pread(fd, c, sizeof *c, 0);
    if (n < 0)
        return shmqi_fail_sys(errno, "%s: cannot read", f->topic);
    if (n != (ssize_t)sizeof *c)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: too short to be a topic; remove it with --force", f->topic);
    return SHMQ_OK;
}

int shmqi_files_open_data(struct shmqi_files *f)
{
    char path[SHMQI_PATH_MAX];
    shmqi_path(path, f->ns, 'd', f->topic);
    f->data_writable = true;
    f->data_fd = shmqi_file_open(path, O_RDWR);
    if (f->data_fd < 0 && errno == EACCES) {
        f->data_writable = false;
        f->data_fd = shmqi_file_open(path, O_RDONLY);
    }
    if (f->data_fd < 0) {
        if (errno == ENOENT)
            return shmqi_fail(SHMQ_ERR_NOENT,
                "%s: no such topic in namespace %s; make it with "
                "shmq create",
                f->topic, f->ns);
        if (errno == ELOOP || errno == EISDIR)
            return shmqi_fail(SHMQ_ERR_LAYOUT, "%s: %s is %s; remove it",
                f->topic, path,
                errno == ELOOP ? "a symbolic link" : "a directory");
        return shmqi_fail_sys(errno, "%s: cannot open", f->topic);
    }
    return check_and_read(f, f->data_fd, &f->data_stat, &f->data);
}

int shmqi_files_stat_control(const struct shmqi_files *f, struct stat *ret)
{
    char path[SHMQI_PATH_MAX];
    shmqi_path(path, f->ns, 'c', f->topic);
    return lstat(path, ret);
}

int shmqi_files_open_control(struct shmqi_files *f)
{
    char path[SHMQI_PATH_MAX];
    shmqi_path(path, f->ns, 'c', f->topic);
    f->control_fd = shmqi_file_open(path, O_RDWR);
    if (f->control_fd < 0) {
        if (errno == ENOENT)
            return SHMQ_ERR_STALE;
        return shmqi_fail_sys(
            errno, "%s: cannot open the control file", f->topic);
    }
    return check_and_read(f, f->control_fd, &f->control_stat, &f->control);
}

/* -- the namespace lock -----------------------------------------------------
 */

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

/* -- creating ---------------------------------------------------------------*/

static bool too_large_for_us(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur;
}

/* Huge pages come only to memory that is first touched through a mapping which
 * asks for them; fallocate(2) takes small ones. Best effort: whatever is
 * missing then, a full /dev/shm included, the reservation finds out. */
static void take_huge_pages(int fd, uint64_t bytes)
{
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
    if (bytes < HUGE_BYTES)
        return;
    uint8_t *room = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return;
    uint8_t *at = room + (HUGE_BYTES - (uintptr_t)room % HUGE_BYTES);
    if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
            0) == at &&
        madvise(at, bytes, MADV_HUGEPAGE) == 0)
        (void)madvise(at, bytes, MADV_POPULATE_WRITE);
    (void)munmap(room, bytes + HUGE_BYTES);
}

int shmqi_file_make(const char *topic, uint64_t bytes, uint64_t reserved,
    uint32_t mode, const struct shmqi_create *more, int *ret_fd)
{
    int fd = open(SHMQI_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return shmqi_fail_sys(errno, "%s: cannot create in " SHMQI_DIR, topic);
    if (too_large_for_us(bytes)) { /* ftruncate(2) would be our end */
        (void)close(fd);
        return shmqi_fail_sys(EFBIG,
            "%s: cannot make a file of %llu bytes; raise the limit of file "
            "size (ulimit -f)",
            topic, (unsigned long long)bytes);
    }
    int err = 0;
    if ((more->owner != (uid_t)-1 || more->group_owner != (gid_t)-1) &&
        fchown(fd, more->owner, more->group_owner) != 0) {
        err = errno;
        (void)close(fd);
        return shmqi_fail_sys(
            err, "%s: cannot give it to another owner; ask root", topic);
    }
    if (fchmod(fd, (mode_t)mode) != 0 || ftruncate(fd, (off_t)bytes) != 0)
        err = errno;
    if (err == 0 && more->huge)
        take_huge_pages(fd, reserved);
    if (err == 0)
        err = posix_fallocate(fd, 0, (off_t)reserved);
    if (err) {
        (void)close(fd);
        return shmqi_fail_sys(err,
            "%s: cannot reserve %llu bytes in " SHMQI_DIR
            "; free space or make it larger",
            topic, (unsigned long long)reserved);
    }
    *ret_fd = fd;
    return SHMQ_OK;
}

static int give_name(int fd, const char *path)
{
    char self[64];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno == ENOENT) /* no /proc */
        return linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH);
    return -1;
}

/* Writes what is not zero at the beginning. Both files are still private. */
static int initialise(struct shmqi_constants_shm *c, const char *schema,
    const struct shmqi_plan *plan, int data_fd, int control_fd)
{
    size_t control_bytes = plan->control_reserved;
    void *d = mmap(NULL, plan->data_reserved, PROT_READ | PROT_WRITE,
        MAP_SHARED, data_fd, 0);
    void *k = mmap(
        NULL, control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, control_fd, 0);
    if (d == MAP_FAILED || k == MAP_FAILED)
        return shmqi_fail_sys(errno, "cannot map a new topic");
    struct shmqi_data_shm *data = d;
    struct shmqi_control_shm *control = k;
    data->constants = *c;
    data->constants.magic = SHMQI_MAGIC_DATA;
    data->constants.file_bytes = plan->data_bytes;
    if (schema)
        memcpy(data->schema, schema, strlen(schema));
    control->constants = *c;
    control->constants.magic = SHMQI_MAGIC_CONTROL;
    control->constants.file_bytes = plan->control_bytes;
    /* Plain memory until link(2) publishes it; the order does not matter. */
    shm_st(N2, &control->version, 1);
    if (c->ring == SHMQ_RING_MPMC) {
        uint64_t n = 1ull << c->cap_lg2, start = c->start_seq;
        shmqi_word *slots = (shmqi_word *)(void *)((uint8_t *)d + plan->slots);
        shm_st(N2, &data->tail, start);
        shm_st(N2, &data->gate, start);
        for (uint64_t s = start; s < start + n; s++)
            shm_st(N2, &slots[s & (n - 1)],
                shmqi_slot(shmqi_slot_lap(s, c->cap_lg2) - 1, 0));
    } else {
        shm_st(N2, &data->hint, c->start_seq);
        shm_st(N2, &data->gate, c->start_seq);
        shm_st(N2, &data->reclaimed, c->start_seq);
    }
    (void)munmap(d, plan->data_reserved);
    (void)munmap(k, control_bytes);
    return SHMQ_OK;
}

/* The files of a topic in the making. */
struct making {
    int data_fd, control_fd, marks_fd;
};

/* Under the namespace lock: links the files, data last. */
static int link_all(const char *ns, const char *topic, const struct making *m)
{
    char data[SHMQI_PATH_MAX], control[SHMQI_PATH_MAX], marks[SHMQI_PATH_MAX];
    struct stat st;
    shmqi_path(data, ns, 'd', topic);
    shmqi_path(control, ns, 'c', topic);
    shmqi_path(marks, ns, 'm', topic);
    if (lstat(data, &st) == 0)
        return shmqi_fail(
            SHMQ_ERR_EXISTS, "%s: exists already in namespace %s", topic, ns);
    /* Leftovers: no data file, and we hold the lock. */
    (void)unlink(control);
    (void)unlink(marks);
    if (m->marks_fd >= 0 && give_name(m->marks_fd, marks) != 0)
        return shmqi_fail_sys(
            errno, "%s: cannot name the watermark file", topic);
    if (give_name(m->control_fd, control) != 0)
        return shmqi_fail_sys(errno, "%s: cannot name the control file", topic);
    if (give_name(m->data_fd, data) != 0) {
        int err = errno;
        (void)unlink(control);
        (void)unlink(marks);
        if (err == EEXIST)
            return shmqi_fail(SHMQ_ERR_EXISTS,
                "%s: exists already in namespace %s", topic, ns);
        return shmqi_fail_sys(err, "%s: cannot name the data file", topic);
    }
    return SHMQ_OK;
}

static void close_made(const struct making *m)
{
    if (m->data_fd >= 0)
        (void)close(m->data_fd);
    if (m->control_fd >= 0)
        (void)close(m->control_fd);
    if (m->marks_fd >= 0)
        (void)close(m->marks_fd);
}

/* A topic that was marked as removed by somebody who was then killed: takes
 * its names away, so that it is gone. Under the namespace lock. */
static void finish_removal(const char *ns, const char *topic)
{
    char path[SHMQI_PATH_MAX];
    struct shmqi_segment *s;
    struct stat st;
    shmqi_path(path, ns, 'd', topic);
    if (lstat(path, &st) != 0 || shmqi_segment_open(ns, topic, &s) != 0)
        return;
    if (shmqi_segment_deleted(s)) {
        (void)unlink(path);
        shmqi_path(path, ns, 'c', topic);
        (void)unlink(path);
        shmqi_path(path, ns, 'm', topic);
        (void)unlink(path);
    }
    shmqi_segment_unref(s);
}

static int make_all(const char *topic, struct shmqi_constants_shm *c,
    const struct shmqi_create *more, const struct shmqi_plan *plan,
    struct making *m)
{
    int rc = shmqi_file_make(topic, plan->data_bytes, plan->data_reserved,
        c->data_mode, more, &m->data_fd);
    if (rc == SHMQ_OK)
        rc = shmqi_file_make(topic, plan->control_bytes, plan->control_reserved,
            c->mode, more, &m->control_fd);
    if (rc == SHMQ_OK && more->marks)
        rc = shmqi_marks_make(topic, c, more, &m->marks_fd);
    if (rc == SHMQ_OK)
        rc = initialise(c, more->schema, plan, m->data_fd, m->control_fd);
    return rc;
}

int shmqi_files_create(const char *ns, const char *topic,
    struct shmqi_constants_shm *c, const struct shmqi_create *more)
{
    /* Removers hold the lock of the owner, so creators must, too. */
    uid_t owner = more->owner != (uid_t)-1 ? more->owner : geteuid();
    struct shmqi_plan plan;
    struct making m = {-1, -1, -1};
    int lock_fd = -1;
    if (!shmqi_plan(c, &plan))
        return shmqi_fail(
            SHMQ_ERR_INVAL, "%s: limits do not fit together", topic);
    if (getrandom(c->uuid, sizeof c->uuid, 0) != (ssize_t)sizeof c->uuid)
        return shmqi_fail_sys(errno, "%s: no random numbers", topic);
    int rc = shmqi_namespace_lock(ns, owner, &lock_fd);
    if (rc)
        return rc;
    finish_removal(ns, topic);
    rc = make_all(topic, c, more, &plan, &m);
    /* Closing the control file drops all locks that this process has on it:
     * no other thread may open and attach between naming and closing. */
    shmqi_process_lock();
    if (rc == SHMQ_OK)
        rc = link_all(ns, topic, &m);
    close_made(&m);
    shmqi_process_unlock();
    shmqi_namespace_unlock(ns, owner, lock_fd);
    return rc;
}
