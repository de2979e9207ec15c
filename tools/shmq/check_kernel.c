/* check_kernel.c - what the library asks of the kernel, tried out. */
#include "findings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u

static void tell(struct findings *f, const char *check, bool works,
    enum finding_level otherwise, const char *advice, const char *what)
{
    findings_add(f, works ? FINDING_OK : otherwise, check,
        works ? NULL : advice, "%s: %s", what, works ? "works" : "fails");
}

/* 1: a lock of `byte` by the parent is seen, 0: not. */
static int child_sees_lock(int fd, off_t byte)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct flock lock;
        memset(&lock, 0, sizeof(lock));
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = byte;
        lock.l_len = 1;
        bool seen = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK &&
            lock.l_pid != 0;
        _exit(seen ? 1 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Proof of death rests on these locks. */
static void check_locks(struct findings *f)
{
    const off_t far = (off_t)1 << 61;
    struct flock lock;
    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = far;
    lock.l_len = 1;
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* told with /dev/shm */
    bool works = fcntl(fd, F_SETLK, &lock) == 0 && child_sees_lock(fd, far);
    tell(f, "kernel-locks", works, FINDING_BAD,
        "use a kernel and a /dev/shm that have POSIX record locks: without "
        "them nobody can tell who is dead",
        "byte-range locks in /dev/shm");
    close(fd);
}

static void check_fork_page(struct findings *f)
{
    void *page = mmap(
        NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    tell(f, "kernel-wipe-on-fork", madvise(page, PAGE, MADV_WIPEONFORK) == 0,
        FINDING_HINT,
        "use Linux 4.14 or later: handles used in a fork child are then "
        "refused without a system call",
        "MADV_WIPEONFORK");
    munmap(page, PAGE);
}

static void check_pidfd(struct findings *f)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    tell(f, "kernel-pidfd", fd >= 0, FINDING_HINT,
        "use Linux 5.3 or later: the death of a member is then noticed at "
        "once, not at the next look",
        "pidfd_open");
    if (fd >= 0)
        close(fd);
}

static void check_membarrier(struct findings *f)
{
    long cmds = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    bool works = cmds > 0 && (cmds & MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0;
    tell(f, "kernel-membarrier", works, FINDING_HINT,
        "use Linux 4.16 or later: topics made with --asymmetric need it",
        "membarrier, global expedited");
}

/* Others' states and start times: pid proof, and `stat`. */
static void check_proc(struct findings *f)
{
    bool works = access("/proc/self/stat", R_OK) == 0 &&
        access("/proc/self/ns/pid", F_OK) == 0;
    tell(f, "proc", works, FINDING_BAD,
        "mount /proc: it proves who lives, and names who holds up whom",
        "/proc");
    if (works && geteuid() != 0 && access("/proc/1/stat", R_OK) != 0)
        findings_add(f, FINDING_HINT, "proc-hidden",
            "remount without hidepid, or accept that others' states are "
            "shown as running",
            "/proc hides other users' processes");
}

static void check_huge(struct findings *f)
{
    char text[128];
    int fd = open("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
        O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return;
    text[got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    bool never =
        strstr(text, "[never]") != NULL || strstr(text, "[deny]") != NULL;
    findings_add(f, never ? FINDING_HINT : FINDING_OK, "huge-pages",
        never ? "echo advise > /sys/kernel/mm/transparent_hugepage/"
                "shmem_enabled: topics made with --huge ask for them"
              : NULL,
        "huge pages of shared memory: %s", text);
}

void check_kernel(struct findings *f)
{
    struct utsname name;
    if (uname(&name) == 0)
        findings_add(f, FINDING_OK, "kernel", NULL, "%s %s, %s", name.sysname,
            name.release, name.machine);
    check_locks(f);
    check_fork_page(f);
    check_pidfd(f);
    check_membarrier(f);
    check_proc(f);
    check_huge(f);
}
