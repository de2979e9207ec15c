/* log_dir.c - the directory of a log, as its readers see it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "log_reader_impl.h"

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int collect(DIR *d, uint64_t **ret_numbers, size_t *ret_cnt)
{
    uint64_t *numbers = NULL, no;
    size_t cnt = 0, room = 0;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (!shmqi_log_segment_number(e->d_name, ".seg", &no))
            continue;
        if (cnt == room) {
            room = room ? 2 * room : 64;
            uint64_t *more = realloc(numbers, room * sizeof *numbers);
            if (!more) {
                free(numbers);
                return shmqi_fail(SHMQ_ERR_NOMEM, "log: no memory");
            }
            numbers = more;
        }
        numbers[cnt++] = no;
    }
    if (cnt)
        qsort(numbers, cnt, sizeof *numbers, by_number);
    *ret_numbers = numbers;
    *ret_cnt = cnt;
    return SHMQ_OK;
}

int shmqi_log_list(int dir, uint64_t **ret_numbers, size_t *ret_cnt)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        return shmqi_fail_sys(err, "log: cannot list its directory");
    }
    int rc = collect(d, ret_numbers, ret_cnt);
    closedir(d);
    return rc;
}

static int open_segment(int dir, uint64_t number, int *ret_fd)
{
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(number, ".seg", name);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return shmqi_fail_sys(errno, "log segment %s: cannot open", name);
    *ret_fd = fd;
    return SHMQ_OK;
}

static int64_t read_file(void *ctx, void *buf, size_t len, uint64_t off)
{
    const struct shmqi_log_reader *r = ctx;
    size_t done = 0;
    while (done < len) {
        ssize_t n =
            pread(r->fd, (char *)buf + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return done ? (int64_t)done : -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

static int check_head(const struct shmqi_log_reader *r, uint64_t number,
    const struct shmqi_log_segment *h, enum shmqi_log_verdict v)
{
    if (v == SHMQI_LOG_FOREIGN)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "log segment %llu: written in a later format (version %u.%u, "
            "features %#llx); use a newer shmq",
            (unsigned long long)number, h->major, h->minor,
            (unsigned long long)h->incompat);
    if (v == SHMQI_LOG_BAD || v == SHMQI_LOG_BLANK)
        return SHMQ_OK;
    if (h->segment_no != number ||
        (!r->any_topic && memcmp(h->topic_uuid, r->topic_uuid, 16)))
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "log segment %llu: belongs to another topic or place",
            (unsigned long long)number);
    return SHMQ_OK;
}

int shmqi_log_head(const struct shmqi_log_reader *r, uint64_t number,
    struct shmqi_log_segment *ret_h, enum shmqi_log_verdict *ret_verdict)
{
    uint8_t block[SHMQI_LOG_BLOCK] = {0};
    struct shmqi_log_reader with = *r;
    struct shmqi_log_segment h = {0};
    int rc = open_segment(r->dir, number, &with.fd);
    if (rc)
        return rc;
    int64_t n = read_file(&with, block, sizeof block, 0);
    close(with.fd);
    if (n < 0)
        return shmqi_fail_sys((int)-n, "log segment %llu: cannot read",
            (unsigned long long)number);
    enum shmqi_log_verdict v = shmqi_log_segment_decode(block, &h);
    rc = check_head(r, number, &h, v);
    if (rc)
        return rc;
    *ret_h = h;
    *ret_verdict = v;
    return SHMQ_OK;
}

void shmqi_log_leave(struct shmqi_log_reader *r)
{
    if (r->fd >= 0) {
        close(r->fd);
        shmqi_log_scan_close(&r->scan);
    }
    r->fd = -1;
    r->in_batch = false;
}

int shmqi_log_enter(struct shmqi_log_reader *r, uint64_t number)
{
    enum shmqi_log_verdict v;
    shmqi_log_leave(r);
    int rc = open_segment(r->dir, number, &r->fd);
    if (rc)
        return rc;
    int err = shmqi_log_scan_open(&r->scan, read_file, r, &r->segment, &v);
    if (err) {
        close(r->fd);
        r->fd = -1;
        return shmqi_fail_sys(
            -err, "log segment %llu: cannot read", (unsigned long long)number);
    }
    rc = check_head(r, number, &r->segment, v);
    if (rc == SHMQ_OK && (v == SHMQI_LOG_BAD || v == SHMQI_LOG_BLANK))
        rc = shmqi_fail(SHMQ_ERR_CORRUPT, "log segment %llu: header %s",
            (unsigned long long)number, shmqi_log_verdict_name(v));
    if (rc) {
        shmqi_log_leave(r);
        return rc;
    }
    r->end_pos = UINT64_MAX;
    return shmqi_log_learn_end(r);
}

int shmqi_log_next_segment(const struct shmqi_log_reader *r, uint64_t after,
    struct shmqi_log_segment *ret_h, bool *ret_lowest)
{
    uint64_t *numbers = NULL;
    size_t cnt = 0, i = 0;
    enum shmqi_log_verdict v = SHMQI_LOG_BAD;
    int rc = shmqi_log_head(r, after + 1, ret_h, &v);
    if (rc == SHMQ_OK && v <= SHMQI_LOG_COPY_BAD) {
        *ret_lowest = false;
        return SHMQ_OK;
    }
    if (rc && rc != SHMQ_ERR_NOENT)
        return rc;
    rc = shmqi_log_list(r->dir, &numbers, &cnt);
    if (rc)
        return rc;
    while (i < cnt && numbers[i] <= after)
        i++;
    *ret_lowest = i == 0;
    for (rc = SHMQ_ERR_EMPTY; i < cnt; i++) {
        rc = shmqi_log_head(r, numbers[i], ret_h, &v);
        if (rc == SHMQ_OK && v <= SHMQI_LOG_COPY_BAD)
            break;
        if (rc && rc != SHMQ_ERR_NOENT)
            break;
        *ret_lowest = false;
        rc = SHMQ_ERR_EMPTY;
    }
    free(numbers);
    return rc;
}

int shmqi_log_learn_end(struct shmqi_log_reader *r)
{
    struct shmqi_log_segment next;
    bool lowest;
    if (r->fd < 0 || r->end_pos != UINT64_MAX)
        return SHMQ_OK;
    int rc = shmqi_log_next_segment(r, r->segment.segment_no, &next, &lowest);
    if (rc == SHMQ_ERR_EMPTY)
        return SHMQ_OK;
    if (rc)
        return rc;
        /* Only the very next one knows where this one ended; of a later one it
         * is the most that can have been. */
#ifndef SHMQ_BUG_LOG_NO_CHAIN
    r->end_pos = next.prev_end_pos;
#endif
    return SHMQ_OK;
}
