/* drain.c - shmqd's handle on a durable topic: opening it, telling how far its
 * records have come, waiting for more. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drain_impl.h"
#include "error.h"
#include "files.h"
#include "pin.h"
#include "reap.h"
#include "topic_impl.h"

/* -- making ------------------------------------------------------------------
 */

uint64_t shmqi_durable_start(
    const struct shmq_topic_attrs *attrs, uint64_t log_end)
{
    struct shmqi_constants_shm c;
    if (log_end == 0 || shmqi_topic_constants("topic", attrs, &c) != SHMQ_OK)
        return 0;
    if (c.ring == SHMQ_RING_SPSC)
        return log_end + c.arena_bytes;
    uint64_t n = 1ull << c.cap_lg2, seq = shmqi_pos_seq(log_end + 4095);
    return shmqi_pos((seq + 2 * n - 1) & ~(n - 1), 0);
}

int shmqi_durable_create(const struct shmqi_durable_make *make)
{
    struct shmqi_constants_shm c;
    char space[SHMQ_NAMESPACE_MAX + 1];
    struct shmqi_marks_make marks;
    memset(&marks, 0, sizeof marks);
    if (shmqi_generation() == 0)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    int rc = shmqi_namespace(make->ns, space);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_name_check(make->topic, true);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_constants(make->topic, make->attrs, &c);
    if (rc == SHMQ_OK &&
        (c.durability == SHMQ_DURABILITY_NONE || !make->dir ||
            strlen(make->dir) >= SHMQI_DIR_ROOM))
        rc = shmqi_fail(SHMQ_ERR_INVAL,
            "%s: no durable topic, or its directory's name is too long",
            make->topic);
    if (rc)
        return rc;
    c.start_seq =
        c.ring == SHMQ_RING_SPSC ? make->start : shmqi_pos_seq(make->start);
    memcpy(marks.topic_uuid, make->topic_uuid, sizeof marks.topic_uuid);
    marks.earliest = make->earliest;
    marks.dir = make->dir;
    struct shmqi_create more = shmqi_topic_create_more(make->attrs);
    more.marks = &marks;
    return shmqi_files_create(space, make->topic, &c, &more);
}

int shmqi_durable_look(
    const char *ns, const char *topic, struct shmqi_durable_info *ret)
{
    struct shmqi_files f;
    struct shmqi_plan plan;
    struct shmqi_marks_constants_shm c;
    int fd = -1;
    int rc = shmqi_files_init(&f, ns, topic);
    if (rc == SHMQ_OK)
        rc = shmqi_files_open_data(&f);
    if (rc == SHMQ_OK && !shmqi_plan(&f.data, &plan))
        rc = shmqi_fail(SHMQ_ERR_LAYOUT, "%s: its header is damaged", topic);
    shmqi_files_close(&f);
    if (rc)
        return rc;
    memset(ret, 0, sizeof *ret);
    ret->durability = f.data.durability;
    if (f.data.durability != SHMQ_DURABILITY_NONE &&
        shmqi_marks_open(f.ns, f.topic, f.data.uuid, plan.group_cnt, false, &c,
            &fd) == SHMQ_OK) {
        ret->marks = true;
        ret->served = shmqi_marks_locked(fd);
        memcpy(ret->topic_uuid, c.topic_uuid, sizeof ret->topic_uuid);
        (void)close(fd);
    }
    return SHMQ_OK;
}

/* -- opening -----------------------------------------------------------------
 */

/* Of an open file description: closing another descriptor of the file does not
 * drop it, and other threads and copies of the library see it. */
static int take_lock(const struct shmqi_drain *d)
{
    struct flock l;
    memset(&l, 0, sizeof l);
    l.l_type = F_WRLCK;
    l.l_whence = SEEK_SET;
    l.l_len = 1;
    if (fcntl(d->fd, F_OFD_SETLK, &l) == 0)
        return SHMQ_OK;
    if (errno == EAGAIN || errno == EACCES)
        return shmqi_fail(
            SHMQ_ERR_BUSY, "%s: another shmqd serves it", d->segment->topic);
    return shmqi_fail_sys(
        errno, "%s: cannot lock its watermarks", d->segment->topic);
}

static int open_marks(struct shmqi_drain *d)
{
    struct shmqi_segment *s = d->segment;
    if (!s->ring.marks)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "%s: it is not a durable topic", s->topic);
    int rc = shmqi_marks_open(s->ns, s->topic, s->constants.uuid,
        s->ring.group_cnt, true, &d->constants, &d->fd);
    if (rc == SHMQ_ERR_STALE)
        return shmqi_fail(
            SHMQ_ERR_LAYOUT, "%s: its watermark file is gone", s->topic);
    if (rc == SHMQ_OK)
        rc = take_lock(d);
    if (rc)
        return rc;
    /* `broken` belongs to the segment, which lives longer than this. */
    int err = shmqi_mapping_make(
        &d->map, d->fd, d->constants.file_bytes, true, &s->ring.broken);
    if (err)
        return shmqi_fail_sys(err, "%s: cannot map its watermarks", s->topic);
    d->marks = d->map.at;
    return SHMQ_OK;
}

static int open_rest(struct shmqi_drain *d)
{
    struct shmqi_segment *s = d->segment;
    struct shmq_topic handle = {s, shmqi_generation()};
    if (!s->data_writable)
        return shmqi_fail(
            SHMQ_ERR_PERM, "%s: its data file is not writable", s->topic);
    d->attrs.struct_bytes = sizeof d->attrs;
    int rc = shmq_topic_attrs(&handle, &d->attrs);
    if (rc == SHMQ_OK) {
        shmqi_process_lock(); /* mappings are registered under it */
        rc = open_marks(d);
        shmqi_process_unlock();
    }
    if (rc == SHMQ_OK)
        rc = shmqi_attach(s, SHMQ_ROLE_ADMIN, &d->idx, &d->identity);
    return rc;
}

static void close_files(struct shmqi_drain *d)
{
    shmqi_process_lock();
    shmqi_mapping_drop(&d->map);
    shmqi_process_unlock();
    if (d->fd >= 0)
        (void)close(d->fd);
    shmqi_segment_unref(d->segment);
}

int shmqi_drain_open(
    const char *ns, const char *topic, struct shmqi_drain **ret)
{
    struct shmqi_drain *d = calloc(1, sizeof *d);
    if (!d || shmqi_generation() == 0) {
        free(d);
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    }
    d->fd = -1;
    shmqi_sigbus_unblock();
    int rc = shmqi_segment_open(ns, topic, &d->segment);
    if (rc) {
        free(d);
        return rc;
    }
    d->ring = &d->segment->ring;
    rc = shmqi_segment_deleted(d->segment)
        ? shmqi_fail(SHMQ_ERR_NOENT, "%s: it has been removed", topic)
        : open_rest(d);
    if (rc) {
        close_files(d);
        free(d);
        return rc;
    }
    shmqi_drain_seek(d, shm_ld(N1, &d->marks->drained));
    *ret = d;
    return SHMQ_OK;
}

void shmqi_drain_close(struct shmqi_drain *d)
{
    if (!d)
        return;
    if (d->has_fifo)
        shmqi_poll_close(&d->poll, d->segment, d->identity);
    shmqi_endpoint_free(d->segment, d->idx, d->identity);
    close_files(d);
    free(d);
}

const struct shmq_topic_attrs *shmqi_drain_attrs(const struct shmqi_drain *d)
{
    return &d->attrs;
}

const uint64_t *shmqi_drain_topic_uuid(const struct shmqi_drain *d)
{
    return d->constants.topic_uuid;
}

uint64_t shmqi_drain_start(const struct shmqi_drain *d)
{
    return d->constants.start;
}

void shmqi_drain_marks(const struct shmqi_drain *d, struct shmq_watermarks *ret)
{
    shmqi_watermarks(d->segment, ret);
    ret->served = 1;
}

uint64_t shmqi_drain_published(const struct shmqi_drain *d)
{
    /* Nobody writes over what is not drained. */
    return shmqi_ring_end_from(d->ring, shm_ld(N1, &d->marks->drained));
}

int shmqi_drain_check(struct shmqi_drain *d)
{
    if (shmqi_segment_deleted(d->segment))
        return shmqi_fail(
            SHMQ_ERR_CLOSED, "%s: the topic was removed", d->segment->topic);
    return shmqi_segment_result(d->segment, SHMQ_OK);
}

/* -- telling ------------------------------------------------------------------
 */

/* Whether any wait is for the kernel to know:
 * next to a flush its call costs nothing. */
void shmqi_drain_wake(struct shmqi_drain *d)
{
    (void)shm_add(M4, &d->marks->wake, 1);
    (void)syscall(
        SYS_futex, &d->marks->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    shmqi_wake_producers(d->segment);
    shmqi_wake_members(d->segment);
}

static bool raise_mark(shmqi_word *mark, uint64_t to)
{
    if (shm_ld(N1, mark) >= to)
        return false;
    shm_st(M1, mark, to);
    return true;
}

void shmqi_drain_raise(
    struct shmqi_drain *d, uint64_t written, uint64_t durable)
{
    struct shmqi_marks_shm *m = d->marks;
    bool os = d->constants.durability == SHMQ_DURABILITY_OS;
    (void)raise_mark(&m->published, written);
    bool up = raise_mark(&m->written, written);
    up |= raise_mark(&m->durable, durable);
    up |= raise_mark(&m->drained, os ? written : durable);
    if (up)
        shmqi_drain_wake(d);
}

void shmqi_drain_set_earliest(struct shmqi_drain *d, uint64_t earliest)
{
    (void)raise_mark(&d->marks->earliest, earliest);
}

void shmqi_drain_set_state(struct shmqi_drain *d, uint32_t state)
{
    shmqi_word *version = &d->ring->control->version;
    bool refuse =
        state == SHMQ_DURABLE_READ_ONLY || state == SHMQ_DURABLE_FAILED;
    bool refused = (shm_ld(G2, version) & SHMQI_READ_ONLY) != 0;
    shm_st(M1, &d->marks->state, state);
    if (refuse && !refused)
        (void)shm_or(J4, version, SHMQI_READ_ONLY);
    if (!refuse && refused)
        (void)shm_and(J4, version, ~SHMQI_READ_ONLY);
    if (refuse != refused)
        shmqi_version_add(d->ring);
    shmqi_drain_wake(d);
}

bool shmqi_drain_making(const struct shmqi_drain *d)
{
    return shm_ld(N1, &d->marks->state) == SHMQI_MARKS_MAKING;
}

void shmqi_drain_beat(struct shmqi_drain *d)
{
    shm_st(N2, &d->marks->beat_ns, shmqi_now_monotonic());
}

void shmqi_drain_set_figures(
    struct shmqi_drain *d, const struct shmqi_drain_figures *f)
{
    struct shmqi_marks_shm *m = d->marks;
    shm_st(N2, &m->disk_bytes, f->disk_bytes);
    shm_st(N2, &m->segments, f->segments);
    shm_st(N2, &m->io_errors, f->io_errors);
    shm_st(N2, &m->free_bytes, f->free_bytes);
    shm_st(N2, &m->records, f->records);
    shm_st(N2, &m->retain_bytes, f->retain.retain_bytes);
    shm_st(N2, &m->retain_age_ns, f->retain.retain_age_ns);
    shm_st(N2, &m->max_lag_bytes, f->retain.max_lag_bytes);
}

void shmqi_drain_count_flush(
    struct shmqi_drain *d, uint64_t latency_ns, uint64_t bytes)
{
    struct shmqi_marks_shm *m = d->marks;
    uint32_t lg2 = latency_ns ? 63u - (uint32_t)__builtin_clzll(latency_ns) : 0;
    if (lg2 >= SHMQI_FLUSH_BUCKETS)
        lg2 = SHMQI_FLUSH_BUCKETS - 1;
    shm_st(N2, &m->flushes, shm_ld(N1, &m->flushes) + 1);
    shm_st(N2, &m->flushed_bytes, shm_ld(N1, &m->flushed_bytes) + bytes);
    shm_st(N2, &m->flush_lg2[lg2], shm_ld(N1, &m->flush_lg2[lg2]) + 1);
}

/* Writer half of a sequence lock: odd, fence, bytes, even. A daemon killed in
 * between leaves it odd: then nobody reads it until the next one has told. */
int shmqi_drain_set_dir(struct shmqi_drain *d, const char *dir)
{
    struct shmqi_marks_shm *m = d->marks;
    size_t n = strlen(dir);
    uint64_t words[SHMQI_DIR_ROOM / 8];
    if (n >= SHMQI_DIR_ROOM)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: the directory's name is too long", d->segment->topic);
    char was[SHMQI_DIR_ROOM];
    uint64_t version = shm_ld(N1, &m->dir_version) & ~1ull;
    shmqi_marks_dir(m, was);
    if (strcmp(was, dir) == 0)
        return SHMQ_OK;
    memset(words, 0, sizeof words);
    memcpy(words, dir, n);
    shm_st(M10, &m->dir_version, version + 1);
    shm_fence(M12);
    for (uint32_t i = 0; i < SHMQI_DIR_ROOM / 8; i++)
        shm_st(N2, &m->dir_words[i], words[i]);
    shm_st(M10, &m->dir_version, version + 2);
    return SHMQ_OK;
}

/* -- waiting -----------------------------------------------------------------
 */

int shmqi_drain_fd(struct shmqi_drain *d, int *ret_fd)
{
    if (!d->has_fifo) {
        int rc = shmqi_bell_open(&d->poll, d->segment, d->identity);
        if (rc)
            return rc;
        rc = shmqi_poll_open(&d->poll, d->segment);
        if (rc) {
            shmqi_poll_close(&d->poll, d->segment, d->identity);
            return rc;
        }
        d->has_fifo = true;
    }
    *ret_fd = d->poll.epoll_fd;
    return SHMQ_OK;
}

static bool anything(const struct shmqi_drain *d)
{
    const struct shmqi_ring *r = d->ring;
    uint64_t w;
    if (shm_ld(M7, &r->control->commits) != d->commits ||
        shmqi_segment_deleted(d->segment))
        return true;
    if (r->ring == SHMQ_RING_MPMC)
        return shmqi_mpmc_look(r, d->next, &w) >= 0;
    return shmqi_spsc_look_racy(r, d->next, &w) != SHMQI_SPSC_EMPTY;
}

bool shmqi_drain_arm(struct shmqi_drain *d)
{
    int fd;
    if (shmqi_drain_fd(d, &fd) != SHMQ_OK)
        return false;
    bool settle =
        shmqi_poll_arm(&d->poll, d->segment, d->idx, SHMQI_NAP_MAX_NS);
    uint64_t until = settle ? shmqi_now_monotonic() + SHMQI_SETTLE_NS : 0;
    bool found;
    do
        found = anything(d);
    while (!found && settle && shmqi_now_monotonic() < until);
    if (found)
        shmqi_drain_disarm(d);
    return !found;
}

void shmqi_drain_disarm(struct shmqi_drain *d)
{
    if (d->has_fifo && d->poll.armed)
        shmqi_poll_disarm(&d->poll, d->segment, d->idx);
}

/* -- the dead ----------------------------------------------------------------
 */

uint32_t shmqi_drain_reap(struct shmqi_drain *d)
{
    return shmqi_reap_all(d->segment, d->idx);
}

uint32_t shmqi_drain_pids(struct shmqi_drain *d, int32_t *buf, uint32_t cap)
{
    const struct shmqi_self *self = shmqi_self();
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < d->ring->endpoint_cnt && cnt < cap; i++) {
        struct shmqi_peer peer;
        if (shmqi_peer_read(d->ring, i, &peer) && self->pid_namespace != 0 &&
            peer.pid_namespace == self->pid_namespace &&
            peer.pid != self->pid && shmqi_peer_pid_valid(&peer))
            buf[cnt++] = (int32_t)peer.pid;
    }
    return cnt;
}
