#define _GNU_SOURCE
#include "mapping.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <shmq/sigbus.h>

#include "atomics.h"
#include "error.h"
#include "process.h"

#define GUARD_BYTES ((size_t)1 << 20)
#define HUGE_BYTES ((size_t)2 << 20) /* larger files may get huge pages */
#define LEAVE_TRIES 100000

/* -- the registry -----------------------------------------------------------
 *
 * Changed under the table lock, read by the handler without any. Entries are
 * used again and never freed. A thread that faults in a mapping found its
 * address through handles that were made after the entry was. */

struct shmqi_watch {
    _Atomic uintptr_t begin; /* 0: not in use */
    _Atomic uintptr_t end;
    _Atomic uint32_t *_Atomic broken;
    _Atomic uint32_t users; /* handlers that look at it just now */
    struct shmqi_watch *next;
};

static struct shmqi_watch *_Atomic watches;
static uint32_t watch_cnt; /* in use; table lock */

static struct shmqi_watch *watch_add(
    void *at, size_t bytes, _Atomic uint32_t *broken)
{
    struct shmqi_watch *w = private_ld(&watches);
    while (w && private_ld(&w->begin) != 0)
        w = w->next;
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            return NULL;
        w->next = private_ld(&watches);
        private_st(&watches, w);
    }
    private_st(&w->broken, broken);
    private_st(&w->end, (uintptr_t)at + bytes);
    private_st(&w->begin, (uintptr_t)at);
    watch_cnt++;
    return w;
}

/* True: no handler looks at it any more, the addresses may be used again. */
static bool watch_remove(struct shmqi_watch *w)
{
    private_st(&w->begin, 0);
    watch_cnt--;
    for (int i = 0; i < LEAVE_TRIES; i++) {
        if (private_ld(&w->users) == 0)
            return true;
        (void)sched_yield();
    }
    return false;
}

/* -- containing a fault: async-signal-safe ----------------------------------
 */

/* The whole file, so that nothing of it is left for a second fault and nothing
 * that is written from now on goes out; or, when there is no memory for that
 * many addresses, the page. */
static bool put_memory(uintptr_t begin, uintptr_t end, uintptr_t fault)
{
    const int flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const int prot = PROT_READ | PROT_WRITE;
    void *at = mmap((void *)begin, end - begin, prot, flags, -1, 0);
    if (at != MAP_FAILED)
        return true;
    at = (void *)(fault & ~(uintptr_t)4095);
    return mmap(at, 4096, prot, flags, -1, 0) != MAP_FAILED;
}

static bool contain_in(struct shmqi_watch *w, uintptr_t fault)
{
    bool done = false;
    (void)private_add(&w->users, 1);
    uintptr_t begin = private_ld(&w->begin), end = private_ld(&w->end);
    if (begin != 0 && fault >= begin && fault < end) {
        /* Before the memory changes: whoever saw the new memory sees this. */
        private_st(private_ld(&w->broken), 1);
        done = put_memory(begin, end, fault);
    }
    (void)private_add(&w->users, (uint32_t)-1);
    return done;
}

int shmq_sigbus_contain(const void *address)
{
    int err = errno;
    bool done = false;
    for (struct shmqi_watch *w = private_ld(&watches); w && !done; w = w->next)
        done = contain_in(w, (uintptr_t)address);
    errno = err;
    return done;
}

/* -- the handler ------------------------------------------------------------
 */

static struct sigaction previous;
static bool installed;
static uint32_t policy = SHMQ_SIGBUS_CONTAIN;

/* What would have happened without us. A fault comes again when the handler
 * returns, then with the default effect; a signal that was sent is raised. */
static void default_effect(const siginfo_t *info)
{
    struct sigaction dfl;
    memset(&dfl, 0, sizeof dfl);
    dfl.sa_handler = SIG_DFL;
    (void)sigaction(SIGBUS, &dfl, NULL);
    if (info->si_code <= 0)
        (void)raise(SIGBUS);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    if (info->si_code > 0 && shmq_sigbus_contain(info->si_addr))
        return;
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(sig, info, context);
    else if (previous.sa_handler == SIG_DFL)
        default_effect(info);
    else if (previous.sa_handler != SIG_IGN)
        previous.sa_handler(sig);
    else if (info->si_code > 0)
        default_effect(info); /* the kernel ignores no fault, either */
}

static bool is_ours(const struct sigaction *a)
{
    return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_sigbus;
}

/* Never on top of a handler that may have ours underneath: the two would call
 * each other for ever. */
static void install(void)
{
    struct sigaction mine;
#ifdef SHMQ_BUG_SIGBUS_UNGUARDED
    return;
#endif
    if (installed || policy != SHMQ_SIGBUS_CONTAIN)
        return;
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = on_sigbus;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    (void)sigemptyset(&mine.sa_mask);
    /* Known before the handler may run. */
    if (sigaction(SIGBUS, NULL, &previous) == 0 && !is_ours(&previous))
        installed = sigaction(SIGBUS, &mine, NULL) == 0;
}

static void uninstall(void)
{
    struct sigaction now;
    if (!installed || sigaction(SIGBUS, NULL, &now) != 0 || !is_ours(&now))
        return; /* somebody's handler is on top and may call ours */
    installed = sigaction(SIGBUS, &previous, NULL) != 0;
}

int shmq_sigbus_set(uint32_t how)
{
    int rc = SHMQ_OK;
    if (how != SHMQ_SIGBUS_CONTAIN && how != SHMQ_SIGBUS_LEAVE)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "sigbus: %u is not legal; use enum shmq_sigbus", how);
    shmqi_process_lock();
    if (watch_cnt)
        rc = shmqi_fail(SHMQ_ERR_BUSY,
            "sigbus: topics are open; choose before the first is opened");
    else
        policy = how;
    shmqi_process_unlock();
    return rc;
}

void shmqi_sigbus_unblock(void)
{
    sigset_t set;
    if (policy != SHMQ_SIGBUS_CONTAIN)
        return;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGBUS);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* -- mappings ----------------------------------------------------------------
 */

static uintptr_t round_up(uintptr_t v, size_t to)
{
    return (v + to - 1) & ~(uintptr_t)(to - 1);
}

int shmqi_mapping_make(struct shmqi_mapping *m, int fd, size_t bytes,
    bool writable, _Atomic uint32_t *broken)
{
    size_t align = bytes >= HUGE_BYTES ? HUGE_BYTES : GUARD_BYTES;
    size_t all = round_up(bytes, GUARD_BYTES) + 2 * GUARD_BYTES + align;
    memset(m, 0, sizeof *m);
    void *reserved = mmap(NULL, all, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return errno;
    m->reserved = reserved;
    m->reserved_bytes = all;
    m->bytes = bytes;
    void *at = (void *)round_up((uintptr_t)reserved + GUARD_BYTES, align);
    int err = 0;
    if (mmap(at, bytes, PROT_READ | (writable ? PROT_WRITE : 0),
            MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        err = errno;
    m->at = at;
    if (!err) {
        install();
        m->watch = watch_add(at, bytes, broken);
        err = m->watch ? 0 : ENOMEM;
    }
    if (err)
        shmqi_mapping_drop(m);
    return err;
}

void shmqi_mapping_drop(struct shmqi_mapping *m)
{
    bool free_again = !m->watch || watch_remove(m->watch);
    if (m->reserved && free_again)
        (void)munmap(m->reserved, m->reserved_bytes);
    memset(m, 0, sizeof *m);
    if (watch_cnt == 0)
        uninstall();
}
