/* x_world.c - what the library asks of the kernel, answered for processes that
 * exist only here: locks, clocks, /proc, futexes.
 *
 * The functions are replaced by the linker (--wrap), so the library is built
 * from its own sources as they are. Each thread of a run is a process: it has
 * a segment with a private endpoint table of its own, and it is dead when the
 * scheduler has killed it. Its death happens before its lock is seen free. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"
#include "files.h"
#include "process.h"
#include "topic_impl.h"

#define FD_BASE 100000
#define PID_BASE 1000u
#define TICK_NS 1000u

struct x_world x_world;

static struct shmqi_segment *segments[X_PROCESSES];
static struct shmq_topic *topics[X_PROCESSES];

static bool inside(void)
{
    return x_run.running || x_run.direct || x_run.number != 0;
}

/* -- the topic --------------------------------------------------------------
 */

static void small_rings(struct shmqi_ring *r, const struct x_setup *setup)
{
    r->arena_bytes = setup->arena_bytes;
    r->arena_lg2 = (uint32_t)__builtin_ctz(setup->arena_bytes);
    r->max_message = setup->arena_bytes / 2;
    if (setup->claims)
        r->claim_lg2 = (uint32_t)__builtin_ctz(setup->claims);
}

/* Each process has the same maps, at one address. */
static void open_as(uint32_t who, const struct shmqi_constants_shm *c,
    const struct shmqi_plan *plan, const struct x_setup *setup)
{
    struct shmqi_segment *s = calloc(1, sizeof *s);
    uint64_t *own = calloc(plan->endpoint_cnt, 3 * sizeof *own);
    struct shmq_topic *t = calloc(1, sizeof *t);
    (void)strcpy(s->ns, "explore");
    (void)strcpy(s->topic, "t");
    s->constants = *c;
    s->control_fd = s->data_fd = FD_BASE + (int)who;
    s->spare_fd = -1;
    s->data_writable = true;
    s->refs = 1000;
    s->own = own;
    s->init_seen = own + plan->endpoint_cnt;
    shmqi_ring_map(
        &s->ring, c, plan, x_memory_at(0), x_memory_at(plan->data_bytes));
    small_rings(&s->ring, setup);
    t->segment = s;
    t->generation = shmqi_generation();
    segments[who] = s;
    topics[who] = t;
}

/* Made by the library itself, in files; from there into the explorer's
 * memory. */
void x_world_open(const struct x_setup *setup)
{
    struct shmqi_constants_shm c;
    struct shmqi_plan plan;
    struct shmqi_files f;
    struct shmq_topic_attrs a;
    memset(&a, 0, sizeof a);
    a.struct_bytes = sizeof a;
    a.ring = setup->ring;
    a.on_full = setup->on_full;
    a.capacity_frames = setup->slots;
    a.arena_bytes = 4096;
    a.max_producers = setup->producers;
    a.max_groups = setup->groups;
    a.max_members = setup->members;
    a.flags = setup->flags;
    a.ttl_ns = setup->flags & SHMQ_TOPIC_TTL_DEAD_LETTER ? X_TTL_NS : 0;
    char ns[32];
    (void)snprintf(ns, sizeof ns, "explore%d", (int)getpid());
    /* Who is told to end just now ends without leaving files. */
    sigset_t ends, before;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ends, &before);
    if (shmqi_generation() == 0 ||
        shmqi_topic_create_system(ns, "t", &a, setup->start_seq) != 0 ||
        shmqi_files_init(&f, ns, "t") != 0 || shmqi_files_open_data(&f) != 0 ||
        shmqi_files_open_control(&f) != 0 || !shmqi_plan(&f.data, &plan)) {
        (void)fprintf(stderr, "no topic: %s\n", shmq_error_text());
        exit(1);
    }
    c = f.data;
    x_memory_init(plan.data_bytes + plan.control_bytes);
    x_memory_load_file(0, f.data_fd, plan.data_bytes);
    x_memory_load_file(plan.data_bytes, f.control_fd, plan.control_bytes);
    shmqi_files_close(&f);
    (void)shmq_topic_unlink(ns, "t", SHMQ_UNLINK_FORCE);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    x_heap_begin();
    for (uint32_t i = 0; i < X_PROCESSES; i++)
        open_as(i, &c, &plan, setup);
    x_heap_end();
}

struct shmq_topic *x_topic(uint32_t who)
{
    return topics[who];
}

struct shmqi_segment *x_segment(uint32_t who)
{
    return segments[who];
}

struct shmqi_ring *x_ring(void)
{
    return &segments[0]->ring;
}

/* -- processes ------------------------------------------------------------ */

void x_world_died(uint32_t process)
{
    x_world.dead[process] = true;
}

/* What a dead process did happens before the proof of its death. */
static bool proven_dead(uint32_t process)
{
    if (!x_world.dead[process])
        return false;
    x_memory_join(x_me, &x_threads[process]);
    return true;
}

void __wrap_shmqi_process_lock(void);
void __wrap_shmqi_process_unlock(void);
void __real_shmqi_process_lock(void);
void __real_shmqi_process_unlock(void);

/* One thread per process: nobody to exclude. */
void __wrap_shmqi_process_lock(void)
{
    if (!inside())
        __real_shmqi_process_lock();
}

void __wrap_shmqi_process_unlock(void)
{
    if (!inside())
        __real_shmqi_process_unlock();
}

const struct shmqi_self *__real_shmqi_self(void);
const struct shmqi_self *__wrap_shmqi_self(void);
const struct shmqi_self *__wrap_shmqi_self(void)
{
    static struct shmqi_self selves[X_PROCESSES]; /* callers keep the pointer */
    if (!inside())
        return __real_shmqi_self();
    struct shmqi_self *self = &selves[x_me->who];
    self->pid_namespace = 1;
    self->start_time = 100 + x_me->who;
    self->image = 7;
    self->pid = PID_BASE + x_me->who;
    return self;
}

bool __real_shmqi_procstat(uint32_t pid, struct shmqi_procstat *ret);
bool __wrap_shmqi_procstat(uint32_t pid, struct shmqi_procstat *ret);
bool __wrap_shmqi_procstat(uint32_t pid, struct shmqi_procstat *ret)
{
    if (!inside())
        return __real_shmqi_procstat(pid, ret);
    uint32_t who = pid - PID_BASE;
    if (who >= X_PROCESSES || proven_dead(who))
        return false;
    memset(ret, 0, sizeof *ret);
    ret->state = x_threads[who].state == X_STOPPED ? 'T' : 'S';
    ret->threads = 1;
    ret->start_time = 100 + who;
    ret->image = 7;
    ret->comm[0] = 'x';
    return true;
}

bool __real_shmqi_process_has_no_memory(uint32_t pid);
bool __wrap_shmqi_process_has_no_memory(uint32_t pid);
bool __wrap_shmqi_process_has_no_memory(uint32_t pid)
{
    if (!inside())
        return __real_shmqi_process_has_no_memory(pid);
    uint32_t who = pid - PID_BASE;
    return who < X_PROCESSES && proven_dead(who);
}

int __real_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig)
{
    if (!inside())
        return __real_kill(pid, sig);
    uint32_t who = (uint32_t)pid - PID_BASE;
    if (who < X_PROCESSES && !x_world.dead[who])
        return 0;
    errno = ESRCH;
    return -1;
}

/* -- liveness locks ------------------------------------------------------- */

int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);

static uint32_t find_lock(uint64_t at)
{
    uint32_t i = 0;
    while (i < x_world.locks && x_world.locked[i] != at)
        i++;
    return i;
}

static int set_lock(uint32_t who, const struct flock *l)
{
    uint32_t i = find_lock((uint64_t)l->l_start);
    if (l->l_type == F_UNLCK) {
        if (i < x_world.locks && x_world.holder[i] == who)
            x_world.locked[i] = 0;
        return 0;
    }
    if (i == x_world.locks) {
        i = find_lock(0);
        if (i == x_world.locks)
            x_world.locks++;
        if (i >= sizeof x_world.holder)
            x_fail("too many locks");
    }
    x_world.locked[i] = (uint64_t)l->l_start;
    x_world.holder[i] = (uint8_t)who;
    return 0;
}

static int get_lock(uint32_t who, struct flock *l)
{
    uint32_t i = find_lock((uint64_t)l->l_start);
    short type = F_UNLCK;
    if (i < x_world.locks && x_world.holder[i] != who) {
        bool gone = x_world.dead[x_world.holder[i]];
        if (!gone || (x_run.lag && x_below(2)))
            type = F_WRLCK;
        else
            (void)proven_dead(x_world.holder[i]);
    }
    l->l_type = type;
    if (type != F_UNLCK)
        l->l_pid = (pid_t)(PID_BASE + x_world.holder[i]);
    return 0;
}

int __wrap_fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    if (fd < FD_BASE)
        return __real_fcntl(fd, cmd, arg);
    x_step();
    if (cmd == F_SETLK)
        return set_lock((uint32_t)(fd - FD_BASE), arg);
    if (cmd == F_GETLK)
        return get_lock((uint32_t)(fd - FD_BASE), arg);
    x_fail("fcntl %d is not known here", cmd);
}

int __real_shmqi_segment_control_fd(struct shmqi_segment *s);
int __wrap_shmqi_segment_control_fd(struct shmqi_segment *s);
int __real_shmqi_segment_data_fd(struct shmqi_segment *s);
int __wrap_shmqi_segment_data_fd(struct shmqi_segment *s);

int __wrap_shmqi_segment_control_fd(struct shmqi_segment *s)
{
    return s->control_fd >= FD_BASE ? s->control_fd
                                    : __real_shmqi_segment_control_fd(s);
}

int __wrap_shmqi_segment_data_fd(struct shmqi_segment *s)
{
    return s->data_fd >= FD_BASE ? s->data_fd : __real_shmqi_segment_data_fd(s);
}

int __real_fallocate(int fd, int mode, off_t at, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes)
{
    return fd >= FD_BASE ? 0 : __real_fallocate(fd, mode, at, bytes);
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
    return inside() ? 0 : __real_unlink(path);
}

/* -- chance and clocks ---------------------------------------------------- */

int __real_shmqi_random_identity(uint64_t *ret);
int __wrap_shmqi_random_identity(uint64_t *ret);
int __wrap_shmqi_random_identity(uint64_t *ret)
{
    if (!inside())
        return __real_shmqi_random_identity(ret);
    *ret = (1ull << 40) + (++x_world.identities << 8) + x_me->who;
    return SHMQ_OK;
}

uint64_t __real_shmqi_now_monotonic(void);
uint64_t __real_shmqi_now_realtime(void);
uint64_t __real_shmqi_now_coarse(void);
uint64_t __wrap_shmqi_now_monotonic(void);
uint64_t __wrap_shmqi_now_realtime(void);
uint64_t __wrap_shmqi_now_coarse(void);

uint64_t __wrap_shmqi_now_monotonic(void)
{
    return inside() ? (x_run.now += TICK_NS) : __real_shmqi_now_monotonic();
}

uint64_t __wrap_shmqi_now_realtime(void)
{
    return inside() ? (x_run.now += TICK_NS) : __real_shmqi_now_realtime();
}

uint64_t __wrap_shmqi_now_coarse(void)
{
    return inside() ? x_run.now : __real_shmqi_now_coarse();
}

int __real_usleep(unsigned us);
int __wrap_usleep(unsigned us);
int __wrap_usleep(unsigned us)
{
    if (!inside())
        return __real_usleep(us);
    x_run.now += (uint64_t)us * 1000;
    x_yield();
    return 0;
}

/* -- futex, membarrier ---------------------------------------------------- */

static long sleep_on(const void *word, uint32_t value, const struct timespec *t)
{
    if ((uint32_t)x_memory_newest(word) != value) {
        errno = EAGAIN;
        return -1;
    }
    x_me->futex = word;
    x_me->wake_at =
        x_run.now + (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
    x_me->woken = false;
    if (x_run.running) {
        x_me->state = X_ASLEEP;
        x_schedule();
    } else {
        x_run.now = x_me->wake_at;
        x_run.timeouts++;
    }
    if (x_me->woken)
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

static long wake_on(const void *word)
{
    for (uint32_t i = 1; i < X_THREADS; i++) {
        struct x_thread *t = &x_threads[i];
        if (t->state == X_ASLEEP && t->futex == word) {
            t->state = X_READY;
            t->woken = true;
            return 1;
        }
    }
    return 0;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    long a[4];
    va_list ap;
    va_start(ap, number);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (!inside())
        return __real_syscall(number, a[0], a[1], a[2], a[3]);
    x_step();
    const void *word = (const void *)(uintptr_t)a[0];
    if (number == SYS_futex && a[1] == FUTEX_WAIT)
        return sleep_on(
            word, (uint32_t)a[2], (const struct timespec *)(uintptr_t)a[3]);
    if (number == SYS_futex && a[1] == FUTEX_WAKE)
        return wake_on(word);
    if (number == SYS_membarrier) {
        x_memory_barrier_all();
        return 0;
    }
    errno = ENOSYS;
    return -1;
}
