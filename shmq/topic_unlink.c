/* topic_unlink.c - removing a topic: told to its users first, then its names
 * go. */
#define _GNU_SOURCE
#include "topic_impl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint.h"
#include "error.h"
#include "process.h"
#include "wait.h"
#include "watermarks.h"

#define MARK_TRIES 64

/* As many different pids as fit. */
struct pids {
    char text[128];
    size_t used;
    uint32_t all[16], cnt;
};

static void add_pid(struct pids *p, uint32_t pid)
{
    for (uint32_t i = 0; i < p->cnt; i++)
        if (p->all[i] == pid)
            return;
    if (p->cnt == 16 || p->used >= sizeof p->text - 16)
        return;
    p->all[p->cnt++] = pid;
    int n = snprintf(
        p->text + p->used, sizeof p->text - p->used, " %u", (unsigned)pid);
    p->used += n > 0 ? (size_t)n : 0;
}

/* BUSY naming the pids of living endpoints. */
static int check_unused(struct shmqi_segment *s)
{
    struct pids pids = {"", 0, {0}, 0};
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        struct shmqi_peer peer;
        uint64_t identity = shmqi_identity_at(&s->ring, i);
        if (identity == 0 || (identity & SHMQI_IDENTITY_INIT) ||
            shmqi_endpoint_dead(s, i, identity))
            continue; /* who is just attaching gets CLOSED */
        cnt++;
        if (shmqi_peer_read(&s->ring, i, &peer))
            add_pid(&pids, peer.pid);
    }
    if (cnt == 0)
        return SHMQ_OK;
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: in use by pid%s%s; end them, or use "
        "--force",
        s->topic, pids.cnt > 1 ? "s" : "", pids.text);
}

static void remove_doorbells(const struct shmqi_segment *s)
{
    for (uint32_t i = 0; i < s->ring.endpoint_cnt; i++) {
        char path[256];
        uint64_t identity = shmqi_identity_at(&s->ring, i);
        if (identity == 0)
            continue;
        shmqi_doorbell_path(path, s, identity & ~SHMQI_IDENTITY_INIT);
        (void)unlink(path);
    }
}

/* The names go, data first. The caller holds the namespace lock. */
static int unlink_both(const char *ns, const char *topic)
{
    char data[SHMQI_PATH_MAX], control[SHMQI_PATH_MAX];
    shmqi_path(data, ns, 'd', topic);
    shmqi_path(control, ns, 'c', topic);
    int err = unlink(data) == 0 ? 0 : errno;
    if (err && err != ENOENT)
        return shmqi_fail_sys(err, "%s: cannot remove", topic);
    if (unlink(control) != 0 && errno != ENOENT)
        return shmqi_fail_sys(
            errno, "%s: cannot remove the control file", topic);
    shmqi_path(control, ns, 'm', topic);
    if (unlink(control) != 0 && errno != ENOENT)
        return shmqi_fail_sys(errno, "%s: cannot remove its watermarks", topic);
    if (err == ENOENT)
        return shmqi_fail(
            SHMQ_ERR_NOENT, "%s: no such topic in namespace %s", topic, ns);
    return SHMQ_OK;
}

/* /dev/shm is sticky: only the owner and root may take a name away, so say so
 * before anybody is told that the topic is gone. */
static bool access_denied(uid_t owner)
{
    return geteuid() != 0 && geteuid() != owner;
}

static int not_owner(const char *topic, uid_t owner)
{
    return shmqi_fail(SHMQ_ERR_PERM,
        "%s: it belongs to uid %u; only its "
        "owner and root remove it",
        topic, (unsigned)owner);
}

/* Marks the topic as deleted. Without force it is so only if nobody joined a
 * group between the look at the endpoints and the mark: a group that is made
 * raises the version after its maker's endpoint is there, so either the look
 * sees the endpoint or the CAS fails. */
static int mark_deleted(struct shmqi_segment *s, uint32_t flags)
{
    shmqi_word *version = &s->ring.control->version;
    if (flags & SHMQ_UNLINK_FORCE) {
        (void)shm_or(J4, version, SHMQI_DELETED);
        return SHMQ_OK;
    }
    for (int i = 0; i < MARK_TRIES; i++) {
        uint64_t v = shm_ld(G2, version);
        int rc = check_unused(s);
        if (rc)
            return rc;
        if (shm_cas(J4, version, v, v | SHMQI_DELETED))
            return SHMQ_OK;
    }
    return shmqi_fail(SHMQ_ERR_BUSY,
        "%s: its groups keep changing; end its users, or use --force",
        s->topic);
}

static int unlink_open(struct shmqi_segment *s, uint32_t flags)
{
    if (s->ring.marks && shmqi_marks_served(s))
        return shmqi_fail(SHMQ_ERR_BUSY,
            "%s: shmqd serves it; remove it with its history by --data, or "
            "stop shmqd first",
            s->topic);
    int rc = flags & SHMQ_UNLINK_FORCE ? SHMQ_OK : check_unused(s);
    if (rc)
        return rc;
    if (access_denied(s->owner))
        return not_owner(s->topic, s->owner);
    rc = mark_deleted(s, flags);
    if (rc)
        return rc;
    shmqi_wake_all(s);
    remove_doorbells(s);
    return unlink_both(s->ns, s->topic);
}

int shmq_topic_unlink(const char *ns, const char *topic, uint32_t flags)
{
    struct shmqi_files f;
    struct shmqi_segment *s = NULL;
    struct stat st;
    char path[SHMQI_PATH_MAX];
    int lock_fd = -1;
    if (flags & ~(uint32_t)SHMQ_UNLINK_FORCE)
        return shmqi_fail(SHMQ_ERR_INVAL, "unlink: unknown flags");
    if (shmqi_generation() == 0)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    int rc = shmqi_files_init(&f, ns, topic);
    if (rc)
        return rc;
    shmqi_path(path, f.ns, 'd', f.topic);
    /* Without a data file a control file may be left: then its owner's lock. */
    if (lstat(path, &st) != 0 && shmqi_files_stat_control(&f, &st) != 0)
        return shmqi_fail(
            SHMQ_ERR_NOENT, "%s: no such topic in namespace %s", f.topic, f.ns);
    uid_t owner = st.st_uid;
    if (access_denied(owner))
        return not_owner(f.topic, owner);
    rc = shmqi_namespace_lock(f.ns, owner, &lock_fd);
    if (rc)
        return rc;
    rc = shmqi_segment_open(f.ns, f.topic, &s);
    if (rc == SHMQ_OK)
        rc = unlink_open(s, flags);
    else if ((rc == SHMQ_ERR_LAYOUT || rc == SHMQ_ERR_CORRUPT ||
                 (rc == SHMQ_ERR_PERM && geteuid() == 0)) &&
        (flags & SHMQ_UNLINK_FORCE))
        rc = unlink_both(f.ns, f.topic); /* nobody we could tell */
    else if (rc == SHMQ_ERR_NOENT && lstat(path, &st) != 0)
        rc = unlink_both(f.ns, f.topic); /* what a killed create left */
    shmqi_namespace_unlock(f.ns, owner, lock_fd);
    if (s)
        shmqi_segment_unref(s);
    return rc;
}
