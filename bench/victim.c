/* victim.c - killing a child and timing its death. */
#define _GNU_SOURCE
#include "victim.h"

#include "clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int lab_victim_touch(uint64_t bytes)
{
    unsigned char *mem;

    if (bytes == 0)
        return 0;
    mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
        -1, 0);
    if (mem == MAP_FAILED)
        return -1;
    madvise(mem, bytes, MADV_NOHUGEPAGE);
    for (uint64_t at = 0; at < bytes; at += 4096)
        mem[at] = 1;
    return 0;
}

int lab_victim_kill(pid_t pid, uint64_t *ret_kill, uint64_t *ret_proof)
{
    struct pollfd gone = {.events = POLLIN};
    int rc = -1;

    gone.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (gone.fd < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return -1;
    }
    *ret_kill = lab_ticks();
    kill(pid, SIGKILL);
    if (poll(&gone, 1, 10000) == 1) {
        *ret_proof = lab_ticks();
        rc = 0;
    }
    waitpid(pid, NULL, 0);
    close(gone.fd);
    return rc;
}
