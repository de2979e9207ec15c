/* topic.c - topics: attributes, opening, listing, removing. */
#define _GNU_SOURCE
#include "topic_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <shmq/durable.h>

#include "endpoint.h"
#include "error.h"
#include "files.h"
#include "process.h"
#include "wait.h"
#include "watermarks.h"

#define MARK_TRIES 64
#define HALF_MADE_NAP_NS 2000000
#define HALF_MADE_NAPS 500
#define TTL_MIN_NS 1000000ull
#define TTL_MAX_NS (10ull * 366 * 86400 * 1000000000)
#define OWNER_FLAGS ((uint32_t)(SHMQ_TOPIC_OWNER | SHMQ_TOPIC_GROUP_OWNER))
#define KNOWN_FLAGS \
    ((uint32_t)(SHMQ_TOPIC_ASYMMETRIC | SHMQ_TOPIC_TTL_DEAD_LETTER) | \
        SHMQI_TOPIC_RESERVED | OWNER_FLAGS)

/* -- attributes ---------------------------------------------------------------
 */

static const char *check_sizes(const struct shmq_topic_attrs *a, bool spsc)
{
    if (spsc && a->capacity_frames)
        return "capacity is for mpmc rings; an spsc ring is one arena of bytes";
    if (a->capacity_frames &&
        (a->capacity_frames < 2 || a->capacity_frames > 1u << 24 ||
            (a->capacity_frames & (a->capacity_frames - 1))))
        return "capacity must be a power of two from 2 to 2^24";
    if (a->arena_bytes &&
        (a->arena_bytes < 4096 || a->arena_bytes > 8ull << 30 ||
            (a->arena_bytes & (a->arena_bytes - 1))))
        return "arena must be a power of two from 4K to 8G";
    return NULL;
}

static const char *check_limits(const struct shmq_topic_attrs *a, bool spsc)
{
    if (a->max_producers > (spsc ? 1u : 256u))
        return spsc ? "an spsc topic has one producer at a time"
                    : "max-producers must be 1 to 256";
    if (a->max_groups > 256)
        return "max-groups must be 1 to 256";
    if (a->max_members > 512)
        return "max-members must be 1 to 512";
    if ((a->mode | a->data_mode) & ~0777u)
        return "mode must be permission bits, at most 0777";
    if ((a->flags & ~KNOWN_FLAGS) || a->reserved)
        return "unknown flags";
    return NULL;
}

static const char *check_schema(const char *schema)
{
    const char *colon = strrchr(schema, ':');
    if (strlen(schema) > SHMQ_SCHEMA_MAX || !colon || colon == schema ||
        colon[1] == '\0')
        return "schema must be NAME:VERSION, at most 128 bytes";
    for (const char *p = schema; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return "schema must be printable ASCII without blanks";
    return NULL;
}

static const char *check_times(const struct shmq_topic_attrs *a)
{
    if (a->timestamps > SHMQ_TIMESTAMPS_RECORD)
        return "timestamps must be off, frame or record";
    if (a->ttl_ns && (a->ttl_ns < TTL_MIN_NS || a->ttl_ns > TTL_MAX_NS))
        return "ttl must be 1 ms to 10 years";
    if (a->ttl_ns && a->timestamps == SHMQ_TIMESTAMPS_OFF)
        return "ttl: needs timestamps";
    if ((a->flags & SHMQ_TOPIC_TTL_DEAD_LETTER) && !a->ttl_ns)
        return "ttl: records that never expire go to no dead-letter topic";
    return a->schema ? check_schema(a->schema) : NULL;
}

static const char *check_attrs(const struct shmq_topic_attrs *a)
{
    if (a->struct_bytes != sizeof *a)
        return "struct_bytes is not sizeof(struct shmq_topic_attrs)";
    if (a->ring > SHMQ_RING_SPSC)
        return "ring must be mpmc or spsc";
    if (a->on_full > SHMQ_ON_FULL_DROP_OLD)
        return "on-full must be block, drop-new or drop-old";
    if (a->durability > SHMQ_DURABILITY_DISK)
        return "durability must be none, os or disk";
    bool spsc = a->ring == SHMQ_RING_SPSC;
    if (a->on_full == SHMQ_ON_FULL_DROP_OLD && spsc)
        return "on-full: an spsc ring cannot drop old records; use mpmc";
    if (a->on_full == SHMQ_ON_FULL_DROP_OLD && a->durability)
        return "on-full: a durable topic does not drop old records; use "
               "retention";
    const char *why = check_sizes(a, spsc);
    if (!why)
        why = check_limits(a, spsc);
    return why ? why : check_times(a);
}

static uint32_t or_default(uint32_t v, uint32_t otherwise)
{
    return v ? v : otherwise;
}

int shmqi_topic_constants(const char *topic,
    const struct shmq_topic_attrs *attrs, struct shmqi_constants_shm *c)
{
    struct shmq_topic_attrs a;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    if (attrs)
        a = *attrs;
    const char *why = check_attrs(&a);
    if (why)
        return shmqi_fail(SHMQ_ERR_INVAL, "%s: %s", topic, why);
    memset(c, 0, sizeof *c);
    bool spsc = a.ring == SHMQ_RING_SPSC;
    c->layout_version = SHMQI_LAYOUT_VERSION;
    c->ring = or_default(a.ring, SHMQ_RING_MPMC);
    c->on_full = or_default(a.on_full, SHMQ_ON_FULL_BLOCK);
    c->durability = a.durability;
    uint64_t frames = a.capacity_frames ? a.capacity_frames : 4096;
    c->cap_lg2 = spsc ? 0 : (uint32_t)__builtin_ctzll(frames);
    c->claim_lg2 = c->cap_lg2 < 12 ? c->cap_lg2 : 12;
    c->arena_bytes = a.arena_bytes ? a.arena_bytes
        : spsc                     ? 1u << 20
                                   : 256u << 10;
    uint64_t most = c->arena_bytes / 2 - 128;
    c->max_message_bytes = a.max_message_bytes;
    if (!c->max_message_bytes)
        c->max_message_bytes = most < 65536 ? most : 65536;
    if (c->max_message_bytes > most)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: max-message %llu does not fit "
            "half the arena of %llu bytes with its headers; at "
            "most %llu, or use a larger --arena",
            topic, (unsigned long long)c->max_message_bytes,
            (unsigned long long)c->arena_bytes, (unsigned long long)most);
    c->max_producers = spsc ? 1 : or_default(a.max_producers, 64);
    if (c->arena_bytes * c->max_producers > 16ull << 30)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "%s: %u arenas of %llu bytes are "
            "more than 16 GiB; use a smaller --arena or fewer "
            "--max-producers",
            topic, c->max_producers, (unsigned long long)c->arena_bytes);
    c->max_groups = or_default(a.max_groups, 16);
    c->max_members = or_default(a.max_members, 64);
    c->mode = or_default(a.mode, 0600);
    c->data_mode = or_default(a.data_mode, c->mode);
    c->flags = a.flags & ~OWNER_FLAGS;
    if (a.timestamps && a.timestamps != SHMQ_TIMESTAMPS_FRAME)
        c->flags |= a.timestamps << SHMQI_STAMPS_SHIFT;
    c->ttl_ns = a.ttl_ns;
    c->created_ns = shmqi_now_realtime();
    return SHMQ_OK;
}

/* What is no constant. */
struct shmqi_create shmqi_topic_create_more(const struct shmq_topic_attrs *a)
{
    struct shmqi_create more = {NULL, (uid_t)-1, (gid_t)-1, NULL, false};
    if (a) {
        more.schema = a->schema;
        more.huge = (a->flags & SHMQ_TOPIC_HUGE) != 0;
    }
    if (a && (a->flags & SHMQ_TOPIC_OWNER))
        more.owner = a->owner;
    if (a && (a->flags & SHMQ_TOPIC_GROUP_OWNER))
        more.group_owner = a->group_owner;
    return more;
}

int shmqi_topic_create_system(const char *ns, const char *topic,
    const struct shmq_topic_attrs *attrs, uint64_t start_seq)
{
    struct shmqi_constants_shm c;
    char space[SHMQ_NAMESPACE_MAX + 1];
    int rc = shmqi_namespace(ns, space);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_name_check(topic, true);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_constants(topic, attrs, &c);
    if (rc)
        return rc;
    c.start_seq = start_seq;
    struct shmqi_create more = shmqi_topic_create_more(attrs);
    return shmqi_files_create(space, topic, &c, &more);
}

int shmq_topic_create(
    const char *ns, const char *topic, const struct shmq_topic_attrs *attrs)
{
    struct shmqi_constants_shm c;
    char space[SHMQ_NAMESPACE_MAX + 1];
    if (shmqi_generation() == 0)
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    int rc = shmqi_namespace(ns, space);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_name_check(topic, false);
    if (rc == SHMQ_OK)
        rc = shmqi_topic_constants(topic, attrs, &c);
    if (rc)
        return rc;
    if (c.durability)
        return shmq_topic_create_durable(space, topic, attrs, NULL);
    struct shmqi_create more = shmqi_topic_create_more(attrs);
    return shmqi_files_create(space, topic, &c, &more);
}

/* -- handles ------------------------------------------------------------------
 */

/* shmqd has named the ring and is about to put the groups into it, which takes
 * it some ms: whoever came between would make them anew, at another place. */
static bool half_made(const struct shmqi_segment *s)
{
    struct timespec nap = {0, HALF_MADE_NAP_NS};
    if (!s->ring.marks)
        return false;
    for (uint32_t i = 0; i < HALF_MADE_NAPS; i++) {
        if (shm_ld(M3, &s->ring.marks->state) != SHMQI_MARKS_MAKING)
            return false;
        (void)nanosleep(&nap, NULL);
    }
    return true;
}

int shmq_topic_open(const char *ns, const char *topic, struct shmq_topic **ret)
{
    struct shmqi_segment *s = NULL;
    if (!ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "topic: no place for the handle");
    uint32_t generation = shmqi_generation();
    struct shmq_topic *t = calloc(1, sizeof *t);
    if (!t || !generation) {
        free(t);
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    }
    shmqi_sigbus_unblock();
    int rc = shmqi_segment_open(ns, topic, &s);
    bool deleted = rc == SHMQ_OK && shmqi_segment_deleted(s);
    if (rc == SHMQ_OK && shmqi_segment_broken(s)) {
        rc = shmqi_segment_fail_broken(s);
        shmqi_segment_unref(s);
    } else if (deleted || (rc == SHMQ_OK && half_made(s))) {
        /* Its remover has not come to take the names away; or shmqd died while
         * it made the ring anew, and its successor goes on with that. */
        rc = shmqi_fail(SHMQ_ERR_NOENT,
            "%s: no such topic in namespace %s; "
            "make it with shmq create",
            s->topic, s->ns);
        shmqi_segment_unref(s);
    }
    if (rc) {
        free(t);
        return rc;
    }
    t->segment = s;
    t->generation = generation;
    *ret = t;
    return SHMQ_OK;
}

int shmq_topic_open_schema(const char *ns, const char *topic,
    const char *schema, struct shmq_topic **ret)
{
    struct shmq_topic *t;
    const char *why = schema ? check_schema(schema) : "no schema given";
    if (why || !ret)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "topic: %s", why ? why : "no place for the handle");
    int rc = shmq_topic_open(ns, topic, &t);
    if (rc)
        return rc;
    const char *has = t->segment->schema;
    if (strcmp(has, schema) != 0) {
        rc = shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its records are of schema %s, not %s; use the right topic, or "
            "the other version of the program",
            topic, has[0] ? has : "(none)", schema);
        shmq_topic_close(t);
        return rc;
    }
    *ret = t;
    return SHMQ_OK;
}

void shmq_topic_close(struct shmq_topic *t)
{
    if (!t)
        return;
    if (shmqi_same_process(t->generation))
        shmqi_segment_unref(t->segment);
    free(t);
}

int shmqi_topic_look(struct shmq_topic *t, struct shmqi_segment **ret)
{
    if (!t)
        return shmqi_fail(SHMQ_ERR_INVAL, "topic: no handle");
    if (!shmqi_same_process(t->generation))
        return shmqi_fail(SHMQ_ERR_FORKED,
            "topic: the handle belongs to the "
            "parent process; open it in the child");
    *ret = t->segment;
    return shmqi_segment_result(t->segment, SHMQ_OK);
}

int shmqi_topic_use(struct shmq_topic *t, struct shmqi_segment **ret)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(t, &s);
    if (rc)
        return rc;
    if (shmqi_segment_deleted(s))
        return shmqi_fail(SHMQ_ERR_CLOSED,
            "%s: the topic was removed; open "
            "it again",
            s->topic);
    *ret = s;
    return shmqi_segment_result(s, SHMQ_OK);
}

int shmq_topic_check(struct shmq_topic *t)
{
    struct shmqi_segment *s = NULL;
    struct stat st;
    int rc = shmqi_topic_use(t, &s);
    if (rc)
        return rc;
    /* Removed by rm(1), a cleaner of /dev/shm, or logind's RemoveIPC. */
    if (shmqi_segment_data_fd(s) >= 0 && fstat(s->data_fd, &st) == 0 &&
        st.st_nlink == 0)
        return shmqi_fail(SHMQ_ERR_CLOSED,
            "%s: its files were removed; open "
            "it again",
            s->topic);
    return SHMQ_OK;
}

int shmq_topic_attrs(struct shmq_topic *t, struct shmq_topic_attrs *ret)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(t, &s);
    if (rc)
        return rc;
    if (!ret || ret->struct_bytes != sizeof *ret)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "attributes: struct_bytes is not "
            "sizeof(struct shmq_topic_attrs)");
    const struct shmqi_constants_shm *c = &s->constants;
    ret->ring = c->ring;
    ret->on_full = c->on_full;
    ret->durability = c->durability;
    ret->capacity_frames = c->ring == SHMQ_RING_MPMC ? 1ull << c->cap_lg2 : 0;
    ret->arena_bytes = c->arena_bytes;
    ret->max_message_bytes = c->max_message_bytes;
    ret->max_producers = c->max_producers;
    ret->max_groups = c->max_groups;
    ret->max_members = c->max_members;
    ret->mode = c->mode;
    ret->data_mode = c->data_mode;
    ret->flags = c->flags & KNOWN_FLAGS;
    ret->ttl_ns = c->ttl_ns;
    ret->timestamps = shmqi_stamps(c->flags);
    struct stat st;
    if (shmqi_segment_data_fd(s) >= 0 && fstat(s->data_fd, &st) == 0) {
        ret->owner = st.st_uid;
        ret->group_owner = st.st_gid;
    }
    ret->schema = s->schema[0] ? s->schema : NULL;
    return SHMQ_OK;
}

const char *shmq_topic_name(const struct shmq_topic *t)
{
    return t->segment->topic;
}

const char *shmq_topic_namespace(const struct shmq_topic *t)
{
    return t->segment->ns;
}

void shmq_topic_uuid(const struct shmq_topic *t, uint64_t ret_uuid[2])
{
    const struct shmqi_segment *s = t->segment;
    const uint64_t *uuid = s->ring.marks ? s->topic_uuid : s->constants.uuid;
    ret_uuid[0] = uuid[0];
    ret_uuid[1] = uuid[1];
}

/* -- listing
 * -------------------------------------------------------------------*/

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++)
        free(names[i]);
    free(names);
}

static int collect(DIR *dir, const char *prefix, char ***ret, size_t *ret_cnt)
{
    size_t n = strlen(prefix), cap = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, prefix, n) != 0 ||
            shmqi_topic_name_check(e->d_name + n, true) != SHMQ_OK)
            continue;
        if (*ret_cnt == cap) {
            cap = cap ? cap * 2 : 32;
            char **more = realloc(*ret, cap * sizeof *more);
            if (!more)
                return SHMQ_ERR_NOMEM;
            *ret = more;
        }
        char *name = strdup(e->d_name + n);
        if (!name)
            return SHMQ_ERR_NOMEM;
        (*ret)[(*ret_cnt)++] = name;
    }
    return SHMQ_OK;
}

int shmqi_topic_names(const char *ns, char kind,
    int (*visit)(void *ctx, const char *topic), void *ctx)
{
    char space[SHMQ_NAMESPACE_MAX + 1], prefix[SHMQ_NAMESPACE_MAX + 16];
    char **names = NULL;
    size_t cnt = 0;
    if (!visit)
        return shmqi_fail(SHMQ_ERR_INVAL, "list: no function to call");
    int rc = shmqi_namespace(ns, space);
    if (rc)
        return rc;
    (void)snprintf(prefix, sizeof prefix, "shmq.%s.%c.", space, kind);
    DIR *dir = opendir(SHMQI_DIR);
    if (!dir)
        return shmqi_fail_sys(errno, "cannot list " SHMQI_DIR);
    rc = collect(dir, prefix, &names, &cnt);
    (void)closedir(dir);
    if (rc)
        (void)shmqi_fail(rc, "no memory");
    if (rc == SHMQ_OK && cnt)
        qsort(names, cnt, sizeof *names, by_name);
    for (size_t i = 0; rc == SHMQ_OK && i < cnt; i++)
        rc = visit(ctx, names[i]);
    free_names(names, cnt);
    return rc;
}

int shmq_topic_list(
    const char *ns, int (*visit)(void *ctx, const char *topic), void *ctx)
{
    return shmqi_topic_names(ns, 'd', visit, ctx);
}

/* -- removing
 * -------------------------------------------------------------------*/

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
