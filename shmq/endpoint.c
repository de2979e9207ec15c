#define _GNU_SOURCE
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "files.h"

#define ATTACH_TRIES 4

/* -- reading ----------------------------------------------------------------
 */

bool shmqi_peer_read(
    const struct shmqi_ring *r, uint32_t idx, struct shmqi_peer *ret)
{
    struct shmqi_fields f;
    struct shmqi_peer p;
    memset(&p, 0, sizeof p);
    if (!shmqi_entry_read(r, idx, &p.identity, &f))
        return false;
    p.pid = (uint32_t)f.pid;
    p.role = (uint32_t)(f.pid >> 32);
    p.pid_namespace = f.pid_namespace;
    p.start_time = f.start_time;
    p.image = f.image;
    p.since_ns = f.since_ns;
    memcpy(p.comm, f.comm, sizeof p.comm);
    p.comm[sizeof p.comm - 1] = '\0';
    shmqi_make_printable(p.comm);
    *ret = p;
    return true;
}

/* -- proof of death
 * ----------------------------------------------------------*/

static bool own_endpoint(
    struct shmqi_segment *s, uint32_t idx, uint64_t identity)
{
    shmqi_process_lock();
    bool own = s->own[idx] == identity;
    shmqi_process_unlock();
    return own;
}

/* Asks the kernel; false when it cannot tell. A free lock is F_UNLCK. */
static bool ask_lock(
    struct shmqi_segment *s, uint64_t identity, struct flock *ret)
{
    int fd = shmqi_segment_control_fd(s);
    memset(ret, 0, sizeof *ret);
    ret->l_type = F_WRLCK;
    ret->l_whence = SEEK_SET;
    ret->l_start = (off_t)identity;
    ret->l_len = 1;
    return fd >= 0 && fcntl(fd, F_GETLK, ret) == 0;
}

/* The lock is held; its holder gave up its memory all the same. The pid is the
 * kernel's: one that a peer wrote could be that of any corpse. */
static bool holder_is_dying(const struct flock *l)
{
    const struct shmqi_self *self = shmqi_self();
    return self->pid_namespace != 0 && l->l_pid > 0 &&
        (uint32_t)l->l_pid != self->pid &&
        shmqi_process_has_no_memory((uint32_t)l->l_pid);
}

uint32_t shmqi_lock_holder(struct shmqi_segment *s, uint64_t identity)
{
    struct flock l;
    if (!ask_lock(s, identity & ~SHMQI_IDENTITY_INIT, &l) ||
        l.l_type == F_UNLCK || l.l_pid <= 0)
        return 0;
    return (uint32_t)l.l_pid;
}

/* The kernel does not report locks of the process that asks. */
static bool own_identity(struct shmqi_segment *s, uint64_t identity)
{
    bool own = false;
    shmqi_process_lock();
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++)
        own |= s->own[i] == identity;
    shmqi_process_unlock();
    return own;
}

bool shmqi_identity_dead(struct shmqi_segment *s, uint64_t identity)
{
    struct flock l;
    if (!shmqi_identity_gone(&s->ring, identity))
        return false;
#ifdef SHMQ_BUG_TABLE_TRUSTED
    return true;
#endif
    if (own_identity(s, identity) || !ask_lock(s, identity, &l))
        return false;
    return l.l_type == F_UNLCK || holder_is_dying(&l);
}

/* For the case that /proc hides other users' processes. */
static bool kill_says_alive(uint32_t pid)
{
    return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

/* The process that attached is still there under its pid: same start time,
 * same image (not another program after exec), not a zombie. What cannot be
 * read counts as equal: without proof of death it lives. */
bool shmqi_peer_pid_valid(const struct shmqi_peer *peer)
{
    const struct shmqi_self *self = shmqi_self();
    struct shmqi_procstat st;
    if (peer->pid_namespace == 0 || peer->pid_namespace != self->pid_namespace)
        return false;
    if (!shmqi_procstat(peer->pid, &st))
        return kill_says_alive(peer->pid);
    if (st.start_time != peer->start_time)
        return false;
    if ((st.state == 'Z' || st.state == 'X') && st.threads <= 1)
        return false;
    return st.image == 0 || peer->image == 0 || st.image == peer->image;
}

/* Nothing but its lock is known of an entry in the making, and an application
 * that closes descriptors can make a living one look dead for an instant. It
 * holds nothing yet, so a little patience costs nothing. */
static bool stays_half_made(
    struct shmqi_segment *s, uint32_t idx, uint64_t identity)
{
    uint64_t now = shmqi_now_monotonic(), *seen = &s->init_seen[2 * idx];
    shmqi_process_lock();
    if (seen[0] != identity) {
        seen[0] = identity;
        seen[1] = now;
    }
    bool long_enough = now - seen[1] >= SHMQI_HALF_MADE_NS;
    shmqi_process_unlock();
    return long_enough;
}

bool shmqi_endpoint_dead(
    struct shmqi_segment *s, uint32_t idx, uint64_t identity)
{
    struct shmqi_peer peer;
    uint64_t id = identity & ~SHMQI_IDENTITY_INIT;
    if (id == 0 || own_endpoint(s, idx, id))
        return false;
    struct flock l;
    if (!ask_lock(s, id, &l))
        return false; /* no proof */
    bool lock_free = l.l_type == F_UNLCK;
    /* A peer may have copied one of our identities into this entry. */
    if (lock_free && own_identity(s, id))
        return false;
    if (identity & SHMQI_IDENTITY_INIT)
        return lock_free && stays_half_made(s, idx, id);
    if (!shmqi_peer_read(&s->ring, idx, &peer) || peer.identity != id)
        return false; /* somebody else's business by now */
    if (lock_free)
        return !shmqi_peer_pid_valid(&peer);
#ifdef SHMQ_BUG_CORPSE_OF_THE_TABLE
    return shmqi_process_has_no_memory(peer.pid);
#endif
    return holder_is_dying(&l);
}

/* -- attach and detach ------------------------------------------------------
 */

static int set_lock(struct shmqi_segment *s, uint64_t identity, short type)
{
    struct flock l;
    int fd = shmqi_segment_control_fd(s);
    memset(&l, 0, sizeof l);
    l.l_type = type;
    l.l_whence = SEEK_SET;
    l.l_start = (off_t)identity;
    l.l_len = 1;
    return fcntl(fd, F_SETLK, &l);
}

static void role_range(const struct shmqi_ring *r, uint32_t role,
    uint32_t *ret_from, uint32_t *ret_to)
{
    uint32_t members = r->producer_cnt + r->member_cnt;
    switch (role) {
    case SHMQ_ROLE_PRODUCER:
        *ret_from = 0;
        *ret_to = r->producer_cnt;
        break;
    case SHMQ_ROLE_ADMIN:
        *ret_from = members;
        *ret_to = r->endpoint_cnt;
        break;
    default:
        *ret_from = r->producer_cnt;
        *ret_to = members;
    }
}

/* CAS of a free entry. The private table knows the identity first, so that
 * another thread of this process never tests its own process's lock. */
static bool take_entry(struct shmqi_segment *s, uint32_t idx, uint64_t identity)
{
    bool won = false;
    shmqi_process_lock();
    if (s->own[idx] == 0 && shmqi_identity_at(&s->ring, idx) == 0) {
        s->own[idx] = identity;
        won = shmqi_entry_take(&s->ring, idx, identity);
        if (!won)
            s->own[idx] = 0;
    }
    shmqi_process_unlock();
    return won;
}

static void disown(struct shmqi_segment *s, uint32_t idx)
{
    shmqi_process_lock();
    s->own[idx] = 0;
    shmqi_process_unlock();
}

static void fill(const struct shmqi_ring *r, uint32_t idx, uint32_t role)
{
    const struct shmqi_self *self = shmqi_self();
    struct shmqi_procstat st;
    struct shmqi_fields f = {self->pid_namespace,
        (uint64_t)role << 32 | self->pid, self->start_time, self->image,
        shmqi_now_realtime(), {0, 0}};
    if (shmqi_procstat(self->pid, &st))
        memcpy(f.comm, st.comm, sizeof f.comm);
    shmqi_entry_fill(r, idx, &f);
}

int shmqi_endpoint_claim(struct shmqi_segment *s, uint32_t role,
    uint32_t *ret_idx, uint64_t *ret_identity)
{
    uint32_t from, to;
    role_range(&s->ring, role, &from, &to);
    for (int try = 0; try < ATTACH_TRIES; try++) {
        uint64_t identity;
        int rc = shmqi_random_identity(&identity);
        if (rc)
            return rc;
        if (set_lock(s, identity, F_WRLCK) != 0)
            return shmqi_fail_sys(
                errno, "%s: cannot take a liveness lock", s->topic);
        uint32_t idx = from;
        while (idx < to && !take_entry(s, idx, identity))
            idx++;
        if (idx == to) {
            (void)set_lock(s, identity, F_UNLCK);
            return SHMQ_ERR_LIMIT;
        }
        fill(&s->ring, idx, role);
        if (shmqi_entry_valid(&s->ring, idx, identity)) {
            *ret_idx = idx;
            *ret_identity = identity;
            return SHMQ_OK;
        }
        /* Reaped in the middle: somebody closed our descriptor. Once more. */
        disown(s, idx);
        (void)set_lock(s, identity, F_UNLCK);
    }
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: this process keeps closing the library's "
        "descriptors",
        s->topic);
}

void shmqi_endpoint_free(
    struct shmqi_segment *s, uint32_t idx, uint64_t identity)
{
    shmqi_entry_free(&s->ring, idx, identity);
    disown(s, idx);
    (void)set_lock(s, identity, F_UNLCK);
}

void shmqi_doorbell_path(
    char ret[256], const struct shmqi_segment *s, uint64_t identity)
{
    unsigned long long inode = (unsigned long long)s->inode;
#ifdef SHMQ_BUG_DOORBELL_SHARED
    inode = 0;
#endif
    (void)snprintf(ret, 256, "%s/shmq.%s.b.%llx.%016llx", SHMQI_DIR, s->ns,
        inode, (unsigned long long)identity);
}
