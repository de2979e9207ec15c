/* disk.c - see disk.h. */
#include "disk.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_format.h"
#include "support/small_shmqd.h"
#include "support/support.h"
#include "watermarks.h"

#define LOGS "/tmp"

struct disk {
    char ns[SHMQ_NAMESPACE_MAX + 1];
    struct small *small;
    struct small base; /* where every run begins */
};

/* The small shmqd works in the namespace of the test. */
static struct small *at_work(struct disk *d)
{
    memcpy(t_ns, d->ns, sizeof d->ns);
    return d->small;
}

/* It holds no lock and no endpoint between its turns. */
static void go(struct small *s)
{
    small_journal(s);
    small_kill(s);
    (void)close(s->fd);
    s->fd = -1;
}

struct disk *disk_make(
    const char *ns, const struct shmq_topic_attrs *attrs, uint64_t start)
{
    struct disk *d = calloc(1, sizeof *d);
    T_TRUE(d != NULL);
    (void)snprintf(d->ns, sizeof d->ns, "%s", ns);
    (void)at_work(d);
    d->small = small_start_at(TOPIC, attrs, start);
    go(d->small);
    d->base = *d->small;
    return d;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    small_end(at_work(d));
    free(d);
}

void disk_serve(struct disk *d)
{
    struct small *s = at_work(d);
    small_again(s);
    (void)small_turn(s);
    go(s);
}

void disk_keep(struct disk *d)
{
    d->base = *d->small;
}

static void path_of(const struct disk *d, uint64_t no, char ret[192])
{
    char name[SHMQI_LOG_NAME_ROOM];
    shmqi_log_segment_name(no, ".seg", name);
    (void)snprintf(ret, 192, "%s/%s", d->small->dir, name);
}

void disk_rewind(struct disk *d)
{
    char path[192];
    for (uint64_t no = d->base.segment_no + 1; no <= d->small->segment_no;
         no++) {
        path_of(d, no, path);
        (void)unlink(path);
    }
    *d->small = d->base;
}

static void copy_segment(struct disk *to, const struct disk *from, uint64_t no)
{
    static uint8_t bytes[1u << 16];
    char path[192];
    size_t n;
    path_of(from, no, path);
    FILE *in = fopen(path, "re");
    path_of(to, no, path);
    FILE *out = fopen(path, "we");
    T_TRUE(in && out);
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
        T_TRUE(fwrite(bytes, 1, n, out) == n);
    (void)fclose(in);
    T_TRUE(fclose(out) == 0);
}

/* All but its place in the file system and its memory. */
static void become(struct small *to, const struct small *from)
{
    struct small own = *to;
    *to = *from;
    memcpy(to->dir, own.dir, sizeof to->dir);
    to->buf = own.buf;
    to->cap = own.cap;
}

void disk_copy(struct disk *to, const struct disk *from)
{
    disk_rewind(to);
    for (uint64_t no = from->base.segment_no + 1; no <= from->small->segment_no;
         no++)
        copy_segment(to, from, no);
    become(to->small, from->small);
}

void disk_same(struct disk *to, const struct disk *from)
{
    for (uint64_t no = 1; no <= from->small->segment_no; no++)
        copy_segment(to, from, no);
    become(to->small, from->small);
    disk_keep(to);
}

static void remove_log(const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof path, LOGS "/%s", name);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        (void)snprintf(path, sizeof path, LOGS "/%s/%s", name, e->d_name);
        (void)unlink(path);
    }
    if (dir)
        (void)closedir(dir);
    (void)snprintf(path, sizeof path, LOGS "/%s", name);
    (void)rmdir(path);
}

void disk_sweep(const char *ns)
{
    char prefix[96];
    DIR *dir = opendir(LOGS);
    int n = snprintf(prefix, sizeof prefix, "shmq-test-%s-", ns);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strncmp(e->d_name, prefix, (size_t)n) == 0)
            remove_log(e->d_name);
    if (dir)
        (void)closedir(dir);
}

/* -- the files in shared memory ----------------------------------------------
 */

#define DIR_FROM offsetof(struct shmqi_marks_shm, dir_version)
#define DIR_TO offsetof(struct shmqi_marks_shm, groups)

size_t disk_files_bytes(const struct shm_files *f)
{
    return f->data_bytes + f->control_bytes + f->marks_bytes;
}

void disk_files_take(uint8_t *to, const struct shm_files *f)
{
    memcpy(to, f->data, f->data_bytes);
    memcpy(to + f->data_bytes, f->control, f->control_bytes);
    if (f->marks)
        memcpy(to + f->data_bytes + f->control_bytes, f->marks, f->marks_bytes);
}

static void put_marks(struct shm_files *f, const uint8_t *from)
{
    if (!f->marks)
        return;
    memcpy(f->marks, from, DIR_FROM);
    memcpy(f->marks + DIR_TO, from + DIR_TO, f->marks_bytes - DIR_TO);
}

void disk_files_put(struct shm_files *f, const uint8_t *from)
{
    memcpy(f->data, from, f->data_bytes);
    memcpy(f->control, from + f->data_bytes, f->control_bytes);
    put_marks(f, from + f->data_bytes + f->control_bytes);
}

void disk_files_copy(struct shm_files *to, const struct shm_files *from)
{
    memcpy(to->data, from->data, from->data_bytes);
    memcpy(to->control, from->control, from->control_bytes);
    put_marks(to, from->marks);
}
