/* test_liveness_exit.c - processes that take long to die: a core dump in
 * progress, an exit that a tracer holds up. They hold nobody else up and are
 * not reaped before they are gone. */
#include "support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support/proc.h"

#define NOT_TRACEABLE 1000
#define CORE_PATTERN "/proc/sys/kernel/core_pattern"

static char old_pattern[256]; /* to be restored */
static char folder[64]; /* of the dump reader's files */

static struct shmq_topic *small_topic(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);

    return t_topic("t", &attrs);
}

static int hold_and_crash(void *ctx)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    struct shmq_consumer *c = t_shared(t_open("t"), "s");
    struct shmq_message msg;

    (void)setrlimit(RLIMIT_CORE, &limit);
    (void)signal(SIGSEGV, SIG_DFL); /* sanitizers catch it */
    if (*(const bool *)ctx && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        t_tell(NOT_TRACEABLE);
        return 0;
    }
    T_OK(shmq_consumer_receive(c, &msg));
    t_tell(1);
    (void)t_hear();
    (void)raise(SIGSEGV);
    return 1;
}

/* Others work on, and the dying process keeps its claim. */
static void others_go_on(
    struct shmq_topic *topic, struct shmq_producer *p, struct shmq_consumer *c)
{
    struct shmq_message msg;

    for (uint64_t i = 1; i < 15; i++) {
        t_publish_run(p, i, 1);
        t_take_run(c, i, 1);
        t_expect_empty(c);
        shmq_consumer_close(t_ephemeral(topic, SHMQ_START_LATEST));
        shmq_producer_close(t_producer(topic));
    }
    T_RC(shmq_consumer_receive_wait(c, shmq_deadline(60 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_EQ(t_stat(topic).member_cnt, 2);
}

static void expect_given_back(struct shmq_consumer *c)
{
    struct shmq_message msg;

    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    T_CARRIES(&msg, 0, 16);
    T_EQ(msg.attempt, 1);
    T_OK(shmq_consumer_release(c, &msg));
}

TEST(an_exit_in_progress_is_neither_waited_for_nor_taken_for_death)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = t_shared(topic, "s");
    struct t_proc proc;
    bool traced = true;
    int status = 0;

    t_publish_run(p, 0, 1);
    t_spawn(&proc, hold_and_crash, &traced);
    if (t_recv(&proc) == NOT_TRACEABLE)
        T_SKIP("this system cannot trace a child");
    t_send(&proc, 1);
    T_TRUE(waitpid(proc.pid, &status, 0) == proc.pid);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSEGV)
        T_SKIP("this system cannot trace a child");
    T_EQ(ptrace(PTRACE_SETOPTIONS, proc.pid, NULL,
             (void *)(uintptr_t)PTRACE_O_TRACEEXIT),
        0);
    T_EQ(ptrace(PTRACE_CONT, proc.pid, NULL, (void *)(uintptr_t)SIGSEGV), 0);
    T_TRUE(waitpid(proc.pid, &status, 0) == proc.pid);
    T_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
    others_go_on(topic, p, c);
    T_EQ(ptrace(PTRACE_CONT, proc.pid, NULL, NULL), 0);
    expect_given_back(c);
    (void)t_bury(&proc);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

/* -- core dumps ---------------------------------------------------------- */

static bool write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool done;

    if (fd < 0)
        return false;
    done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    return close(fd) == 0 && done;
}

static void restore_pattern(void)
{
    if (old_pattern[0] != '\0')
        (void)write_file(CORE_PATTERN, old_pattern, 0);
    old_pattern[0] = '\0';
}

static void in_folder(char *ret, size_t bytes, const char *name)
{
    (void)snprintf(ret, bytes, "%s/%s", folder, name);
}

static bool exists(const char *name)
{
    char path[128];

    in_folder(path, sizeof(path), name);
    return access(path, F_OK) == 0;
}

static void remove_folder(void)
{
    static const char *const names[] = {"reader", "started", "go"};

    for (uint32_t i = 0; i < 3; i++) {
        char path[128];
        in_folder(path, sizeof(path), names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* Makes the kernel pipe core dumps into a script that does not read before
 * the file "go" is there. */
static bool catch_dumps(void)
{
    char script[512];
    char path[128];
    char pattern[160];
    FILE *file = fopen(CORE_PATTERN, "re");

    if (file == NULL || fgets(old_pattern, sizeof(old_pattern), file) == NULL)
        return false;
    (void)fclose(file);
    /* Of a test like this one that was killed: it is nobody's setting. */
    if (strstr(old_pattern, "/shmq-core-"))
        (void)snprintf(old_pattern, sizeof(old_pattern), "core");
    (void)snprintf(folder, sizeof(folder), "/tmp/shmq-core-XXXXXX");
    if (mkdtemp(folder) == NULL || chmod(folder, 0700) != 0)
        return false;
    in_folder(path, sizeof(path), "reader");
    (void)snprintf(script, sizeof(script),
        "#!/bin/sh\n: > %s/started\n"
        "i=0\nwhile [ ! -e %s/go ] && [ $i -lt 300 ]; do\n"
        "sleep 0.1; i=$((i+1)); done\ncat > /dev/null\n",
        folder, folder);
    (void)snprintf(pattern, sizeof(pattern), "|%s", path);
    (void)atexit(restore_pattern);
    return write_file(path, script, 0700) && chmod(path, 0700) == 0 &&
        write_file(CORE_PATTERN, pattern, 0);
}

static bool dump_started(struct t_proc *proc)
{
    uint64_t end_ns = t_now_ns() + 5000 * T_MS;

    while (!exists("started")) {
        siginfo_t info;
        memset(&info, 0, sizeof(info));
        (void)waitid(
            P_PID, (id_t)proc->pid, &info, WEXITED | WNOWAIT | WNOHANG);
        if (info.si_pid != 0 || t_now_ns() > end_ns)
            return false;
        t_pause();
    }
    return true;
}

TEST(a_core_dump_in_progress_is_neither_waited_for_nor_taken_for_death)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = t_shared(topic, "s");
    struct t_proc proc;
    bool traced = false;
    char path[128];
    bool started;

    if (geteuid() != 0 || !catch_dumps()) {
        restore_pattern();
        T_SKIP("no right to say where core dumps go");
    }
    t_publish_run(p, 0, 1);
    t_spawn(&proc, hold_and_crash, &traced);
    (void)t_recv(&proc);
    t_send(&proc, 1);
    started = dump_started(&proc);
    restore_pattern();
    if (!started) {
        remove_folder();
        T_SKIP("the kernel does not run the dump reader of this container");
    }
    others_go_on(topic, p, c);
    in_folder(path, sizeof(path), "go");
    T_TRUE(write_file(path, "", 0600));
    expect_given_back(c);
    (void)t_bury(&proc);
    remove_folder();
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(an_exit_in_progress_is_neither_waited_for_nor_taken_for_death),
    T(a_core_dump_in_progress_is_neither_waited_for_nor_taken_for_death),
};
T_MAIN(tests)
