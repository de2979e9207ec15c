/* commit.c - waiting until what a consumer has acknowledged is so on disk.
 *
 * The place of a group is moved in shared memory; shmqd keeps it in its journal
 * and tells, per group, which place is safe (watermarks.h). Here it is asked to
 * do so soon, and waited for. */
#include <shmq/durable.h>

#include "consumer_impl.h"
#include "ends.h"
#include "error.h"
#include "process.h"
#include "watermarks.h"

/* The group's floor as it stands now. */
static int floor_now(struct shmq_consumer *c, uint64_t *ret)
{
    if (c->mode == SHMQI_MODE_SHARED) {
        *ret = shmqi_member_floor(c);
        return SHMQ_OK;
    }
    int rc = shmqi_reader_flush(c);
    if (rc)
        return shmqi_consumer_stale(c);
    *ret = c->done_pos < c->freeze ? c->done_pos : c->freeze;
    return SHMQ_OK;
}

/* The safe place of the group, if it is of this very group. */
static bool safe_place(const struct shmq_consumer *c, uint64_t *ret)
{
    const struct shmqi_journaled_shm *j =
        &c->ring->marks->groups[c->member.entry];
    uint64_t name = shmqi_naming(c->member.entry, c->member.generation);
    if (shm_ld(M9, &j->group) != name)
        return false;
    *ret = shm_ld(M9, &j->floor);
    return shm_ld(M9, &j->group) == name;
}

/* Behind the bump of `commits` shmqd finds the floor that was stored before. */
static void ask(struct shmq_consumer *c)
{
    (void)shm_add(M6, &c->ring->control->commits, 1);
    shmqi_wake_members(c->segment); /* shmqd sleeps as they do */
}

static int too_late(const struct shmq_consumer *c)
{
    if (!shmqi_marks_served(c->segment))
        return shmqi_fail(SHMQ_ERR_NODAEMON,
            "%s: shmqd does not serve it, so no place of a group is kept; "
            "start it",
            c->segment->topic);
    return shmqi_fail(SHMQ_ERR_TIMEOUT,
        "%s: the group's place was not on disk before the deadline; look at "
        "shmq stat",
        c->segment->topic);
}

static int wait_safe(struct shmq_consumer *c, uint64_t floor,
    uint64_t deadline_ns, uint64_t *ret_position)
{
    struct shmqi_marks_shm *m = c->ring->marks;
    for (;;) {
        uint64_t safe;
        uint32_t value = (uint32_t)shm_ld(M5, &m->wake);
        if (safe_place(c, &safe) && safe >= floor) {
            if (ret_position)
                *ret_position = safe;
            return SHMQ_OK;
        }
        int rc = c->stale ? shmqi_consumer_stale(c)
                          : shmqi_group_check(c->segment, &c->member);
        if (rc == SHMQ_OK && shmqi_segment_broken(c->segment))
            rc = shmqi_segment_fail_broken(c->segment);
        if (rc)
            return rc;
        if (deadline_ns == 0 || shmqi_now_monotonic() >= deadline_ns)
            return too_late(c);
        if (c->mode == SHMQI_MODE_SHARED)
            shmqi_member_renew(c);
        if (shmqi_marks_sleep(m, value, deadline_ns))
            return shmqi_fail(SHMQ_ERR_INTR, "%s: interrupted by a signal",
                c->segment->topic);
    }
}

int shmq_consumer_commit_wait(
    struct shmq_consumer *c, uint64_t deadline_ns, uint64_t *ret_position)
{
    uint64_t floor = 0;
    if (!c)
        return shmqi_fail(SHMQ_ERR_INVAL, "commit: no consumer");
    if (!shmqi_same_process(c->generation))
        return shmqi_consumer_forked();
    if (!c->ring->marks || c->mode == SHMQI_MODE_EPHEMERAL)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: only groups of durable topics keep their place on disk",
            c->segment->topic);
    int rc = floor_now(c, &floor);
    if (rc)
        return rc;
    ask(c);
    return shmqi_segment_result(
        c->segment, wait_safe(c, floor, deadline_ns, ret_position));
}
