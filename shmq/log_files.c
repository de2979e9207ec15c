/* log_files.c - the files of a log on a real disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_reader_impl.h"

static int posix_list(
    void *ctx, int dir, int (*each)(void *arg, const char *name), void *arg)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    (void)ctx;
    if (!d) {
        err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    for (const struct dirent *e = readdir(d); e && !err; e = readdir(d))
        err = each(arg, e->d_name);
    closedir(d);
    return err;
}

static int posix_open(void *ctx, int dir, const char *name)
{
    (void)ctx;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static bool holds(int fd, uint64_t off)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size > 0 && off < (uint64_t)st.st_size;
}

/* A sector that the disk cannot read costs what it holds and no more: larger
 * reads are tried again in smaller parts, and a block that stays unreadable
 * becomes bytes that no checksum is right for, so that it is told as a gap. */
static int64_t posix_read(
    void *ctx, int fd, void *buf, size_t len, uint64_t off)
{
    size_t done = 0, most = len;
    (void)ctx;
    while (done < len) {
        size_t want = len - done < most ? len - done : most;
        ssize_t n = pread(fd, (char *)buf + done, want, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EIO && want > SHMQI_LOG_BLOCK) {
            most = SHMQI_LOG_BLOCK;
            continue;
        }
        if (n < 0 && errno == EIO && holds(fd, off + done)) {
            memset((char *)buf + done, 0xff, want);
            n = (ssize_t)want;
        }
        if (n < 0)
            return done ? (int64_t)done : -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static void posix_close(void *ctx, int fd)
{
    (void)ctx;
    close(fd);
}

static void posix_direct(void *ctx, int fd, bool past_the_cache)
{
    int flags = fcntl(fd, F_GETFL);
    (void)ctx;
    if (flags >= 0)
        (void)fcntl(
            fd, F_SETFL, past_the_cache ? flags | O_DIRECT : flags & ~O_DIRECT);
}

const struct shmqi_log_files shmqi_log_posix = {
    posix_list, posix_open, posix_read, posix_close, posix_direct};
