/* log_dir.c - the directory of a log, as its readers see it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "log_reader_impl.h"

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct numbers {
    uint64_t *at;
    size_t cnt, room;
};

static int note_name(void *arg, const char *name)
{
    struct numbers *n = arg;
    uint64_t no;
    if (!shmqi_log_segment_number(name, ".seg", &no))
        return 0;
    if (n->cnt == n->room) {
        size_t room = n->room ? 2 * n->room : 64;
        uint64_t *more = realloc(n->at, room * sizeof *more);
        if (!more)
            return -ENOMEM;
        n->at = more;
        n->room = room;
    }
    n->at[n->cnt++] = no;
    return 0;
}

int shmqi_log_list(
    const struct shmqi_log_reader *r, uint64_t **ret_numbers, size_t *ret_cnt)
{
    struct numbers n = {NULL, 0, 0};
    int err = r->files->list(r->files_ctx, r->dir, note_name, &n);
    if (err) {
        free(n.at);
        return shmqi_fail_sys(-err, "log: cannot list its directory");
    }
    if (n.cnt)
        qsort(n.at, n.cnt, sizeof *n.at, by_number);
    *ret_numbers = n.at;
    *ret_cnt = n.cnt;
    return SHMQ_OK;
}

static int open_segment(
    const struct shmqi_log_reader *r, uint64_t number, int *ret_fd)
{
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(number, ".seg", name);
    int fd = r->files->open(r->files_ctx, r->dir, name);
    if (fd < 0)
        return shmqi_fail_sys(-fd, "log segment %s: cannot open", name);
    *ret_fd = fd;
    return SHMQ_OK;
}

static int64_t read_file(void *ctx, void *buf, size_t len, uint64_t off)
{
    const struct shmqi_log_reader *r = ctx;
    return r->files->read(r->files_ctx, r->fd, buf, len, off);
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
    int rc = open_segment(r, number, &with.fd);
    if (rc)
        return rc;
    int64_t n = read_file(&with, block, sizeof block, 0);
    r->files->close(r->files_ctx, with.fd);
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
        r->files->close(r->files_ctx, r->fd);
        shmqi_log_scan_close(&r->scan);
    }
    r->fd = -1;
    r->in_batch = false;
}

int shmqi_log_enter(struct shmqi_log_reader *r, uint64_t number)
{
    enum shmqi_log_verdict v;
    shmqi_log_leave(r);
    int rc = open_segment(r, number, &r->fd);
    if (rc)
        return rc;
    int err = shmqi_log_scan_open(&r->scan, read_file, r, &r->segment, &v);
    if (err) {
        r->files->close(r->files_ctx, r->fd);
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
    rc = shmqi_log_list(r, &numbers, &cnt);
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
    if (!shmqi_log_bug_no_chain)
        r->end_pos = next.prev_end_pos;
    return SHMQ_OK;
}
