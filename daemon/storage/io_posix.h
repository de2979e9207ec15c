/* io_posix.h - the control path of both real back ends: plain system calls. */
#ifndef SHMQD_IO_POSIX_H
#define SHMQD_IO_POSIX_H

#include "io.h"

int shmqd_posix_open_root(struct shmqd_io *io, const char *dir);
int shmqd_posix_open(
    struct shmqd_io *io, int dir, const char *name, unsigned flags);
void shmqd_posix_close(struct shmqd_io *io, int file);
int shmqd_posix_mkdir(struct shmqd_io *io, int dir, const char *name);
int shmqd_posix_rename(
    struct shmqd_io *io, int dir, const char *from, const char *to);
int shmqd_posix_unlink(struct shmqd_io *io, int dir, const char *name);
int shmqd_posix_rmdir(struct shmqd_io *io, int dir, const char *name);
int shmqd_posix_list(struct shmqd_io *io, int dir,
    void (*each)(void *ctx, const char *name), void *ctx);
int64_t shmqd_posix_size(struct shmqd_io *io, int file);
int shmqd_posix_truncate(struct shmqd_io *io, int file, uint64_t len);
int64_t shmqd_posix_read(
    struct shmqd_io *io, int file, void *buf, size_t len, uint64_t off);
int shmqd_posix_write(
    struct shmqd_io *io, int file, const void *buf, size_t len, uint64_t off);
int shmqd_posix_sync(struct shmqd_io *io, int file);
int shmqd_posix_lock(struct shmqd_io *io, int file);
int shmqd_posix_space(
    struct shmqd_io *io, int dir, uint64_t *ret_free, uint64_t *ret_total);

#define SHMQD_POSIX_CONTROL_PATH \
    .open_root = shmqd_posix_open_root, .open = shmqd_posix_open, \
    .close = shmqd_posix_close, .mkdir = shmqd_posix_mkdir, \
    .rename = shmqd_posix_rename, .unlink = shmqd_posix_unlink, \
    .rmdir = shmqd_posix_rmdir, .list = shmqd_posix_list, \
    .size = shmqd_posix_size, .truncate = shmqd_posix_truncate, \
    .read = shmqd_posix_read, .write = shmqd_posix_write, \
    .sync = shmqd_posix_sync, .lock = shmqd_posix_lock, \
    .space = shmqd_posix_space

#endif
