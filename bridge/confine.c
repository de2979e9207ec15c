/* confine.c - the list of system calls.
 *
 * Grouped by what needs them. Not here: executing, io_uring, executable memory,
 * signals to anybody (kill with signal 0 asks whether a process lives). The
 * threads of ZeroMQ are made inside, so that they are confined, too. */
#include "confine.h"

#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

const struct shmqs_allowed shmqz_calls[] = {
    /* memory; never executable */
    {"mmap", 3, PROT_EXEC, 0},
    {"mprotect", 3, PROT_EXEC, 0},
    {"munmap", 0, 0, 0},
    {"madvise", 0, 0, 0},
    {"mremap", 0, 0, 0},
    {"brk", 0, 0, 0},
    {"mlock", 0, 0, 0},
    /* rings, histories, /proc, the access list */
    {"openat", 0, 0, 0},
    {"open", 0, 0, 0},
    {"close", 0, 0, 0},
    {"read", 0, 0, 0},
    {"pread64", 0, 0, 0},
    {"write", 0, 0, 0},
    {"lseek", 0, 0, 0},
    {"fallocate", 0, 0, 0},
    {"ftruncate", 0, 0, 0},
    {"fstat", 0, 0, 0},
    {"stat", 0, 0, 0},
    {"lstat", 0, 0, 0},
    {"newfstatat", 0, 0, 0},
    {"statx", 0, 0, 0},
    {"fstatfs", 0, 0, 0},
    {"statfs", 0, 0, 0},
    {"getdents64", 0, 0, 0},
    {"readlink", 0, 0, 0},
    {"readlinkat", 0, 0, 0},
    {"linkat", 0, 0, 0},
    {"unlink", 0, 0, 0},
    {"unlinkat", 0, 0, 0},
    {"fchmod", 0, 0, 0},
    {"fchown", 0, 0, 0},
    {"fcntl", 0, 0, 0},
    {"flock", 0, 0, 0},
    {"mknod", 0, 0, 0},
    {"mknodat", 0, 0, 0},
    {"ioctl", 2, ~0ull, 0x5401}, /* TCGETS: is stderr a terminal? */
    {"inotify_init1", 0, 0, 0},
    {"inotify_add_watch", 0, 0, 0},
    {"inotify_rm_watch", 0, 0, 0},
    /* waiting and waking */
    {"futex", 0, 0, 0},
    {"epoll_create1", 0, 0, 0},
    {"epoll_ctl", 0, 0, 0},
    {"epoll_wait", 0, 0, 0},
    {"epoll_pwait", 0, 0, 0},
    {"poll", 0, 0, 0},
    {"ppoll", 0, 0, 0},
    {"timerfd_create", 0, 0, 0},
    {"timerfd_settime", 0, 0, 0},
    {"eventfd2", 0, 0, 0},
    {"nanosleep", 0, 0, 0},
    {"clock_nanosleep", 0, 0, 0},
    {"clock_gettime", 0, 0, 0},
    {"clock_getres", 0, 0, 0},
    {"gettimeofday", 0, 0, 0},
    {"restart_syscall", 0, 0, 0},
    {"sched_yield", 0, 0, 0},
    {"membarrier", 0, 0, 0},
    /* connections that came, doorbells, shmqd's and the journal's sockets; the
     * feed's listening one is made anew with a new access list */
    {"socket", 1, ~0ull, AF_UNIX},
    {"socket", 1, ~0ull, AF_INET},
    {"socket", 1, ~0ull, AF_INET6},
    {"socket", 1, ~0ull, AF_NETLINK}, /* names of interfaces */
    {"listen", 0, 0, 0},
    {"accept4", 0, 0, 0},
    {"accept", 0, 0, 0},
    {"shutdown", 0, 0, 0},
    {"bind", 0, 0, 0},
    {"connect", 0, 0, 0},
    {"recvmsg", 0, 0, 0},
    {"recvfrom", 0, 0, 0},
    {"sendto", 0, 0, 0},
    {"sendmsg", 0, 0, 0},
    {"getsockopt", 0, 0, 0},
    {"setsockopt", 0, 0, 0},
    {"getsockname", 0, 0, 0},
    {"getpeername", 0, 0, 0},
    /* threads; clone3 cannot be looked into */
    {"clone", 1, CLONE_THREAD, CLONE_THREAD},
    {"clone3", 0, 0, 0},
    {"set_robust_list", 0, 0, 0},
    {"rseq", 0, 0, 0},
    {"prctl", 1, ~0ull, PR_SET_NAME},
    {"sched_getaffinity", 0, 0, 0},
    {"sched_getscheduler", 0, 0, 0},
    {"sched_getparam", 0, 0, 0},
    {"sched_setscheduler", 2, ~0ull, SCHED_OTHER},
    /* who lives */
    {"pidfd_open", 0, 0, 0},
    {"kill", 2, ~0ull, 0},
    {"getpid", 0, 0, 0},
    {"gettid", 0, 0, 0},
    {"getuid", 0, 0, 0},
    {"geteuid", 0, 0, 0},
    {"getgid", 0, 0, 0},
    {"getegid", 0, 0, 0},
    /* the end */
    {"rt_sigaction", 0, 0, 0},
    {"rt_sigprocmask", 0, 0, 0},
    {"rt_sigreturn", 0, 0, 0},
    {"sigaltstack", 0, 0, 0},
    {"getrandom", 0, 0, 0},
    {"tgkill", 0, 0, 0}, /* abort(3) */
    {"exit", 0, 0, 0},
    {"exit_group", 0, 0, 0},
    {NULL, 0, 0, 0},
};
