/* bridge_world.c - starting and ending the processes of the bridge's
 * measurements. */
#define _GNU_SOURCE
#include "bridge_world.h"

#ifdef SHMQ_HAVE_ZMQ
#include "bridge_probe.h"
#include "world.h"

#include <shmq.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define PATIENCE_S 10.0
#define HWM 100000
#define ERROR_ROOM 160

static const char *program(void)
{
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);

    if (n <= 0)
        return NULL;
    path[n] = '\0';
    strcat(dirname(path), "/shmq-bridge");
    return access(path, X_OK) == 0 ? path : NULL;
}

const char *lab_bridge_missing(void)
{
    return program() ? NULL : "shmq-bridge is not built";
}

double lab_bridge_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void lab_bridge_sleep(double seconds)
{
    struct timespec t = {
        (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&t, NULL);
}

static int fail(char *error, const char *what)
{
    snprintf(error, ERROR_ROOM, "%s: %s", what, strerror(errno));
    return -1;
}

static int free_port(void)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        port = ntohs(addr.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static int write_file(
    const char *dir, const char *name, mode_t mode, const char *text)
{
    char path[128];
    int fd, ok;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok ? 0 : -1;
}

static int make_keys(struct lab_bridge_run *run, char *error)
{
    struct lab_bridge_keys *k = &run->keys;
    char rules[160];

    strcpy(run->dir, "/tmp/shmq-bench-XXXXXX");
    if (!mkdtemp(run->dir)) {
        run->dir[0] = '\0';
        return fail(error, "mkdtemp");
    }
    if (zmq_curve_keypair(k->server_public, k->server_secret) ||
        zmq_curve_keypair(k->client_public, k->client_secret))
        return fail(error, "keys");
    snprintf(rules, sizeof(rules),
        "key %s bench\nallow bench publish,consume,admin *\n",
        k->client_public);
    if (write_file(run->dir, "key", 0600, k->server_secret) ||
        write_file(run->dir, "access", 0600, rules))
        return fail(error, run->dir);
    return 0;
}

static int make_topic(uint32_t size, char *error)
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs)};
    int rc;

    attrs.max_message_bytes = size < 65536 ? 65536 : size;
    attrs.arena_bytes = UINT64_C(4) << 20;
    (void)shmq_topic_unlink(LAB_BRIDGE_NS, LAB_BRIDGE_TOPIC, SHMQ_UNLINK_FORCE);
    rc = shmq_topic_create(LAB_BRIDGE_NS, LAB_BRIDGE_TOPIC, &attrs);
    if (rc == SHMQ_OK)
        return 0;
    snprintf(error, ERROR_ROOM, "topic: %.120s", shmq_error_text());
    return -1;
}

int lab_bridge_begin(
    struct lab_bridge_run *run, uint32_t size, uint32_t flags, char *error)
{
    memset(run, 0, sizeof(*run));
    run->size = size;
    run->flags = flags;
    run->window = (UINT64_C(2) << 20) / size;
    run->window = run->window > 4096 ? 4096
        : run->window < 16           ? 16
                                     : run->window;
    run->shared = mmap(NULL, sizeof(*run->shared), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->shared == MAP_FAILED) {
        run->shared = NULL;
        return fail(error, "mmap");
    }
    for (int i = 0; i < 2; i++)
        run->ports[i] = free_port();
    if (!run->ports[0] || !run->ports[1])
        return fail(error, "port");
    if ((flags & LAB_BRIDGE_CURVE) && make_keys(run, error))
        return -1;
    return make_topic(size, error);
}

static void exec_bridge(const struct lab_bridge_run *run)
{
    char router[64], feed[64], key[96], access_file[96];
    const char *argv[24] = {program(), "--namespace", LAB_BRIDGE_NS, "--router",
        router, "--pub", feed, "--pull", "none", "--feed-messages", "100000",
        "--feed-buffer", "1G", "--log-level", "error"};
    int n = 15;

    snprintf(router, sizeof(router), "tcp://127.0.0.1:%d", run->ports[0]);
    snprintf(feed, sizeof(feed), "tcp://127.0.0.1:%d", run->ports[1]);
    snprintf(key, sizeof(key), "%s/key", run->dir);
    snprintf(access_file, sizeof(access_file), "%s/access", run->dir);
    if (run->flags & LAB_BRIDGE_CURVE) {
        argv[n++] = "--server-key-file";
        argv[n++] = key;
        argv[n++] = "--access";
        argv[n++] = access_file;
    }
    argv[n] = NULL;
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static pid_t add_child(struct lab_bridge_run *run, char *error)
{
    pid_t lab = getpid(), pid = fork();

    if (pid < 0)
        return fail(error, "fork");
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        lab_die_with(lab);
    } else {
        run->pids[run->pid_cnt++] = pid;
    }
    return pid;
}

int lab_bridge_start(struct lab_bridge_run *run, char *error)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)run->ports[1])};
    double end = lab_bridge_seconds() + PATIENCE_S;
    pid_t pid = add_child(run, error);

    if (pid < 0)
        return -1;
    if (pid == 0)
        exec_bridge(run);
    while (lab_bridge_seconds() < end) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));

        close(fd);
        if (rc == 0)
            return 0;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            break;
        lab_bridge_sleep(0.01);
    }
    snprintf(error, ERROR_ROOM, "shmq-bridge does not start");
    return -1;
}

int lab_bridge_fork(struct lab_bridge_run *run,
    void (*part)(struct lab_bridge_run *run), char *error)
{
    pid_t pid = add_child(run, error);

    if (pid == 0) {
        part(run);
        _exit(0);
    }
    return pid < 0 ? -1 : 0;
}

int lab_bridge_wait_ready(struct lab_bridge_run *run, uint32_t cnt, char *error)
{
    double end = lab_bridge_seconds() + PATIENCE_S;

    while (atomic_load(&run->shared->ready) < cnt) {
        if (atomic_load(&run->shared->stop) == 2) {
            snprintf(error, ERROR_ROOM, "%s", run->shared->error);
            return -1;
        }
        if (lab_bridge_seconds() > end) {
            snprintf(error, ERROR_ROOM, "a party does not get ready");
            return -1;
        }
        lab_bridge_sleep(0.001);
    }
    return 0;
}

void lab_bridge_end(struct lab_bridge_run *run)
{
    char path[128];

    for (uint32_t i = 0; i < run->pid_cnt; i++) {
        kill(run->pids[i], SIGKILL);
        while (waitpid(run->pids[i], NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (run->dir[0]) {
        snprintf(path, sizeof(path), "%s/key", run->dir);
        unlink(path);
        snprintf(path, sizeof(path), "%s/access", run->dir);
        unlink(path);
        rmdir(run->dir);
    }
    if (run->shared)
        munmap(run->shared, sizeof(*run->shared));
    (void)shmq_topic_unlink(LAB_BRIDGE_NS, LAB_BRIDGE_TOPIC, SHMQ_UNLINK_FORCE);
}

void lab_bridge_die(struct lab_bridge_run *run, const char *what)
{
    snprintf(run->shared->error, sizeof(run->shared->error), "%.60s: %.80s",
        what, zmq_strerror(zmq_errno()));
    atomic_store(&run->shared->stop, 2);
    _exit(1);
}

static void encrypt(struct lab_bridge_run *run, void *socket, int binds)
{
    const struct lab_bridge_keys *k = &run->keys;
    int yes = 1;

    if (binds) {
        zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof(yes));
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->server_secret, 41);
        return;
    }
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, k->server_public, 41);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, k->client_public, 41);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->client_secret, 41);
}

void *lab_bridge_socket(
    struct lab_bridge_run *run, void *context, int type, int idx, int binds)
{
    void *socket = zmq_socket(context, type);
    int hwm = HWM, patience = 100, linger = 0;
    char endpoint[64];

    if (!socket)
        lab_bridge_die(run, "socket");
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof(hwm));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof(hwm));
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &patience, sizeof(patience));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof(patience));
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    if (run->flags & LAB_BRIDGE_CURVE)
        encrypt(run, socket, binds);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%d", run->ports[idx]);
    if (binds ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint))
        lab_bridge_die(run, endpoint);
    return socket;
}

int lab_bridge_may_send(struct lab_bridge_run *run)
{
    struct lab_bridge_shared *s = run->shared;

    while (atomic_load_explicit(&s->sent, memory_order_relaxed) -
            atomic_load_explicit(&s->received, memory_order_relaxed) >=
        run->window) {
        if (atomic_load_explicit(&s->stop, memory_order_relaxed))
            return 0;
        lab_bridge_sleep(20e-6);
    }
    return !atomic_load_explicit(&s->stop, memory_order_relaxed);
}
#endif
