/* The sandbox of shmq-bridge: every system call that is not on its list is
 * refused, and so are the forbidden uses of those that are. */
#include "support/confine_check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "confine.h"

static bool is_refused(long rc)
{
    return rc == -1 && errno == EPERM;
}

static void *run(void *arg)
{
    *(bool *)arg = true;
    return NULL;
}

static void what_it_needs_is_possible(void)
{
    pthread_t thread;
    bool ran = false;
    T_EQ(pthread_create(&thread, NULL, run, &ran), 0);
    T_EQ(pthread_join(thread, NULL), 0);
    T_TRUE(ran);
    T_TRUE(socket(AF_INET, SOCK_STREAM, 0) >= 0);
    T_TRUE(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    T_EQ(kill(getpid(), 0), 0);
}

static void forbidden_uses_are_refused(void)
{
    static const int families[] = {
        AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH, AF_KEY};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_TRUE(page == MAP_FAILED && errno == EPERM);
    page = mmap(
        NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_TRUE(page != MAP_FAILED);
    T_TRUE(is_refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        T_TRUE(is_refused(socket(families[i], SOCK_DGRAM, 0)));
    T_TRUE(is_refused(kill(getpid(), SIGTERM)));
    T_TRUE(is_refused(syscall(SYS_io_uring_setup, 8, NULL)));
    T_TRUE(is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
    T_TRUE(is_refused(fork()));
    T_TRUE(is_refused(execl("/bin/true", "true", (char *)NULL)));
    T_TRUE(is_refused(prctl(PR_SET_DUMPABLE, 1)));
    T_TRUE(is_refused(ioctl(0, TIOCSTI, "x")));
    what_it_needs_is_possible();
}

TEST(what_is_not_listed_is_refused)
{
    if (!shmqs_sandbox_possible())
        T_SKIP("sanitizers make calls of their own");
    T_TRUE(refuses(shmqz_calls, shmqz_calls, forbidden_uses_are_refused));
    T_TRUE(one_more_is_noticed(shmqz_calls, forbidden_uses_are_refused));
}

static const struct CMUnitTest tests[] = {
    T(what_is_not_listed_is_refused),
};
T_MAIN(tests)
