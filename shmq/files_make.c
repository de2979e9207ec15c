/* files_make.c - making the files of a topic: nameless, complete, then named.
 */
#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "error.h"
#include "process.h"
#include "segment.h"
#include "watermarks.h"
#include "words.h"

#define HUGE_BYTES (UINT64_C(2) << 20)

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
