/* durable_daemon.c - a shmqd for a measurement. */
#define _GNU_SOURCE
#include "durable.h"

#include "clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <shmq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_NS UINT64_C(10000000000)

/* The program beside us, or 0. */
static int beside(char *ret, size_t room, const char *name)
{
    ssize_t len = readlink("/proc/self/exe", ret, room - 64);

    if (len <= 0)
        return 0;
    ret[len] = '\0';
    snprintf(strrchr(ret, '/') + 1, 60, "%s", name);
    return access(ret, X_OK) == 0;
}

static void become_daemon(const struct lab_daemon *daemon, const char *program)
{
    char data[600], log[600];
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(data, sizeof(data), "%s/data", daemon->dir);
    snprintf(log, sizeof(log), "%s/log", daemon->dir);
    fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    unsetenv("SHMQ_CONFIG");
    execl(program, "shmqd", "--namespace", daemon->ns, "--data-dir", data,
        (char *)NULL);
    _exit(127);
}

static int wait_for(struct lab_daemon *daemon, char error[192])
{
    uint64_t end_ns = lab_now_ns() + START_NS;
    char path[80];
    struct stat st;
    int status;

    snprintf(path, sizeof(path), "/dev/shm/shmq.%s.s", daemon->ns);
    while (stat(path, &st) != 0) {
        if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
            daemon->pid = 0;
            snprintf(
                error, 192, "shmqd ended at once; see %.120s/log", daemon->dir);
            return -1;
        }
        if (lab_now_ns() > end_ns) {
            snprintf(error, 192, "shmqd does not answer");
            return -1;
        }
        usleep(1000);
    }
    return 0;
}

int lab_daemon_start(struct lab_daemon *ret, char error[192])
{
    const char *where = getenv("SHMQ_BENCH_DIR");
    char program[512];

    memset(ret, 0, sizeof(*ret));
    if (!beside(program, sizeof(program), "shmqd")) {
        snprintf(error, 192, "no shmqd beside this program");
        return -1;
    }
    static unsigned started;

    snprintf(ret->ns, sizeof(ret->ns), "bench-%d-%u", (int)getpid(), ++started);
    snprintf(ret->dir, sizeof(ret->dir), "%s/shmq-bench-XXXXXX",
        where && where[0] ? where : ".");
    if (!mkdtemp(ret->dir)) {
        snprintf(error, 192, "%.100s: %s", ret->dir, strerror(errno));
        return -1;
    }
    ret->pid = fork();
    if (ret->pid == 0)
        become_daemon(ret, program);
    if (ret->pid < 0 || wait_for(ret, error)) {
        lab_daemon_stop(ret);
        return -1;
    }
    return 0;
}

int lab_daemon_again(struct lab_daemon *daemon, char error[192])
{
    char program[512], path[80];

    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, NULL, 0);
    daemon->pid = 0;
    snprintf(path, sizeof(path), "/dev/shm/shmq.%s.s", daemon->ns);
    unlink(path); /* it is there again when the next one answers */
    if (!beside(program, sizeof(program), "shmqd"))
        return -1;
    daemon->pid = fork();
    if (daemon->pid == 0)
        become_daemon(daemon, program);
    return daemon->pid < 0 ? -1 : wait_for(daemon, error);
}

static int drop(
    const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path) && errno != ENOENT;
}

static void drop_rings(const char *ns)
{
    char prefix[64], path[512];
    DIR *shm = opendir("/dev/shm");
    struct dirent *entry;

    snprintf(prefix, sizeof(prefix), "shmq.%s.", ns);
    while (shm && (entry = readdir(shm))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)))
            continue;
        snprintf(path, sizeof(path), "/dev/shm/%s", entry->d_name);
        unlink(path);
    }
    if (shm)
        closedir(shm);
}

void lab_daemon_stop(struct lab_daemon *daemon)
{
    if (daemon->pid > 0) {
        kill(daemon->pid, SIGKILL);
        waitpid(daemon->pid, NULL, 0);
    }
    daemon->pid = 0;
    drop_rings(daemon->ns);
    if (daemon->dir[0])
        nftw(daemon->dir, drop, 16, FTW_DEPTH | FTW_PHYS);
    daemon->dir[0] = '\0';
}
