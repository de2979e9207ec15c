/* files.c - opening the files of a topic. */
#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

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
