/* io.h - the one way from the storage engine to a disk.
 *
 * Three back ends stand behind this table: io_uring, pwritev2 (synchronous,
 * the fallback) and a simulated disk in the tests. All names are relative to a
 * directory handle; handles are small numbers of the back end (descriptors for
 * the real ones). Functions return 0 or a count, or a negative errno.
 *
 * Data goes through operations that complete later: the caller owns the
 * struct until `done` runs, which happens in shmqi_io turn() only, never within
 * submit(). A back end may complete operations in any order; a write may come
 * back short. Syncs cover the writes that had COMPLETED when the sync was
 * submitted, nothing else.
 *
 * Threads: one. Blocking: turn() waits only as long as it is told; the
 * functions marked "waits" wait for the disk (recovery, control path). */
#ifndef SHMQD_IO_H
#define SHMQD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shmqd_io;

enum shmqd_io_kind {
    SHMQD_IO_WRITE, /* len bytes of buf at off */
    SHMQD_IO_SYNC, /* fdatasync */
    SHMQD_IO_ALLOCATE /* reserve [off, off + len), contents zero */
};

enum shmqd_io_flags {
    SHMQD_IO_DSYNC = 1, /* write: durable when it completes */
    SHMQD_IO_FULL = 2 /* sync: fsync, as directories need */
};

struct shmqd_io_op {
    enum shmqd_io_kind kind;
    int file;
    unsigned flags;
    const uint8_t *buf; /* aligned to 4096, as are off and len */
    int buf_idx; /* number among the registered buffers, or -1 */
    uint64_t off, len;
    int64_t result; /* bytes written, 0, or negative errno */
    void (*done)(struct shmqd_io_op *op); /* owner's; may submit again */
    void *owner;
    struct shmqd_io_op *next; /* the back end's */
};

/* Flags of open(). Reading is always possible. */
enum {
    SHMQD_OPEN_DIR = 1,
    SHMQD_OPEN_WRITE = 2,
    SHMQD_OPEN_CREATE = 4, /* must not exist: EEXIST */
    SHMQD_OPEN_DIRECT = 8 /* past the page cache where the file system can */
};

struct shmqd_io_ops {
    const char *name; /* "uring", "pwritev2", "simulated" */
    /* -- control path -------------------------------------------------- */
    /* The data directory: made (0700) when missing, made private when it is
     * not; -EXDEV: it belongs to somebody else. */
    int (*open_root)(struct shmqd_io *io, const char *dir);
    int (*open)(struct shmqd_io *io, int dir, const char *name, unsigned flags);
    void (*close)(struct shmqd_io *io, int file);
    int (*mkdir)(struct shmqd_io *io, int dir, const char *name);
    int (*rename)(
        struct shmqd_io *io, int dir, const char *from, const char *to);
    int (*unlink)(struct shmqd_io *io, int dir, const char *name);
    int (*rmdir)(struct shmqd_io *io, int dir, const char *name);
    /* Calls `each` for every name in the directory, in any order. */
    int (*list)(struct shmqd_io *io, int dir,
        void (*each)(void *ctx, const char *name), void *ctx);
    int64_t (*size)(struct shmqd_io *io, int file);
    int (*truncate)(struct shmqd_io *io, int file, uint64_t len);
    /* Waits. Whole length or error, except that read() is short at the end. */
    int64_t (*read)(
        struct shmqd_io *io, int file, void *buf, size_t len, uint64_t off);
    int (*write)(struct shmqd_io *io, int file, const void *buf, size_t len,
        uint64_t off);
    int (*sync)(struct shmqd_io *io, int file); /* file or directory */
    int (*lock)(struct shmqd_io *io, int file); /* -EWOULDBLOCK: taken */
    /* Free bytes and size of the file system under `dir`. */
    int (*space)(
        struct shmqd_io *io, int dir, uint64_t *ret_free, uint64_t *ret_total);
    /* -- data path ----------------------------------------------------- */
    /* -EAGAIN: too many under way; turn() first. */
    int (*submit)(struct shmqd_io *io, struct shmqd_io_op *op);
    /* Starts what was submitted, waits up to `timeout_ns` for a completion (0:
     * not at all), then runs `done` of at most `max` completed operations.
     * Returns how many. */
    int (*turn)(struct shmqd_io *io, int max, int64_t timeout_ns);
    /* Becomes readable when turn() has something to do; -1: always call. */
    int (*wait_fd)(struct shmqd_io *io);
    /* Staging buffers, `cnt` of `bytes` each at `base`; may do nothing. */
    int (*buffers)(struct shmqd_io *io, uint8_t *base, size_t bytes, int cnt);
    void (*destroy)(struct shmqd_io *io);
};

/* Every back end's struct begins with this. */
struct shmqd_io {
    const struct shmqd_io_ops *ops;
    int in_flight; /* submitted and not done */
};

enum shmqd_io_choice {
    SHMQD_IO_AUTO, /* io_uring when the kernel lets us, else pwritev2 */
    SHMQD_IO_URING,
    SHMQD_IO_PWRITEV2
};

/* Opens a back end. `ret_why` (static text) says why AUTO did not take
 * io_uring, or why URING failed; NULL else. -ENOSYS, -EPERM, -ENOMEM... */
int shmqd_io_create(enum shmqd_io_choice choice, struct shmqd_io **ret_io,
    const char **ret_why);
int shmqd_io_uring_create(struct shmqd_io **ret_io, const char **ret_why);
int shmqd_io_pwritev2_create(struct shmqd_io **ret_io);

/* After this only the operations above are possible on the ring: nothing that
 * opens, connects or executes, and no further registration. For the daemon's
 * sandbox, once buffers are registered. 0, or the kernel's refusal. */
int shmqd_io_restrict(struct shmqd_io *io);

#endif
