/* marks.c - the file of watermarks: made, opened, and who holds its lock. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "files.h"
#include "process.h"
#include "segment.h"
#include "watermarks.h"

/* Nobody but shmqd writes it, whatever the topic's mode. */
static uint32_t marks_mode(const struct shmqi_constants_shm *c)
{
    return (c->mode & 0444u) | 0600u;
}

static void fill(struct shmqi_marks_shm *m, const struct shmqi_constants_shm *c,
    const struct shmqi_marks_make *make, uint32_t group_cnt)
{
    bool spsc = c->ring == SHMQ_RING_SPSC;
    uint64_t start = spsc ? c->start_seq : shmqi_pos(c->start_seq, 0);
    struct shmqi_marks_constants_shm k;
    memset(&k, 0, sizeof k);
    k.magic = SHMQI_MAGIC_MARKS;
    k.layout_version = SHMQI_LAYOUT_VERSION;
    k.durability = c->durability;
    memcpy(k.uuid, c->uuid, sizeof k.uuid);
    memcpy(k.topic_uuid, make->topic_uuid, sizeof k.topic_uuid);
    k.start = start;
    k.file_bytes = shmqi_marks_bytes(group_cnt);
    k.group_cnt = group_cnt;
    k.created_ns = c->created_ns;
    m->constants = k;
    /* Plain memory until link(2) publishes it. */
    shm_st(N2, &m->published, start);
    shm_st(N2, &m->written, start);
    shm_st(N2, &m->durable, start);
    shm_st(N2, &m->drained, start);
    shm_st(N2, &m->earliest, make->earliest);
    shm_st(N2, &m->state, SHMQI_MARKS_MAKING);
    uint64_t words[SHMQI_DIR_ROOM / 8] = {0};
    memcpy(words, make->dir, strlen(make->dir)); /* its length was checked */
    for (uint32_t i = 0; i < SHMQI_DIR_ROOM / 8; i++)
        shm_st(N2, &m->dir_words[i], words[i]);
    shm_st(N2, &m->dir_version, 2);
}

int shmqi_marks_make(const char *topic, const struct shmqi_constants_shm *c,
    const struct shmqi_create *more, int *ret_fd)
{
    struct shmqi_plan plan;
    struct shmqi_create own = *more;
    int fd = -1;
    own.owner = (uid_t)-1; /* shmqd's, whoever owns the topic */
    (void)shmqi_plan(c, &plan);
    uint64_t bytes = shmqi_marks_bytes(plan.group_cnt);
    int rc = shmqi_file_make(topic, bytes, bytes, marks_mode(c), &own, &fd);
    if (rc)
        return rc;
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        rc = shmqi_fail_sys(errno, "%s: cannot map its watermarks", topic);
        (void)close(fd);
        return rc;
    }
    fill(at, c, more->marks, plan.group_cnt);
    (void)munmap(at, bytes);
    *ret_fd = fd;
    return SHMQ_OK;
}

/* -- opening ------------------------------------------------------------------
 */

static int check(const char *topic, int fd, const uint64_t uuid[2],
    uint32_t group_cnt, struct shmqi_marks_constants_shm *c)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return shmqi_fail_sys(errno, "%s: cannot stat its watermarks", topic);
    if (st.st_nlink == 0)
        return SHMQ_ERR_STALE;
    if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its watermark file is not a regular file with one name; "
            "remove it with --force",
            topic);
    if (!shmqi_owner_trusted(st.st_uid))
        return shmqi_fail(SHMQ_ERR_PERM,
            "%s: its watermarks are uid %u's; list it in SHMQ_TRUSTED_UIDS if "
            "you trust it",
            topic, (unsigned)st.st_uid);
    memset(c, 0, sizeof *c);
    if (pread(fd, c, sizeof *c, 0) != (ssize_t)sizeof *c ||
        c->magic != SHMQI_MAGIC_MARKS ||
        c->layout_version != SHMQI_LAYOUT_VERSION)
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its watermark file is of another version or damaged; remove "
            "it with --force",
            topic);
    if (memcmp(c->uuid, uuid, sizeof c->uuid) != 0)
        return SHMQ_ERR_STALE; /* made anew between two opens */
    if (c->group_cnt != group_cnt ||
        st.st_size != (off_t)shmqi_marks_bytes(group_cnt))
        return shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its watermark file does not fit the ring; remove it with "
            "--force",
            topic);
    return SHMQ_OK;
}

int shmqi_marks_open(const char *ns, const char *topic, const uint64_t uuid[2],
    uint32_t group_cnt, bool writable, struct shmqi_marks_constants_shm *ret,
    int *ret_fd)
{
    char path[SHMQI_PATH_MAX];
    struct shmqi_marks_constants_shm c;
    shmqi_path(path, ns, 'm', topic);
    int fd = shmqi_file_open(path, writable ? O_RDWR : O_RDONLY);
    if (fd < 0 && errno == ENOENT)
        return SHMQ_ERR_STALE;
    if (fd < 0)
        return shmqi_fail_sys(errno, "%s: cannot open its watermarks", topic);
    int rc = check(topic, fd, uuid, group_cnt, &c);
    if (rc) {
        (void)close(fd);
        return rc;
    }
    *ret = c;
    *ret_fd = fd;
    return SHMQ_OK;
}

bool shmqi_marks_locked(int fd)
{
    struct flock l;
    memset(&l, 0, sizeof l);
    l.l_type = F_WRLCK;
    l.l_whence = SEEK_SET;
    l.l_len = 1;
    /* As another description than the holder's, also in the same process. */
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

bool shmqi_marks_served(const struct shmqi_segment *s)
{
    struct shmqi_marks_constants_shm c;
    int fd;
    if (shmqi_marks_open(s->ns, s->topic, s->constants.uuid, s->ring.group_cnt,
            false, &c, &fd) != SHMQ_OK)
        return false;
    bool locked = shmqi_marks_locked(fd);
    (void)close(fd);
    return locked;
}

/* Reader half of a sequence lock. */
void shmqi_marks_dir(const struct shmqi_marks_shm *m, char ret[SHMQI_DIR_ROOM])
{
    uint64_t words[SHMQI_DIR_ROOM / 8];
    ret[0] = '\0';
    uint64_t version = shm_ld(M11, &m->dir_version);
    if (version == 0 || (version & 1))
        return;
    for (uint32_t i = 0; i < SHMQI_DIR_ROOM / 8; i++)
        words[i] = shm_ld(N1, &m->dir_words[i]);
    shm_fence(M13);
    if (shm_ld(N1, &m->dir_version) != version)
        return;
    memcpy(ret, words, SHMQI_DIR_ROOM);
    ret[SHMQI_DIR_ROOM - 1] = '\0';
}
