/* durable.c - watermarks as everybody sees them, and waiting for a level. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <shmq/durable.h>

#include "ends.h"
#include "error.h"
#include "process.h"
#include "producer_impl.h"
#include "topic_impl.h"
#include "watermarks.h"

/* -- watermarks ---------------------------------------------------------------
 */

static uint64_t percentile(const uint64_t *buckets, uint64_t all, double part)
{
    uint64_t sum = 0, want = (uint64_t)((double)all * part);
    for (uint32_t i = 0; i < SHMQI_FLUSH_BUCKETS; i++) {
        sum += buckets[i];
        if (sum > want || (sum == all && sum > 0))
            return 2ull << i;
    }
    return 0;
}

static void flush_times(
    const struct shmqi_marks_shm *m, struct shmq_watermarks *ret)
{
    uint64_t buckets[SHMQI_FLUSH_BUCKETS], all = 0;
    for (uint32_t i = 0; i < SHMQI_FLUSH_BUCKETS; i++) {
        buckets[i] = shm_ld(N1, &m->flush_lg2[i]);
        all += buckets[i];
    }
    if (all == 0)
        return;
    ret->flush_ns_p50 = percentile(buckets, all, 0.5);
    ret->flush_ns_p99 = percentile(buckets, all, 0.99);
    ret->flush_ns_max = percentile(buckets, all, 1.0);
}

void shmqi_watermarks(
    const struct shmqi_segment *s, struct shmq_watermarks *ret)
{
    const struct shmqi_marks_shm *m = s->ring.marks;
    memset(ret, 0, sizeof *ret);
    ret->struct_bytes = sizeof *ret;
    /* In this order: each is at most the next. */
    ret->durable = shm_ld(M3, &m->durable);
    ret->written = shm_ld(M3, &m->written);
    ret->published = shmqi_ring_end(&s->ring);
    ret->earliest = shm_ld(M3, &m->earliest);
    ret->start = s->constants.ring == SHMQ_RING_SPSC
        ? s->ring.start_seq
        : shmqi_pos(s->ring.start_seq, 0);
    ret->state = (uint32_t)shm_ld(M3, &m->state);
    ret->durability = s->constants.durability;
    ret->flushes = shm_ld(N1, &m->flushes);
    ret->flushed_bytes = shm_ld(N1, &m->flushed_bytes);
    ret->io_errors = shm_ld(N1, &m->io_errors);
    ret->disk_bytes = shm_ld(N1, &m->disk_bytes);
    ret->segments = shm_ld(N1, &m->segments);
    ret->free_bytes = shm_ld(N1, &m->free_bytes);
    ret->retain_bytes = shm_ld(N1, &m->retain_bytes);
    ret->retain_age_ns = shm_ld(N1, &m->retain_age_ns);
    ret->max_lag_bytes = shm_ld(N1, &m->max_lag_bytes);
    flush_times(m, ret);
}

int shmq_topic_watermarks(struct shmq_topic *topic, struct shmq_watermarks *ret)
{
    struct shmqi_segment *s = NULL;
    struct shmq_watermarks w;
    int rc = shmqi_topic_look(topic, &s);
    if (rc)
        return rc;
    if (!ret || ret->struct_bytes != sizeof *ret)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "watermarks: struct_bytes is not sizeof(struct shmq_watermarks)");
    if (!s->ring.marks)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "%s: it is not a durable topic", s->topic);
    shmqi_watermarks(s, &w);
    w.served = shmqi_marks_served(s);
    shmqi_depth(&s->ring,
        s->constants.durability == SHMQ_DURABILITY_OS ? w.written : w.durable,
        w.published, &w.unflushed_messages, &w.unflushed_bytes);
    rc = shmqi_segment_result(s, SHMQ_OK);
    if (rc == SHMQ_OK)
        *ret = w;
    return rc;
}

/* -- waiting -----------------------------------------------------------------
 */

uint32_t shmqi_level_of(const struct shmqi_segment *s, uint32_t level)
{
    if (level != SHMQ_LEVEL_DEFAULT)
        return level;
    switch (s->constants.durability) {
    case SHMQ_DURABILITY_DISK:
        return SHMQ_LEVEL_DURABLE;
    case SHMQ_DURABILITY_OS:
        return SHMQ_LEVEL_WRITTEN;
    default:
        return SHMQ_LEVEL_PUBLISHED;
    }
}

static int check_level(const struct shmqi_segment *s, uint32_t *level)
{
    static const char *const names[] = {"", "published", "written", "durable"};
    uint32_t most = shmqi_level_of(s, SHMQ_LEVEL_DEFAULT);
    if (*level > SHMQ_LEVEL_DURABLE)
        return shmqi_fail(SHMQ_ERR_INVAL, "level: %u is not legal", *level);
    *level = shmqi_level_of(s, *level);
    if (*level > most)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: no record ever gets %s; its durability allows %s at most",
            s->topic, names[*level], names[most]);
    return SHMQ_OK;
}

/* Asleep until a mark rises, at most so long. INTR. */
int shmqi_marks_sleep(
    const struct shmqi_marks_shm *m, uint32_t value, uint64_t deadline_ns)
{
    uint64_t ns = SHMQI_NAP_MAX_NS, now = shmqi_now_monotonic();
    if (deadline_ns < now + ns)
        ns = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec ts = {0, (long)ns};
    if (ns != 0 &&
        syscall(SYS_futex, &m->wake, FUTEX_WAIT, value, &ts, NULL, 0) != 0 &&
        errno == EINTR)
        return SHMQ_ERR_INTR;
    return SHMQ_OK;
}

static int refused(const struct shmqi_segment *s)
{
    return shmqi_fail(SHMQ_ERR_DURABILITY_FAILED,
        "%s: shmqd takes nothing for it now (%s); the record may become "
        "durable later",
        s->topic,
        shm_ld(M3, &s->ring.marks->state) == SHMQ_DURABLE_READ_ONLY
            ? "read-only"
            : "errors of the disk");
}

static int too_late(const struct shmqi_segment *s)
{
    return shmqi_fail(SHMQ_ERR_TIMEOUT,
        "%s: the level was not reached before the deadline; %s", s->topic,
        shmqi_marks_served(s) ? "its disk is slow or full, look at shmq stat"
                              : "shmqd does not serve it, start it");
}

static bool takes_nothing(const struct shmqi_marks_shm *m)
{
    uint64_t state = shm_ld(M3, &m->state);
    return state == SHMQ_DURABLE_READ_ONLY || state == SHMQ_DURABLE_FAILED;
}

static int wait_level(struct shmqi_segment *s, uint64_t position,
    uint32_t level, uint64_t deadline_ns)
{
    int rc = check_level(s, &level);
    struct shmqi_marks_shm *m = s->ring.marks;
    if (rc || level == SHMQ_LEVEL_PUBLISHED || !m)
        return rc;
    for (;;) {
        /* The word before the mark: a rise in between ends the sleep. */
        uint32_t value = (uint32_t)shm_ld(M5, &m->wake);
        if (position < shmqi_marks_level(m, level))
            return SHMQ_OK;
        if (shmqi_segment_deleted(s))
            return shmqi_fail(
                SHMQ_ERR_CLOSED, "%s: the topic was removed", s->topic);
        if (takes_nothing(m))
            return refused(s);
        if (shmqi_segment_broken(s))
            return shmqi_segment_fail_broken(s);
        if (deadline_ns == 0)
            return SHMQ_ERR_TIMEOUT;
        if (shmqi_now_monotonic() >= deadline_ns)
            return too_late(s);
        if (shmqi_marks_sleep(m, value, deadline_ns) != SHMQ_OK)
            return shmqi_fail(
                SHMQ_ERR_INTR, "%s: interrupted by a signal", s->topic);
    }
}

int shmq_topic_level_wait(struct shmq_topic *topic, uint64_t position,
    uint32_t level, uint64_t deadline_ns)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(topic, &s);
    if (rc == SHMQ_OK)
        rc = wait_level(s, position, level, deadline_ns);
    return s ? shmqi_segment_result(s, rc) : rc;
}

static int check_producer(const struct shmq_producer *p)
{
    if (!p)
        return shmqi_fail(SHMQ_ERR_INVAL, "level: no producer");
    if (!shmqi_same_process(p->generation))
        return shmqi_fail(SHMQ_ERR_FORKED,
            "producer: it belongs to the parent process; open one in the "
            "child");
    return SHMQ_OK;
}

int shmq_producer_level_wait(struct shmq_producer *p, uint64_t position,
    uint32_t level, uint64_t deadline_ns)
{
    int rc = check_producer(p);
    if (rc)
        return rc;
    return shmqi_segment_result(
        p->segment, wait_level(p->segment, position, level, deadline_ns));
}

int shmq_producer_publish_level_wait(struct shmq_producer *p, const void *data,
    uint64_t size, uint32_t level, uint64_t deadline_ns, uint64_t *ret_position)
{
    uint64_t position;
    int rc = check_producer(p);
    uint32_t checked = level;
    if (rc == SHMQ_OK)
        rc = check_level(p->segment, &checked);
    if (rc == SHMQ_OK)
        rc = shmq_producer_publish_wait(p, data, size, deadline_ns, &position);
    if (rc)
        return rc;
    if (ret_position)
        *ret_position = position;
    return shmq_producer_level_wait(p, position, level, deadline_ns);
}
