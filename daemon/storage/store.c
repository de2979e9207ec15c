/* store.c - the data directory: its lock, its identity, its buffers. */
#include "log_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include <shmq/errors.h>

#include "../../shmq/crc32c.h"

#define STORE_MAGIC 0x31524f5453514d53ull /* "SMQSTOR1" */
#define STORE_FORMAT 1u
#define STORE_COPY SHMQI_LOG_BLOCK /* second copy */
#define STAGING_BYTES (512u * 1024)
#define STAGING_CNT 32u
#define DSYNC_MAX (128u * 1024)
#define HUGE_BYTES (2u << 20)
#define ZERO_BYTES (128u * 1024)

/* STORE, twice in one file, at 0 and at STORE_COPY. */
struct store_file {
    uint64_t magic;
    uint32_t format, reserved;
    uint64_t incompat;
    uint8_t uuid[16];
    uint64_t openings;
    char namespace_name[64];
    uint8_t zero[396];
    uint32_t crc;
};
_Static_assert(sizeof(struct store_file) == 512, "STORE");

/* -- small things ------------------------------------------------------------
 */

int shmqd_fail(struct shmqd_store *s, int rc, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(s->text, sizeof s->text, fmt, args);
    va_end(args);
    return rc;
}

int shmqd_fail_io(struct shmqd_store *s, int err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(s->text, sizeof s->text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof s->text)
        snprintf(
            s->text + n, sizeof s->text - (size_t)n, ": %s", strerror(-err));
    switch (-err) {
    case ENOENT:
        return SHMQ_ERR_NOENT;
    case EACCES:
    case EPERM:
    case EROFS:
        return SHMQ_ERR_PERM;
    case ENOSPC:
    case EDQUOT:
        return SHMQ_ERR_NOSPACE;
    case ENOMEM:
        return SHMQ_ERR_NOMEM;
    default:
        return SHMQ_ERR_SYS;
    }
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t shmqd_now(const struct shmqd_store *s)
{
    return s->options.monotonic_ns ? s->options.monotonic_ns()
                                   : clock_ns(CLOCK_MONOTONIC);
}

int64_t shmqd_realtime(const struct shmqd_store *s)
{
    return s->options.realtime_ns ? s->options.realtime_ns()
                                  : clock_ns(CLOCK_REALTIME);
}

uint64_t shmqd_random(struct shmqd_store *s)
{
    uint64_t v = 0;
    if (s->options.random)
        return s->options.random(s->options.random_ctx);
    while (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
        ;
    return v;
}

uint64_t shmqd_min_free(const struct shmqd_store *s)
{
    uint64_t free_bytes, total;
    if (s->options.min_free_bytes != UINT64_MAX)
        return s->options.min_free_bytes;
    if (s->ops->space(s->io, s->root, &free_bytes, &total))
        return 0;
    return total / 20 < (1ull << 30) ? total / 20 : 1ull << 30;
}

int shmqd_store_space(
    struct shmqd_store *s, uint64_t *ret_free, uint64_t *ret_total)
{
    int rc = s->ops->space(s->io, s->root, ret_free, ret_total);
    return rc ? shmqd_fail_io(s, rc, "store: cannot ask for its space")
              : SHMQ_OK;
}

const char *shmqd_store_error(const struct shmqd_store *s)
{
    return s->text;
}

const char *shmqd_store_back_end(const struct shmqd_store *s)
{
    return s->ops->name;
}

struct shmqd_io *shmqd_store_io(struct shmqd_store *s)
{
    return s->io;
}

void shmqd_uuid_text(const uint8_t uuid[16], char text[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
}

int shmqd_open_dir(struct shmqd_store *s, int dir, const char *name, bool make)
{
    int fd = s->ops->open(s->io, dir, name, SHMQD_OPEN_DIR);
    if (fd != -ENOENT || !make)
        return fd;
    int rc = s->ops->mkdir(s->io, dir, name);
    if (rc && rc != -EEXIST)
        return rc;
    rc = SHMQD_BUG(NO_DIR_SYNC) ? 0 : s->ops->sync(s->io, dir);
    return rc ? rc : s->ops->open(s->io, dir, name, SHMQD_OPEN_DIR);
}

int shmqd_write_small(struct shmqd_store *s, int dir, const char *name,
    const void *bytes, size_t len)
{
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%s.tmp", name);
    (void)s->ops->unlink(s->io, dir, temporary);
    int file = s->ops->open(
        s->io, dir, temporary, SHMQD_OPEN_WRITE | SHMQD_OPEN_CREATE);
    if (file < 0)
        return file;
    int rc = s->ops->write(s->io, file, bytes, len, 0);
    if (rc == 0)
        rc = s->ops->sync(s->io, file);
    s->ops->close(s->io, file);
    if (rc == 0)
        rc = s->ops->rename(s->io, dir, temporary, name);
    if (rc == 0 && !SHMQD_BUG(NO_DIR_SYNC))
        rc = s->ops->sync(s->io, dir);
    return rc;
}

int64_t shmqd_read_small(
    struct shmqd_store *s, int dir, const char *name, void *bytes, size_t room)
{
    int file = s->ops->open(s->io, dir, name, 0);
    if (file < 0)
        return file;
    int64_t n = s->ops->read(s->io, file, bytes, room, 0);
    s->ops->close(s->io, file);
    return n;
}

/* -- STORE
 * --------------------------------------------------------------------- */

static bool copy_good(const struct store_file *f)
{
    return f->magic == STORE_MAGIC &&
        f->crc == shmqi_crc32c(0, f, offsetof(struct store_file, crc));
}

/* The intact copy with the higher count of openings: 1 or 2; 0: none; negative
 * errno. */
static int read_store(struct shmqd_store *s, struct store_file *ret)
{
    static const uint64_t places[] = {0, STORE_COPY};
    int best = 0;
    for (int i = 0; i < 2; i++) {
        struct store_file f;
        int64_t n = s->ops->read(s->io, s->file, &f, sizeof f, places[i]);
        if (n < 0)
            return (int)n;
        if (n != sizeof f || !copy_good(&f))
            continue;
        if (best == 0 || f.openings > ret->openings) {
            *ret = f;
            best = i + 1;
        }
    }
    return best;
}

/* Both copies, one after the other, the best one last: one of them is whole at
 * any instant. */
static int write_store(struct shmqd_store *s, struct store_file *f, int best)
{
    uint64_t last = best == 1 ? 0 : STORE_COPY;
    f->crc = shmqi_crc32c(0, f, offsetof(struct store_file, crc));
    int rc = s->ops->write(s->io, s->file, f, sizeof *f, STORE_COPY - last);
    if (rc == 0)
        rc = s->ops->sync(s->io, s->file);
    if (rc == 0)
        rc = s->ops->write(s->io, s->file, f, sizeof *f, last);
    if (rc == 0)
        rc = s->ops->sync(s->io, s->file);
    return rc;
}

bool shmqd_still_ours(struct shmqd_store *s)
{
    struct store_file f;
    if (read_store(s, &f) > 0 && f.openings == s->openings)
        return true;
    (void)shmqd_fail(s, SHMQ_ERR_BUSY,
        "store: another daemon has opened it; this one writes no more");
    return false;
}

static int new_store(struct shmqd_store *s, struct store_file *f)
{
    memset(f, 0, sizeof *f);
    f->magic = STORE_MAGIC;
    f->format = STORE_FORMAT;
    for (int i = 0; i < 2; i++) {
        uint64_t v = shmqd_random(s);
        memcpy(f->uuid + 8 * i, &v, 8);
    }
    snprintf(f->namespace_name, sizeof f->namespace_name, "%s",
        s->options.namespace_name);
    f->openings = 1;
    f->crc = shmqi_crc32c(0, f, offsetof(struct store_file, crc));
    /* Whole under another name first: STORE is there or it is not. */
    uint8_t both[2 * STORE_COPY] = {0};
    memcpy(both, f, sizeof *f);
    memcpy(both + STORE_COPY, f, sizeof *f);
    return shmqd_write_small(s, s->root, "STORE", both, sizeof both);
}

static int check_store(struct shmqd_store *s, const struct store_file *f)
{
    if (f->format != STORE_FORMAT || f->incompat)
        return shmqd_fail(s, SHMQ_ERR_LAYOUT,
            "store: format %u (features %#llx) is not known here; use a newer "
            "shmqd",
            f->format, (unsigned long long)f->incompat);
    if (strncmp(f->namespace_name, s->options.namespace_name,
            sizeof f->namespace_name) != 0)
        return shmqd_fail(s, SHMQ_ERR_LAYOUT,
            "store: belongs to namespace %.63s, not %s; give another data "
            "directory",
            f->namespace_name, s->options.namespace_name);
    return SHMQ_OK;
}

static int open_store(struct shmqd_store *s)
{
    struct store_file f;
    s->file = s->ops->open(s->io, s->root, "STORE", SHMQD_OPEN_WRITE);
    if (s->file == -ENOENT) {
        int err = new_store(s, &f);
        if (err)
            return shmqd_fail_io(s, err, "store: cannot make STORE");
        s->file = s->ops->open(s->io, s->root, "STORE", SHMQD_OPEN_WRITE);
    }
    if (s->file < 0)
        return shmqd_fail_io(s, s->file, "store: cannot open STORE");
    int found = read_store(s, &f);
    if (found < 0)
        return shmqd_fail_io(s, found, "store: cannot read STORE");
    if (found == 0)
        return shmqd_fail(
            s, SHMQ_ERR_CORRUPT, "store: both copies in STORE are damaged");
    int rc = check_store(s, &f);
    if (rc)
        return rc;
    f.openings++;
    int err = write_store(s, &f, found);
    if (err)
        return shmqd_fail_io(s, err, "store: cannot write STORE");
    memcpy(s->uuid, f.uuid, sizeof s->uuid);
    s->openings = f.openings;
    return SHMQ_OK;
}

/* -- opening
 * --------------------------------------------------------------------- */

static int lock_store(struct shmqd_store *s)
{
    int64_t until = clock_ns(CLOCK_MONOTONIC) +
        (int64_t)(s->options.lock_wait_ns ? s->options.lock_wait_ns
                                          : 2000000000ull);
    s->lock = s->ops->open(s->io, s->root, "LOCK", SHMQD_OPEN_WRITE);
    if (s->lock == -ENOENT) {
        s->lock = s->ops->open(
            s->io, s->root, "LOCK", SHMQD_OPEN_WRITE | SHMQD_OPEN_CREATE);
        if (s->lock == -EEXIST)
            s->lock = s->ops->open(s->io, s->root, "LOCK", SHMQD_OPEN_WRITE);
    }
    if (s->lock < 0)
        return shmqd_fail_io(s, s->lock, "store: cannot open LOCK");
    for (;;) {
        int rc = s->ops->lock(s->io, s->lock);
        if (rc == 0)
            return SHMQ_OK;
        if (rc != -EWOULDBLOCK)
            return shmqd_fail_io(s, rc, "store: cannot lock it");
        if (clock_ns(CLOCK_MONOTONIC) >= until)
            return shmqd_fail(s, SHMQ_ERR_BUSY, "store: another daemon has it");
        struct timespec nap = {0, 2000000};
        nanosleep(&nap, NULL);
    }
}

static int make_staging(struct shmqd_store *s)
{
    size_t bytes = s->options.staging_bytes, cnt = s->options.staging_cnt;
    void *zeros =
        mmap(NULL, ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *at = mmap(NULL, bytes * cnt, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    s->zeros = zeros == MAP_FAILED ? NULL : zeros;
    s->staging = at == MAP_FAILED ? NULL : at;
    s->buffers = calloc(cnt, sizeof *s->buffers);
    if (!s->zeros || !s->staging || !s->buffers)
        return shmqd_fail(s, SHMQ_ERR_NOMEM, "store: no memory for staging");
    if (bytes * cnt >= HUGE_BYTES)
        (void)madvise(s->staging, bytes * cnt, MADV_HUGEPAGE);
    (void)madvise(s->staging, bytes * cnt, MADV_DONTFORK);
    for (size_t i = cnt; i-- > 0;) {
        struct shmqd_buffer *b = &s->buffers[i];
        b->at = s->staging + i * bytes;
        b->bytes = bytes;
        b->idx = (int)i;
        b->next = s->buffer_free;
        s->buffer_free = b;
    }
    s->free_cnt = (int)cnt;
    /* Refused (RLIMIT_MEMLOCK): then they are just memory. */
    (void)s->ops->buffers(s->io, s->staging, bytes, (int)cnt);
    return SHMQ_OK;
}

static int open_root(struct shmqd_store *s, const char *dir)
{
    s->root = s->ops->open_root(s->io, dir);
    if (s->root == -EXDEV)
        return shmqd_fail(s, SHMQ_ERR_PERM,
            "%s: belongs to another user; give a directory of your own", dir);
    return s->root < 0 ? shmqd_fail_io(s, s->root, "%s", dir) : SHMQ_OK;
}

static int open_all(struct shmqd_store *s, const char *dir)
{
    int rc = open_root(s, dir);
    if (rc == SHMQ_OK)
        rc = lock_store(s);
    if (rc == SHMQ_OK)
        rc = open_store(s);
    if (rc)
        return rc;
    s->topics = shmqd_open_dir(s, s->root, "topics", true);
    if (s->topics < 0)
        return shmqd_fail_io(s, s->topics, "%s/topics", dir);
    /* What made LOCK, STORE and topics must be on disk before they are used. */
    int err = SHMQD_BUG(NO_DIR_SYNC) ? 0 : s->ops->sync(s->io, s->root);
    if (err)
        return shmqd_fail_io(s, err, "%s: cannot sync", dir);
    return make_staging(s);
}

int shmqd_store_open(const char *dir, const struct shmqd_store_options *o,
    struct shmqd_store **ret_store, char *text, size_t text_room)
{
    struct shmqd_store *s = calloc(1, sizeof *s);
    if (s)
        s->path = strdup(dir);
    if (!s || !s->path) {
        snprintf(text, text_room, "store: no memory");
        free(s);
        return SHMQ_ERR_NOMEM;
    }
    s->options = *o;
    s->io = o->io;
    s->ops = o->io->ops;
    s->root = s->topics = s->lock = s->file = -1;
    snprintf(
        s->namespace_name, sizeof s->namespace_name, "%s", o->namespace_name);
    s->options.namespace_name = s->namespace_name;
    if (!s->options.segment_bytes)
        s->options.segment_bytes = 64ull << 20;
    if (!s->options.dsync_max_bytes)
        s->options.dsync_max_bytes = DSYNC_MAX;
    if (!s->options.staging_bytes)
        s->options.staging_bytes = STAGING_BYTES;
    if (!s->options.staging_cnt)
        s->options.staging_cnt = STAGING_CNT;
    int rc = open_all(s, dir);
    if (rc) {
        snprintf(text, text_room, "%s", s->text);
        s->io = NULL; /* stays the caller's */
        shmqd_store_close(s);
        return rc;
    }
    *ret_store = s;
    return SHMQ_OK;
}

static void close_file(struct shmqd_store *s, int file)
{
    if (file >= 0)
        s->ops->close(s->options.io, file);
}

void shmqd_store_close(struct shmqd_store *s)
{
    if (!s)
        return;
    while (s->logs)
        (void)shmqd_log_close(s->logs, false);
    close_file(s, s->topics);
    close_file(s, s->file);
    close_file(s, s->lock);
    close_file(s, s->root);
    if (s->io)
        s->ops->destroy(s->io);
    if (s->staging)
        munmap(s->staging,
            (size_t)s->options.staging_bytes * s->options.staging_cnt);
    if (s->zeros)
        munmap(s->zeros, ZERO_BYTES);
    free(s->buffers);
    free(s->path);
    free(s);
}
