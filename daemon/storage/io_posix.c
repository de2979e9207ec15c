/* io_posix.c - the control path of the real back ends. */
#include "io_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int shmqd_posix_open_root(struct shmqd_io *io, const char *dir)
{
    struct stat st;
    (void)io;
    if (mkdir(dir, 0700) && errno != EEXIST)
        return -errno;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) ? -errno : 0;
    if (rc == 0 && st.st_uid != geteuid())
        rc = -EXDEV;
    if (rc == 0 && (st.st_mode & 077) && fchmod(fd, 0700))
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

int shmqd_posix_open(
    struct shmqd_io *io, int dir, const char *name, unsigned flags)
{
    int how = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    (void)io;
    how |= flags & SHMQD_OPEN_DIR ? O_DIRECTORY | O_RDONLY
        : flags & (SHMQD_OPEN_WRITE | SHMQD_OPEN_CREATE) ? O_RDWR
                                                         : O_RDONLY;
    if (flags & SHMQD_OPEN_CREATE)
        how |= O_CREAT | O_EXCL;
    int fd = -1;
    if (flags & SHMQD_OPEN_DIRECT)
        fd = openat(dir, name, how | O_DIRECT, 0600);
    if (fd < 0 && (!(flags & SHMQD_OPEN_DIRECT) || errno == EINVAL)) {
        /* Without O_DIRECT the attempt may have made the file already. */
        if (flags & SHMQD_OPEN_DIRECT && flags & SHMQD_OPEN_CREATE)
            how &= ~O_EXCL;
        fd = openat(dir, name, how, 0600);
    }
    return fd < 0 ? -errno : fd;
}

void shmqd_posix_close(struct shmqd_io *io, int file)
{
    (void)io;
    close(file);
}

int shmqd_posix_mkdir(struct shmqd_io *io, int dir, const char *name)
{
    (void)io;
    return mkdirat(dir, name, 0700) ? -errno : 0;
}

int shmqd_posix_rename(
    struct shmqd_io *io, int dir, const char *from, const char *to)
{
    (void)io;
    return renameat(dir, from, dir, to) ? -errno : 0;
}

int shmqd_posix_unlink(struct shmqd_io *io, int dir, const char *name)
{
    (void)io;
    return unlinkat(dir, name, 0) ? -errno : 0;
}

int shmqd_posix_rmdir(struct shmqd_io *io, int dir, const char *name)
{
    (void)io;
    return unlinkat(dir, name, AT_REMOVEDIR) ? -errno : 0;
}

int shmqd_posix_list(struct shmqd_io *io, int dir,
    void (*each)(void *ctx, const char *name), void *ctx)
{
    (void)io;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        return -err;
    }
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            each(ctx, e->d_name);
    closedir(d);
    return 0;
}

int64_t shmqd_posix_size(struct shmqd_io *io, int file)
{
    struct stat st;
    (void)io;
    return fstat(file, &st) ? -errno : (int64_t)st.st_size;
}

int shmqd_posix_truncate(struct shmqd_io *io, int file, uint64_t len)
{
    (void)io;
    return ftruncate(file, (off_t)len) ? -errno : 0;
}

int64_t shmqd_posix_read(
    struct shmqd_io *io, int file, void *buf, size_t len, uint64_t off)
{
    size_t done = 0;
    (void)io;
    while (done < len) {
        ssize_t n =
            pread(file, (char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

int shmqd_posix_write(
    struct shmqd_io *io, int file, const void *buf, size_t len, uint64_t off)
{
    size_t done = 0;
    (void)io;
    while (done < len) {
        ssize_t n = pwrite(
            file, (const char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

int shmqd_posix_sync(struct shmqd_io *io, int file)
{
    (void)io;
    return fsync(file) ? -errno : 0;
}

int shmqd_posix_lock(struct shmqd_io *io, int file)
{
    (void)io;
    return flock(file, LOCK_EX | LOCK_NB) ? -errno : 0;
}

int shmqd_posix_space(
    struct shmqd_io *io, int dir, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs st;
    (void)io;
    if (fstatvfs(dir, &st))
        return -errno;
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}
