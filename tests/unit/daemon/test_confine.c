/* The sandbox of shmqd: every system call that is not on its list is refused,
 * and so are the forbidden uses of those that are. */
#include "support/unit.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "confine.h"

enum { CALLS_END = 470 }; /* beyond the last one that kernels have */

/* Who is not root has no capability and cannot drop the bounding set, which
 * only bounds what an exec could give: none, without new privileges. */
static void no_capability_and_no_new_privilege(bool root)
{
    char line[256], caps[32];
    int none = root ? 0 : 1, seen = 0;
    FILE *status = fopen("/proc/self/status", "r");
    T_TRUE(status != NULL);
    while (fgets(line, sizeof(line), status) != NULL) {
        if (sscanf(line, "CapPrm: %31s", caps) == 1 ||
            sscanf(line, "CapEff: %31s", caps) == 1 ||
            sscanf(line, "CapBnd: %31s", caps) == 1 ||
            sscanf(line, "CapAmb: %31s", caps) == 1) {
            seen++;
            none +=
                strspn(caps, "0") == strlen(caps) && (root || line[3] != 'B');
        }
        if (strcmp(line, "NoNewPrivs:\t1\n") == 0 ||
            strcmp(line, "Seccomp:\t2\n") == 0)
            none++;
    }
    T_EQ(seen, 4);
    T_EQ(none, 6);
    fclose(status);
}

static bool is_listed(long number, bool *ret_conditional)
{
    bool listed = false;
    for (const struct shmqs_allowed *call = shmqd_calls; call->name != NULL;
         call++) {
        if (seccomp_syscall_resolve_name(call->name) != number)
            continue;
        listed = true;
        *ret_conditional = call->arg != 0;
    }
    return listed;
}

/* The list is asked before anything else, so arguments that make no sense are
 * enough, and nothing happens should a call be let through by mistake. */
static int every_other_call_is_refused(const bool *skip)
{
    int refused = 0;
    for (long number = 0; number < CALLS_END; number++) {
        if (skip[number])
            continue;
        errno = 0;
        long rc = syscall(number, -1l, -1l, -1l, -1l, -1l, -1l);
        if (rc != -1 || errno != EPERM) {
            fprintf(stderr, "call %ld: %ld, errno %d\n", number, rc, errno);
            T_FAIL("a call that is not listed was let through");
        }
        refused++;
    }
    return refused;
}

static void forbidden_uses_are_refused(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_TRUE(page == MAP_FAILED && errno == EPERM);
    page = mmap(
        NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_TRUE(page != MAP_FAILED);
    T_TRUE(mprotect(page, 4096, PROT_READ | PROT_EXEC) == -1 && errno == EPERM);
    T_EQ(mprotect(page, 4096, PROT_READ), 0);
    T_TRUE(socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM);
    T_TRUE(socket(AF_NETLINK, SOCK_RAW, 0) == -1 && errno == EPERM);
    T_TRUE(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    T_TRUE(kill(getpid(), SIGTERM) == -1 && errno == EPERM);
    T_EQ(kill(getpid(), 0), 0);
    T_TRUE(syscall(SYS_io_uring_setup, 8, NULL) == -1 && errno == EPERM);
    T_TRUE(fork() == -1 && errno == EPERM);
    T_TRUE(execl("/bin/true", "true", (char *)NULL) == -1 && errno == EPERM);
}

static int confined(const bool *skip)
{
    const char *step = "";
    bool root = geteuid() == 0;
    t_is_child = true;
    if (shmqs_sandbox_enter(shmqd_calls, &step) != 0) {
        fprintf(stderr, "%s: %s\n", step, strerror(errno));
        return 1;
    }
    no_capability_and_no_new_privilege(root);
    forbidden_uses_are_refused();
    return every_other_call_is_refused(skip) > 250 ? 0 : 1;
}

TEST(what_is_not_listed_is_refused)
{
    static bool skip[CALLS_END];
    int status, listed = 0;
    if (!shmqs_sandbox_possible())
        T_SKIP("sanitizers make calls of their own");
    for (long number = 0; number < CALLS_END; number++) {
        bool conditional = false;
        skip[number] = is_listed(number, &conditional);
        listed += skip[number];
#if defined(__x86_64__)
        /* uretprobe and uprobe: the kernel lets them pass every filter, and
         * kills who calls them without having been asked to. */
        skip[number] |= number == 335 || number == 336;
#endif
    }
    print_message("%d system calls are listed\n", listed);
    pid_t child = fork();
    T_TRUE(child >= 0);
    if (child == 0)
        _exit(confined(skip));
    T_EQ(waitpid(child, &status, 0), child);
    T_TRUE(WIFEXITED(status));
    T_EQ(WEXITSTATUS(status), 0);
}

/* Control: without the sandbox the same uses are possible. */
TEST(without_it_they_are_possible)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    T_TRUE(fd >= 0);
    close(fd);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_TRUE(page != MAP_FAILED);
    munmap(page, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_not_listed_is_refused),
        T(without_it_they_are_possible),
    };
    return t_unit_run("confine", tests, sizeof(tests) / sizeof(tests[0]));
}
