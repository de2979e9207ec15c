/* support.c - checks, time, chance, namespaces; see support.h. */
#include "support/support.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/proc.h"

#define WATCHDOG_S 100
#define DIR_SHM "/dev/shm"

void (*t_on_fail)(const char *file, int line);
bool t_is_child;
char t_ns[SHMQ_NAMESPACE_MAX + 1];

void t_fail(const char *file, int line, const char *text)
{
    bool own_thread = syscall(SYS_gettid) == getpid();

    (void)fflush(stdout);
    (void)fprintf(stderr, "%s:%d: %s%s\n", file, line, text,
        t_is_child       ? " (in a child process)"
            : own_thread ? ""
                         : " (in a thread)");
    if (!t_is_child && own_thread && t_on_fail != NULL)
        t_on_fail(file, line);
    _exit(1);
}

void t_check_rc(const char *file, int line, const char *expr, int rc, int want)
{
    char text[1024];

    if (rc == want)
        return;
    (void)snprintf(text, sizeof(text),
        "%s is %d %s, expected %d %s; last error: %s (errno %d)", expr, rc,
        rc > 0 ? "" : shmq_err_name(rc), want,
        want > 0 ? "" : shmq_err_name(want), shmq_error_text(),
        shmq_error_errno());
    t_fail(file, line, text);
}

void t_check_true(const char *file, int line, const char *expr, bool ok)
{
    char text[512];

    if (ok)
        return;
    (void)snprintf(text, sizeof(text), "not true: %s", expr);
    t_fail(file, line, text);
}

void t_check_eq(
    const char *file, int line, const char *expr, uint64_t a, uint64_t b)
{
    char text[512];

    if (a == b)
        return;
    (void)snprintf(text, sizeof(text), "%s: %llu (0x%llx) is not %llu (0x%llx)",
        expr, (unsigned long long)a, (unsigned long long)a,
        (unsigned long long)b, (unsigned long long)b);
    t_fail(file, line, text);
}

void t_check_says(const char *file, int line, const char *part)
{
    char text[1024];

    if (strstr(shmq_error_text(), part) != NULL)
        return;
    (void)snprintf(text, sizeof(text), "the error text lacks \"%s\": %s", part,
        shmq_error_text());
    t_fail(file, line, text);
}

/* -- time and chance ----------------------------------------------------- */

uint64_t t_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t t_wall_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + (int64_t)now.tv_nsec;
}

void t_sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u),
        .tv_nsec = (long)(ns % 1000000000u)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void t_pause(void)
{
    t_sleep_ns(500000);
}

uint64_t t_seed(void)
{
    const char *text = getenv("SHMQ_TEST_SEED");

    return text == NULL ? 1 : strtoull(text, NULL, 0);
}

uint64_t t_seed_say(const char *what)
{
    uint64_t seed = t_seed();

    (void)printf("%s: SHMQ_TEST_SEED=%llu\n", what, (unsigned long long)seed);
    (void)fflush(stdout);
    return seed;
}

uint64_t t_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* -- namespaces and files ------------------------------------------------ */

/* Calls `visit` for every file of the namespace; `name` is the part behind
 * "shmq.<ns>.". */
static uint32_t each_file(void (*visit)(const char *file, const char *name))
{
    char prefix[64];
    DIR *dir = opendir(DIR_SHM);
    struct dirent *entry;
    uint32_t cnt = 0;

    if (dir == NULL)
        return 0;
    (void)snprintf(prefix, sizeof(prefix), "shmq.%s.", t_ns);
    while ((entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name + strlen(prefix);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        if (strncmp(name, "lock.", 5) == 0) {
            if (visit != NULL)
                visit(entry->d_name, name);
            continue;
        }
        cnt++;
        if (visit != NULL)
            visit(entry->d_name, name);
    }
    (void)closedir(dir);
    return cnt;
}

static void remove_file(const char *file, const char *name)
{
    char path[512];

    if (strncmp(name, "lock.", 5) != 0)
        (void)fprintf(stderr, "left behind: %s\n", file);
    (void)snprintf(path, sizeof(path), DIR_SHM "/%s", file);
    (void)unlink(path);
}

static void watchdog(int sig)
{
    static const char text[] = "the watchdog ended a test that hangs\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

    (void)ignored;
    (void)sig;
    t_proc_kill_all();
    /* Cleaning up may hang, too, in a handler. */
    (void)signal(SIGALRM, SIG_DFL);
    (void)alarm(5);
    (void)each_file(remove_file);
    _exit(1);
}

void t_begin(void)
{
    uint64_t id = 0;

    if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
        abort();
    (void)snprintf(t_ns, sizeof(t_ns), "t%llx", (unsigned long long)id);
    (void)signal(SIGALRM, watchdog);
    (void)alarm(WATCHDOG_S);
}

static int unlink_topic(void *ctx, const char *topic)
{
    (void)ctx;
    (void)shmq_topic_unlink(t_ns, topic, SHMQ_UNLINK_FORCE);
    return 0;
}

void t_end(void)
{
    uint32_t left;

    t_proc_kill_all();
    (void)shmq_topic_list(t_ns, unlink_topic, NULL);
    left = each_file(remove_file);
    (void)alarm(0);
    if (left != 0)
        T_FAIL("files are left behind in " DIR_SHM);
}

const char *t_path(char kind, const char *topic)
{
    static char path[512];

    (void)snprintf(
        path, sizeof(path), DIR_SHM "/shmq.%s.%c.%s", t_ns, kind, topic);
    return path;
}

uint32_t t_file_cnt(void)
{
    return each_file(NULL);
}

uint32_t t_fd_cnt(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint32_t cnt = 0;

    while (dir != NULL && readdir(dir) != NULL)
        cnt++;
    if (dir != NULL)
        (void)closedir(dir);
    return cnt;
}

bool t_proc_is_real(void)
{
    char state = '0';
    FILE *stat = fopen("/proc/self/stat", "r");
    bool real = stat != NULL && fscanf(stat, "%*d %*s %c", &state) == 1;

    if (stat != NULL)
        (void)fclose(stat);
    return real && state == 'R';
}

uint32_t t_map_cnt(void)
{
    char line[1024];
    char part[64];
    FILE *maps = fopen("/proc/self/maps", "r");
    uint32_t cnt = 0;

    (void)snprintf(part, sizeof(part), "shmq.%s.", t_ns);
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        cnt += strstr(line, part) != NULL;
    if (maps != NULL)
        (void)fclose(maps);
    return cnt;
}
