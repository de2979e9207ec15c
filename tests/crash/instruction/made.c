/* made.c - the topic that mode F makes and removes: looked at, copied, judged.
 */
#include "made.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_AT 128

void made_path(char ret[MADE_PATH], const char *ns, char kind)
{
    (void)snprintf(ret, MADE_PATH, "/dev/shm/shmq.%s.%c." MADE, ns, kind);
}

struct files_state made_look(const char *ns)
{
    struct files_state s = {0, 0, 0};
    char path[MADE_PATH];
    struct stat st;
    made_path(path, ns, 'd');
    s.data = lstat(path, &st) == 0;
    made_path(path, ns, 'c');
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    s.control = fd >= 0;
    if (fd >= 0 && pread(fd, &s.version, 8, VERSION_AT) != 8)
        s.version = 0;
    if (fd >= 0)
        (void)close(fd);
    return s;
}

static void copy_file(const struct world *w, char kind)
{
    static uint8_t bytes[1u << 20];
    char from[MADE_PATH], to[MADE_PATH];
    made_path(from, w->ns, kind);
    made_path(to, w->copy_ns, kind);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return;
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n = read(in, bytes, sizeof bytes);
    if (out < 0 || n < 0 || write(out, bytes, (size_t)n) != n)
        broken("the files cannot be copied");
    (void)close(in);
    (void)close(out);
}

void made_copy(const struct world *w)
{
    copy_file(w, 'c');
    copy_file(w, 'd');
}

/* -- judging ----------------------------------------------------------------
 */

uint32_t made_leftovers(const char *ns)
{
    char prefix[64];
    uint32_t cnt = 0;
    DIR *dir = opendir("/dev/shm");
    int n = snprintf(prefix, sizeof prefix, "shmq.%s.", ns);
    for (struct dirent *e; dir && (e = readdir(dir));)
        cnt += strncmp(e->d_name, prefix, (size_t)n) == 0 &&
            strcmp(e->d_name + n, "d." TOPIC) != 0 &&
            strcmp(e->d_name + n, "c." TOPIC) != 0 &&
            strncmp(e->d_name + n, "lock.", 5) != 0;
    if (dir)
        (void)closedir(dir);
    return cnt;
}

static void use(struct shmq_topic *topic)
{
    struct shmq_producer *p = NULL;
    struct shmq_consumer *c = NULL;
    struct shmq_consumer_options o;
    struct shmq_message m;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.group = "g";
    if (shmq_producer_open(topic, NULL, &p) != SHMQ_OK ||
        shmq_consumer_open(topic, &o, &c) != SHMQ_OK ||
        shmq_producer_publish(p, "x", 1, NULL) != SHMQ_OK ||
        shmq_consumer_receive(c, &m) != SHMQ_OK || m.size != 1 ||
        shmq_consumer_release(c, &m) != SHMQ_OK)
        broken("the topic does not work: %s (I12)", shmq_error_text());
    shmq_consumer_close(c);
    shmq_producer_close(p);
}

struct shmq_topic_attrs made_attrs(void)
{
    struct shmq_topic_attrs a;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.ring = page->config.ring;
    a.arena_bytes = 4096;
    a.max_groups = 1;
    a.max_members = 1;
    if (a.ring == SHMQ_RING_MPMC) {
        a.capacity_frames = 8;
        a.max_producers = 1;
    }
    return a;
}

bool made_judge(const char *ns)
{
    struct shmq_topic *topic = NULL;
    struct shmq_topic_attrs a = made_attrs();
    int rc = shmq_topic_open(ns, MADE, &topic);
    bool exists = rc == SHMQ_OK;
    atomic_fetch_add(&totals->judged, 1);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_NOENT)
        broken("open: %s (I12)", shmq_error_text());
    rc = shmq_topic_create(ns, MADE, &a);
    if (rc != (exists ? SHMQ_ERR_EXISTS : SHMQ_OK))
        broken("create: %s (I12)", shmq_err_name(rc));
    if (!topic && (rc = shmq_topic_open(ns, MADE, &topic)) != SHMQ_OK)
        broken("open of a new one: %s", shmq_error_text());
    if (topic)
        use(topic);
    shmq_topic_close(topic);
    rc = shmq_topic_unlink(ns, MADE, 0);
    if (rc != SHMQ_OK || made_leftovers(ns) != 0)
        broken("unlink: %s, %u files are left (I9)", shmq_err_name(rc),
            made_leftovers(ns));
    return exists;
}
