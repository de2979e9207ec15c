/* group_api.c - the public group calls. Each takes an admin endpoint for its
 * duration: whoever changes shared words must be nameable and reapable. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clear.h"
#include "error.h"
#include "groups.h"
#include "reap.h"
#include "relieve.h"
#include "seek.h"
#include "topic_impl.h"
#include "wait.h"

#define KILL_WAIT_NS 5000000000ull

struct admin {
    struct shmqi_segment *segment;
    uint32_t idx;
    uint64_t identity;
};

static int admin_begin(struct shmq_topic *topic, struct admin *a)
{
    int rc = shmqi_topic_use(topic, &a->segment);
    return rc
        ? rc
        : shmqi_attach(a->segment, SHMQ_ROLE_ADMIN, &a->idx, &a->identity);
}

static int admin_end(struct admin *a, int rc)
{
    shmqi_endpoint_free(a->segment, a->idx, a->identity);
    return shmqi_segment_result(a->segment, rc);
}

static int no_such_group(const struct admin *a, const char *name)
{
    return shmqi_fail(SHMQ_ERR_NOENT,
        "group %s of %s: no such group; make it "
        "with shmq group create",
        name, a->segment->topic);
}

/* -- create -------------------------------------------------------------------
 */

int shmq_group_create(struct shmq_topic *topic, const char *name,
    const struct shmq_group_attrs *attrs, const struct shmq_start *start)
{
    struct admin a;
    struct shmqi_make make;
    memset(&make, 0, sizeof make);
    if (attrs && attrs->struct_bytes != sizeof *attrs)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "group: struct_bytes is not "
            "sizeof(struct shmq_group_attrs)");
    if (attrs)
        make.attrs = *attrs;
    if (start)
        make.start = *start;
    if (make.start.kind == SHMQ_START_DEFAULT)
        make.start.kind = SHMQ_START_EARLIEST;
    int rc = shmqi_start_check(&make.start);
    if (rc == SHMQ_OK)
        rc = admin_begin(topic, &a);
    if (rc)
        return rc;
    rc = shmqi_group_name(a.segment, name, true, &make.name_idx);
    if (rc == SHMQ_OK) {
        make.old_bind = shm_ld(J11, &a.segment->ring.names[make.name_idx].bind);
        rc = shmqi_bind_entry(make.old_bind)
            ? SHMQ_ERR_EXISTS
            : shmqi_group_make(a.segment, a.idx, &make);
    }
    if (rc == SHMQ_ERR_EXISTS)
        rc = shmqi_fail(
            rc, "group %s of %s: exists already", name, a.segment->topic);
    return admin_end(&a, rc);
}

/* -- members in the way
 * ---------------------------------------------------------*/

static int check_memberless(struct admin *a, const char *name, uint32_t entry)
{
    struct shmqi_ring *r = &a->segment->ring;
    uint32_t generation =
        shmqi_gword_unpack(shm_ld(J1, &r->groups[entry].word)).generation;
    uint64_t naming = shmqi_naming(entry, generation);
    char pids[128] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        struct shmqi_peer peer;
        uint64_t identity = shmqi_identity_at(r, i);
        if (identity == 0 || shm_ld(J6, &r->endpoints[i].member_of) != naming ||
            shmqi_endpoint_dead(a->segment, i, identity) ||
            !shmqi_peer_read(r, i, &peer))
            continue;
        if (used < sizeof pids - 16) {
            int n = snprintf(pids + used, sizeof pids - used, " %u", peer.pid);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (used == 0)
        return SHMQ_OK;
    return shmqi_fail(SHMQ_ERR_BUSY,
        "group %s of %s: it has members: pid%s; "
        "end them, or use --force",
        name, a->segment->topic, pids);
}

/* The group of that name: its bind word and entry. */
static int find(struct admin *a, const char *name, uint32_t *ret_name,
    uint64_t *ret_bind, uint32_t *ret_entry)
{
    struct shmqi_ring *r = &a->segment->ring;
    int rc = shmqi_group_name(a->segment, name, false, ret_name);
    if (rc)
        return rc;
    *ret_bind = shm_ld(J11, &r->names[*ret_name].bind);
    *ret_entry = shmqi_bind_entry(*ret_bind) - 1;
    if (shmqi_bind_entry(*ret_bind) == 0)
        return no_such_group(a, name);
    if (*ret_entry >= r->group_cnt)
        return shmqi_fail(
            SHMQ_ERR_CORRUPT, "%s: group table is damaged", a->segment->topic);
    return SHMQ_OK;
}

/* -- remove
 * -------------------------------------------------------------------- */

static int remove_group(struct admin *a, const char *name, uint32_t flags)
{
    uint32_t name_idx, entry;
    uint64_t bind;
    int rc = find(a, name, &name_idx, &bind, &entry);
    if (rc == SHMQ_OK && !(flags & SHMQ_GROUP_FORCE))
        rc = check_memberless(a, name, entry);
    if (rc)
        return rc;
    if (!shmqi_life_unbind(&a->segment->ring, name_idx, bind))
        return no_such_group(a, name);
    shmqi_group_sweep(a->segment, entry);
    return SHMQ_OK;
}

int shmq_group_remove(
    struct shmq_topic *topic, const char *name, uint32_t flags)
{
    struct admin a;
    if (flags & ~(uint32_t)SHMQ_GROUP_FORCE)
        return shmqi_fail(SHMQ_ERR_INVAL, "group: unknown flags");
    int rc = shmqi_group_name_check(name);
    if (rc == SHMQ_OK)
        rc = admin_begin(topic, &a);
    return rc ? rc : admin_end(&a, remove_group(&a, name, flags));
}

/* -- reset
 * --------------------------------------------------------------------- */

static int reset_group(struct admin *a, const char *name,
    const struct shmq_start *start, uint32_t flags)
{
    struct shmqi_make make;
    struct shmqi_member old;
    uint32_t entry;
    memset(&make, 0, sizeof make);
    memset(&old, 0, sizeof old);
    int rc = find(a, name, &make.name_idx, &make.old_bind, &entry);
    if (rc == SHMQ_OK && !(flags & SHMQ_GROUP_FORCE))
        rc = check_memberless(a, name, entry);
    if (rc)
        return rc;
    (void)shmqi_life_touch(&a->segment->ring, a->idx, entry);
    shmqi_group_read_attrs(a->segment, entry, &old);
    shmqi_life_untouch(&a->segment->ring, a->idx);
    struct shmq_group_attrs attrs = {sizeof attrs, old.kind, old.absent,
        old.max_attempts, old.lease_ns, old.dead_letter};
    make.attrs = attrs;
    make.start = *start;
    if (make.start.kind == SHMQ_START_DEFAULT)
        make.start.kind = SHMQ_START_EARLIEST;
    rc = shmqi_group_make(a->segment, a->idx, &make);
    if (rc == SHMQ_ERR_EXISTS)
        return shmqi_fail(SHMQ_ERR_BUSY,
            "group %s of %s: it changed "
            "meanwhile; try again",
            name, a->segment->topic);
    if (rc == SHMQ_OK)
        shmqi_group_sweep(a->segment, entry);
    return rc;
}

int shmq_group_reset(struct shmq_topic *topic, const char *name,
    const struct shmq_start *start, uint32_t flags)
{
    struct admin a;
    if (!start || (flags & ~(uint32_t)SHMQ_GROUP_FORCE))
        return shmqi_fail(SHMQ_ERR_INVAL, "group: no start, or unknown flags");
    int rc = shmqi_start_check(start);
    if (rc == SHMQ_OK)
        rc = shmqi_group_name_check(name);
    if (rc == SHMQ_OK)
        rc = admin_begin(topic, &a);
    return rc ? rc : admin_end(&a, reset_group(&a, name, start, flags));
}

/* -- evict
 * ----------------------------------------------------------------------*/

static int may_view(
    const struct admin *a, const struct shmqi_peer *peer, uint32_t idx)
{
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: pid %u (%s, endpoint %u) may be "
        "looking at zero-copy records; use --kill to end it",
        a->segment->topic, peer->pid, peer->comm, idx);
}

/* Groups that a stopped process is making, and which so hold producers up. It
 * begins anew when it goes on. */
static void steal_from(struct admin *a, uint32_t idx)
{
    struct shmqi_ring *r = &a->segment->ring;
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint64_t w = shmqi_life_word(r, i);
        if (shmqi_gword_unpack(w).endpoint == idx && shmqi_life_steal(r, i, w))
            shmqi_wake_producers(a->segment);
    }
}

/* Takes what can be taken, then marks the victim: its later calls fail. An
 * identity never comes back, so a mark that arrives late means nobody. Whether
 * the victim may be looking at a frame is asked anew for each claim. */
static int take_from(struct admin *a, uint32_t entry, uint32_t idx,
    const struct shmqi_peer *peer)
{
    struct shmqi_ring *r = &a->segment->ring;
    if (shmqi_view_is_up(r, idx))
        return may_view(a, peer, idx);
    if (!shmqi_attrs_shared(r, shm_ld(N1, &r->groups[entry].attrs)))
        shmqi_role_evict(&r->groups[entry], peer->identity);
    else if (!shmqi_clear_claims(r, a->idx, entry, idx, peer->identity, true))
        return may_view(a, peer, idx);
    shmqi_view_evicted(r, idx, peer->identity);
    return SHMQ_OK;
}

static int evict_member(
    struct admin *a, uint32_t idx, const struct shmqi_peer *peer)
{
    struct shmqi_ring *r = &a->segment->ring;
    uint64_t naming = shm_ld(J6, &r->endpoints[idx].member_of);
    uint32_t entry = (uint32_t)(naming >> 28) - 1;
    if (naming == 0 || entry >= r->group_cnt)
        return SHMQ_OK;
    uint64_t w = shmqi_life_touch(&a->segment->ring, a->idx, entry);
    if (shmqi_naming(entry, shmqi_gword_unpack(w).generation) != naming) {
        shmqi_life_untouch(&a->segment->ring, a->idx);
        return SHMQ_OK;
    }
    int rc = SHMQ_OK;
    if (shmqi_gword_unpack(w).state == SHMQI_GROUP_READY)
        rc = take_from(a, entry, idx, peer);
    else if (shmqi_view_is_up(r, idx)) /* a removed group keeps what it views */
        rc = may_view(a, peer, idx);
    shmqi_life_untouch(&a->segment->ring, a->idx);
    shmqi_version_add(r);
    shmqi_wake_all(a->segment);
    return rc;
}

/* SIGKILL through a pidfd, so that no other process of the same number is hit,
 * and then the reaping. */
static int kill_and_reap(
    struct admin *a, uint32_t idx, const struct shmqi_peer *peer)
{
    if (peer->pid == shmqi_self()->pid &&
        peer->pid_namespace == shmqi_self()->pid_namespace)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "evict: endpoint %u is this very "
            "process; close it instead",
            idx);
    /* The pid in the table is what a peer wrote: whom it names must also hold
     * the endpoint's lock, else a peer could have anybody killed. */
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)peer->pid, 0);
    bool holds = shmqi_lock_holder(a->segment, peer->identity) == peer->pid;
#ifdef SHMQ_BUG_KILL_BY_TABLE
    holds = true;
#endif
    if (fd < 0 || !shmqi_peer_pid_valid(peer) || !holds) {
        if (fd >= 0)
            (void)close(fd);
        return shmqi_fail(SHMQ_ERR_BUSY,
            "%s: endpoint %u lives in another pid namespace, or pid %u does "
            "not hold its lock; kill it there, or by hand",
            a->segment->topic, idx, peer->pid);
    }
    long rc = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    int err = errno;
    (void)close(fd);
    if (rc != 0)
        return shmqi_fail_sys(
            err, "%s: cannot kill pid %u", a->segment->topic, peer->pid);
    uint64_t deadline = shmqi_now_monotonic() + KILL_WAIT_NS;
    while (shmqi_now_monotonic() < deadline) {
        if (shmqi_identity_at(&a->segment->ring, idx) != peer->identity ||
            shmqi_reap_if_dead(a->segment, a->idx, idx))
            return SHMQ_OK;
        (void)usleep(500); /* until the kernel has proof */
    }
    return shmqi_fail(SHMQ_ERR_TIMEOUT,
        "%s: pid %u was killed but has not "
        "gone in 5 s",
        a->segment->topic, peer->pid);
}

static int evict(struct admin *a, uint32_t idx, uint32_t flags)
{
    struct shmqi_peer peer;
    if (idx >= a->segment->ring.endpoint_cnt || idx == a->idx ||
        !shmqi_peer_read(&a->segment->ring, idx, &peer))
        return shmqi_fail(SHMQ_ERR_NOENT, "%s: no endpoint %u; see shmq stat",
            a->segment->topic, idx);
    if (flags & SHMQ_GROUP_KILL)
        return kill_and_reap(a, idx, &peer);
    steal_from(a, idx);
    if (peer.role == SHMQ_ROLE_MEMBER)
        return evict_member(a, idx, &peer);
    if (peer.role == SHMQ_ROLE_PRODUCER &&
        a->segment->ring.ring == SHMQ_RING_SPSC)
        return shmqi_fail(SHMQ_ERR_BUSY,
            "%s: pid %u (%s) is the producer and "
            "may be writing; use --kill to end it",
            a->segment->topic, peer.pid, peer.comm);
    return SHMQ_OK; /* has nothing that others wait for */
}

int shmq_group_evict(
    struct shmq_topic *topic, uint32_t endpoint_id, uint32_t flags)
{
    struct admin a;
    if (flags & ~(uint32_t)SHMQ_GROUP_KILL)
        return shmqi_fail(SHMQ_ERR_INVAL, "evict: unknown flags");
    int rc = admin_begin(topic, &a);
    return rc ? rc : admin_end(&a, evict(&a, endpoint_id, flags));
}
