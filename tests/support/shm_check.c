/* shm_check.c - mapping, endpoints and names; see shm_check.h. */
#include "support/shm_check.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shmq/stat.h>

#include "segment.h"
#include "words.h"

/* -- mapping --------------------------------------------------------------- */

static uint8_t *map_file(
    const char *ns, char kind, const char *topic, size_t *ret_bytes)
{
    char path[256];
    struct stat st;
    (void)snprintf(
        path, sizeof path, "/dev/shm/shmq.%s.%c.%s", ns, kind, topic);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    void *at = MAP_FAILED;
    if (fstat(fd, &st) == 0 && st.st_size > 0) {
        *ret_bytes = (size_t)st.st_size;
        at = mmap(NULL, *ret_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    (void)close(fd);
    return at == MAP_FAILED ? NULL : at;
}

bool shm_map(struct shm_files *ret, const char *ns, const char *topic)
{
    struct shm_files f;
    struct shmqi_constants_shm c;
    struct shmqi_plan plan;
    memset(&f, 0, sizeof f);
    f.data = map_file(ns, 'd', topic, &f.data_bytes);
    f.control = map_file(ns, 'c', topic, &f.control_bytes);
    f.marks = map_file(ns, 'm', topic, &f.marks_bytes);
    if (f.data && f.control) {
        memcpy(&c, f.data, sizeof c);
        if (shmqi_plan(&c, &plan) && plan.data_bytes == f.data_bytes &&
            plan.control_bytes == f.control_bytes) {
            f.arenas = plan.arenas;
            shmqi_ring_map(&f.ring, &c, &plan, f.data, f.control);
            f.ring.marks = (void *)f.marks;
            *ret = f;
            return true;
        }
    }
    shm_unmap(&f);
    return false;
}

void shm_unmap(struct shm_files *f)
{
    if (f->data)
        (void)munmap(f->data, f->data_bytes);
    if (f->control)
        (void)munmap(f->control, f->control_bytes);
    if (f->marks)
        (void)munmap(f->marks, f->marks_bytes);
    memset(f, 0, sizeof *f);
}

/* -- reporting ------------------------------------------------------------- */

void shm_broken(struct shm_report *report, const char *format, ...)
{
    va_list args;
    if (report->broken++ != 0)
        return;
    va_start(args, format);
    (void)vsnprintf(report->first, sizeof report->first, format, args);
    va_end(args);
}

/* -- endpoints ------------------------------------------------------------- */

bool shm_identity_known(const struct shmqi_ring *r, uint64_t identity)
{
    for (uint32_t i = 0; i < r->endpoint_cnt; i++)
        if ((shm_word(&r->endpoints[i].identity) & ~SHMQI_IDENTITY_INIT) ==
            identity)
            return true;
    return false;
}

static bool name_legal(const struct shmqi_ring *r, uint64_t name)
{
    return name == 0 || (name >> 28) - 1 < r->group_cnt;
}

static void check_endpoint(
    const struct shmqi_ring *r, uint32_t i, struct shm_report *report)
{
    const struct shmqi_endpoint_shm *e = &r->endpoints[i];
    uint64_t id = shm_word(&e->identity);
    uint32_t role = (uint32_t)(shm_word(&e->pid) >> 32);
    uint64_t bare = id & ~SHMQI_IDENTITY_INIT;
    uint32_t members = r->producer_cnt + r->member_cnt;
    if (bare < 1ull << 32 || bare >= 1ull << 62)
        shm_broken(
            report, "endpoint %u: identity %llx", i, (unsigned long long)id);
    for (uint32_t k = 0; k < i; k++)
        if ((shm_word(&r->endpoints[k].identity) & ~SHMQI_IDENTITY_INIT) ==
            bare)
            shm_broken(report, "endpoints %u and %u are one", k, i);
    if (id & SHMQI_IDENTITY_INIT)
        return; /* its fields are another's, or half written */
    bool fits = i < r->producer_cnt ? role == SHMQ_ROLE_PRODUCER
        : i < members ? role == SHMQ_ROLE_MEMBER || role == SHMQ_ROLE_EPHEMERAL
                      : role == SHMQ_ROLE_ADMIN;
    if (!fits)
        shm_broken(report, "endpoint %u: role %u", i, role);
    if (!name_legal(r, shm_word(&e->member_of)) ||
        !name_legal(r, shm_word(&e->touching)))
        shm_broken(report, "endpoint %u names no entry", i);
    if (shm_word(&e->views) > 1 || shm_word(&e->waiting) > 2 ||
        shm_word(&e->doorbell) > 1)
        shm_broken(report, "endpoint %u: views, waiting or doorbell", i);
}

static void check_endpoints(
    const struct shmqi_ring *r, uint32_t flags, struct shm_report *report)
{
    for (uint32_t i = 0; i < r->endpoint_cnt; i++) {
        uint64_t id = shm_word(&r->endpoints[i].identity);
        if (id == 0)
            continue;
        check_endpoint(r, i, report);
        if (flags & SHM_DESERTED)
            shm_broken(report, "endpoint %u is left behind (I9, I13)", i);
        else if ((flags & SHM_SETTLED) && (id & SHMQI_IDENTITY_INIT))
            shm_broken(report, "endpoint %u is half made (I12)", i);
    }
}

/* -- names ------------------------------------------------------------------
 */

static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
    return h ? h : 1;
}

static void check_name(
    const struct shmqi_ring *r, uint32_t i, struct shm_report *report)
{
    const struct shmqi_name_shm *n = &r->names[i];
    uint64_t words[SHMQI_NAME_WORDS + 1] = {0};
    uint64_t hash = shm_word(&n->hash);
    uint32_t entry = shmqi_bind_entry(shm_word(&n->bind));
    for (uint32_t k = 0; k < SHMQI_NAME_WORDS; k++)
        words[k] = shm_word(&n->bytes[k]);
    if (entry == 0)
        return;
    if (hash_of((const char *)words) != hash)
        shm_broken(report, "name %u is bound, its bytes do not fit (I13)", i);
    if (entry > r->group_cnt) {
        shm_broken(report, "name %u: bound to entry %u", i, entry - 1);
        return;
    }
    const struct shmqi_group_shm *g = &r->groups[entry - 1];
    uint32_t state = shmqi_gword_unpack(shm_word(&g->word)).state;
    if (state != SHMQI_GROUP_SEALED && state != SHMQI_GROUP_READY &&
        state != SHMQI_GROUP_ABSENT)
        shm_broken(
            report, "name %u: entry %u in state %u (I13)", i, entry - 1, state);
    if (((shm_word(&g->attrs) >> 32) & 0xffffff) != i)
        shm_broken(report, "entry %u does not know its name (I13)", entry - 1);
    for (uint32_t k = 0; k < i; k++)
        if (shmqi_bind_entry(shm_word(&r->names[k].bind)) == entry)
            shm_broken(report, "names %u and %u share an entry (I13)", k, i);
}

/* -- everything -------------------------------------------------------------
 */

void shm_check(
    const struct shmqi_ring *r, uint32_t flags, struct shm_report *report)
{
    if (r->data->constants.magic != SHMQI_MAGIC_DATA ||
        r->control->constants.magic != SHMQI_MAGIC_CONTROL ||
        shm_word(&r->control->version) == 0)
        shm_broken(report, "constants were written (I12)");
    check_endpoints(r, flags, report);
    for (uint32_t i = 0; i < r->name_cnt; i++)
        check_name(r, i, report);
    shm_check_data(r, flags, report);
    shm_check_groups(r, flags, report);
}
