/* The sandbox of shmqd: every system call that is not on its list is refused,
 * and so are the forbidden uses of those that are. */
#include "support/confine_check.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "confine.h"

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

TEST(what_is_not_listed_is_refused)
{
    if (!shmqs_sandbox_possible())
        T_SKIP("sanitizers make calls of their own");
    T_TRUE(refuses(shmqd_calls, shmqd_calls, forbidden_uses_are_refused));
    T_TRUE(one_more_is_noticed(shmqd_calls, forbidden_uses_are_refused));
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
