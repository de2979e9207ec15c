#define _GNU_SOURCE
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <shmq/base.h>

#include "error.h"
#include "segment.h"

static const volatile uint32_t no_generation;
const volatile uint32_t *shmqi_generation_word = &no_generation;

static volatile uint32_t *wiped_page;
static uint32_t last_generation;
static struct shmqi_self self;
static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

const struct shmqi_self *shmqi_self(void)
{
    return &self;
}

void shmqi_process_lock(void)
{
    (void)pthread_mutex_lock(&table_lock);
}

void shmqi_process_unlock(void)
{
    (void)pthread_mutex_unlock(&table_lock);
}

/* Without a /proc that shows this process under its own pid (for example a
 * pid namespace that kept the outer /proc) pids prove nothing. */
static void learn_self(void)
{
    struct shmqi_procstat st;
    struct stat ns;
    char link[32] = "";
    memset(&self, 0, sizeof self);
    self.pid = (uint32_t)getpid();
    ssize_t n = readlink("/proc/self", link, sizeof link - 1);
    if (n <= 0 || (uint32_t)strtoul(link, NULL, 10) != self.pid)
        return;
    if (!shmqi_procstat(self.pid, &st) || stat("/proc/self/ns/pid", &ns) != 0)
        return;
    self.start_time = st.start_time;
    self.image = st.image;
    self.pid_namespace = (uint64_t)ns.st_ino;
}

/* The mutexes may have been held by a thread that the child does not have. And
 * an emulator may take MADV_WIPEONFORK without doing it; the advice itself is
 * for children that do not come through fork(3). */
static void child_locks(void)
{
    if (wiped_page)
        *wiped_page = 0;
    (void)pthread_mutex_init(&setup_lock, NULL);
    (void)pthread_mutex_init(&table_lock, NULL);
}

static uint32_t set_up(void)
{
    if (!wiped_page) {
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return 0;
        if (madvise(page, 4096, MADV_WIPEONFORK) != 0) {
            (void)munmap(page, 4096);
            return 0;
        }
        wiped_page = page;
        shmqi_generation_word = wiped_page;
        (void)pthread_atfork(NULL, NULL, child_locks);
    }
    if (*wiped_page == 0) {
        learn_self();
        if (last_generation != 0)
            shmqi_segments_inherited();
        *wiped_page = ++last_generation;
    }
    return *wiped_page;
}

uint32_t shmqi_generation(void)
{
    uint32_t now = *shmqi_generation_word;
    if (now != 0)
        return now;
    (void)pthread_mutex_lock(&setup_lock);
    now = set_up();
    (void)pthread_mutex_unlock(&setup_lock);
    return now;
}

/* -- /proc ----------------------------------------------------------------*/

static ssize_t read_file(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, buf, size - 1);
    (void)close(fd);
    if (n >= 0)
        buf[n] = '\0';
    return n;
}

bool shmqi_procstat(uint32_t pid, struct shmqi_procstat *ret)
{
    char path[64], buf[1024];
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    if (read_file(path, buf, sizeof buf) <= 0)
        return false;
    char *open_paren = strchr(buf, '(');
    char *p = strrchr(buf, ')'); /* comm may hold anything */
    if (!open_paren || !p || p < open_paren)
        return false;
    memset(ret, 0, sizeof *ret);
    *p = '\0';
    (void)snprintf(ret->comm, sizeof ret->comm, "%s", open_paren + 1);
    p += 2;
    ret->state = *p;
    uint64_t start_code = 0, start_stack = 0;
    for (int field = 3; field <= 28 && *p; field++) {
        uint64_t v = strtoull(p, NULL, 10);
        if (field == 20)
            ret->threads = (uint32_t)v;
        else if (field == 22)
            ret->start_time = v;
        else if (field == 26)
            start_code = v;
        else if (field == 28)
            start_stack = v;
        p = strchr(p, ' ');
        if (!p)
            break;
        p++;
    }
    if (start_code > 1 && start_stack > 1)
        ret->image = (start_code * 0x9e3779b97f4a7c15ull) ^ start_stack;
    return ret->start_time != 0;
}

static bool statm_is_zero(const char *pid, const char *tid)
{
    char path[320], buf[128];
    (void)snprintf(path, sizeof path, "/proc/%s/task/%s/statm", pid, tid);
    return read_file(path, buf, sizeof buf) > 0 &&
        strncmp(buf, "0 0 0 ", 6) == 0;
}

bool shmqi_process_has_no_memory(uint32_t pid)
{
    char path[64], pid_text[16];
    (void)snprintf(pid_text, sizeof pid_text, "%u", pid);
    /* The usual case, a living process, costs one read. */
    if (!statm_is_zero(pid_text, pid_text))
        return false;
    (void)snprintf(path, sizeof path, "/proc/%u/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    struct shmqi_procstat st;
    uint32_t threads = 0;
    bool none = true;
    for (struct dirent *e; none && (e = readdir(dir));)
        if (e->d_name[0] != '.') {
            none = statm_is_zero(pid_text, e->d_name);
            threads++;
        }
    (void)closedir(dir);
    /* A thread made while we were listing would be missing from the list. */
    return none && shmqi_procstat(pid, &st) && st.threads <= threads;
}

/* -- random, clocks ------------------------------------------------------- */

int shmqi_random_identity(uint64_t *ret)
{
    uint64_t v = 0;
    do {
        if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v)
            return shmqi_fail_sys(EIO, "getrandom");
        v &= (1ull << 62) - 1;
    } while (v < 1ull << 32);
    *ret = v;
    return SHMQ_OK;
}

static uint64_t now(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t shmqi_now_monotonic(void)
{
    return now(CLOCK_MONOTONIC);
}

uint64_t shmqi_now_realtime(void)
{
    return now(CLOCK_REALTIME);
}

uint64_t shmqi_now_coarse(void)
{
    return now(CLOCK_REALTIME_COARSE);
}

uint64_t shmq_deadline(uint64_t timeout_ns)
{
    uint64_t t = shmqi_now_monotonic();
    return timeout_ns > SHMQ_FOREVER - t ? SHMQ_FOREVER : t + timeout_ns;
}

#define TEXT_OF(x) #x
#define VERSION_OF(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)
const char *shmq_version(void)
{
    return VERSION_OF(
        SHMQ_VERSION_MAJOR, SHMQ_VERSION_MINOR, SHMQ_VERSION_PATCH);
}
