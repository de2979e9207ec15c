/* durable.c - what a publisher gets from a durable topic. */
#define _GNU_SOURCE
#include "durable.h"

#include "clock.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <shmq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define PATIENCE (10 * SECOND)
#define PROCESSES 64
#define ROUNDS 2000u

/* One publisher on a topic of its own. */
struct publisher {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
};

static int fail(char error[192], const char *what, int rc)
{
    snprintf(error, 192, "%s: %s: %.130s", what, shmq_err_name(rc),
        shmq_error_text());
    return -1;
}

static int make_topic(const struct lab_daemon *daemon, const char *name,
    uint32_t durability, uint64_t arena_bytes, char error[192])
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs),
        .durability = durability,
        .arena_bytes = arena_bytes};
    int rc = durability == SHMQ_DURABILITY_NONE
        ? shmq_topic_create(daemon->ns, name, &attrs)
        : shmq_topic_create_durable(daemon->ns, name, &attrs, NULL);

    return rc && rc != SHMQ_ERR_EXISTS ? fail(error, name, rc) : 0;
}

static int open_publisher(const struct lab_daemon *daemon, const char *name,
    struct publisher *ret, char error[192])
{
    int rc = shmq_topic_open(daemon->ns, name, &ret->topic);

    if (rc)
        return fail(error, name, rc);
    rc = shmq_producer_open(ret->topic, NULL, &ret->producer);
    if (rc) {
        shmq_topic_close(ret->topic);
        return fail(error, name, rc);
    }
    return 0;
}

static void close_publisher(struct publisher *publisher)
{
    shmq_producer_close(publisher->producer);
    shmq_topic_close(publisher->topic);
}

static int publish_durable(struct publisher *publisher, uint64_t *ret_pos)
{
    char data[64] = "durable";

    return shmq_producer_publish_level_wait(publisher->producer, data,
        sizeof(data), SHMQ_LEVEL_DURABLE, shmq_deadline(PATIENCE), ret_pos);
}

/* --- round trips ---------------------------------------------------------- */

#define BARE_BYTES (8u << 20)

static int bare_open(const struct lab_daemon *daemon, char error[192])
{
    static char block[1 << 16];
    char path[600];

    snprintf(path, sizeof(path), "%s/bare", daemon->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (uint32_t at = 0; fd >= 0 && at < BARE_BYTES; at += sizeof(block)) {
        if (pwrite(fd, block, sizeof(block), at) != (ssize_t)sizeof(block)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0 || fsync(fd)) {
        snprintf(error, 192, "%.120s: %s", path, strerror(errno));
        return -1;
    }
    return fd;
}

/* Both in turn, so that a disk of many moods treats both alike. */
int lab_durable_round_trip(
    struct lab_daemon *daemon, struct lab_round_trip *ret, char error[192])
{
    static double durable[ROUNDS], bare[ROUNDS];
    char block[4096];
    struct publisher publisher;
    uint32_t cnt = 0;
    int rc = 0, fd = bare_open(daemon, error);

    memset(block, 'b', sizeof(block));
    if (fd < 0 || make_topic(daemon, "trip", SHMQ_DURABILITY_DISK, 0, error) ||
        open_publisher(daemon, "trip", &publisher, error))
        return -1;
    uint64_t end_ns = lab_now_ns() + 2 * SECOND;
    while (!rc && cnt < ROUNDS && lab_now_ns() < end_ns) {
        uint64_t pos, t0 = lab_now_ns();
        rc = publish_durable(&publisher, &pos);
        uint64_t t1 = lab_now_ns();
        if (pwrite(fd, block, sizeof(block), (cnt * 4096) % BARE_BYTES) !=
                (ssize_t)sizeof(block) ||
            fdatasync(fd))
            rc = SHMQ_ERR_SYS;
        durable[cnt] = (double)(t1 - t0);
        bare[cnt++] = (double)(lab_now_ns() - t1);
    }
    close(fd);
    close_publisher(&publisher);
    if (rc)
        return fail(error, "round trip", rc);
    ret->durable_ns = lab_quantile(durable, cnt, 0.5);
    ret->bare_ns = lab_quantile(bare, cnt, 0.5);
    return 0;
}

/* --- rates ---------------------------------------------------------------- */

static int rate_of_one(
    struct publisher *publisher, double *ret, char error[192])
{
    uint64_t pos, cnt = 0, begin = lab_now_ns(), now;

    do {
        int rc = publish_durable(publisher, &pos);
        if (rc)
            return fail(error, "one publisher", rc);
        cnt++;
        now = lab_now_ns();
    } while (now - begin < SECOND);
    *ret = (double)cnt * 1e9 / (double)(now - begin);
    return 0;
}

static int rate_in_flight(
    struct publisher *publisher, double *ret, char error[192])
{
    uint64_t window[64] = {0}, cnt = 0, begin = lab_now_ns(), now;
    char data[64] = "in flight";

    do {
        uint64_t *oldest = &window[cnt % 64];
        int rc = 0;
        if (cnt >= 64)
            rc = shmq_producer_level_wait(publisher->producer, *oldest,
                SHMQ_LEVEL_DURABLE, shmq_deadline(PATIENCE));
        if (!rc)
            rc = shmq_producer_publish_wait(publisher->producer, data,
                sizeof(data), shmq_deadline(PATIENCE), oldest);
        if (rc)
            return fail(error, "64 in flight", rc);
        cnt++;
        now = lab_now_ns();
    } while (now - begin < SECOND);
    *ret = (double)(cnt - 64) * 1e9 / (double)(now - begin);
    return 0;
}

struct crowd {
    _Atomic uint32_t ready, go, failed;
    _Atomic uint64_t acked;
};

static void one_of_crowd(const struct lab_daemon *daemon, struct crowd *crowd)
{
    struct publisher publisher;
    char error[192];
    uint64_t pos, cnt = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (open_publisher(daemon, "rates", &publisher, error)) {
        crowd->failed++;
        _exit(1);
    }
    crowd->ready++;
    while (crowd->go == 0)
        usleep(1000);
    while (crowd->go == 1) {
        if (publish_durable(&publisher, &pos)) {
            crowd->failed++;
            break;
        }
        cnt++;
    }
    crowd->acked += cnt;
    close_publisher(&publisher);
    _exit(0);
}

static int rate_of_crowd(
    const struct lab_daemon *daemon, double *ret, char error[192])
{
    struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[PROCESSES];

    if (crowd == MAP_FAILED)
        return -1;
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            one_of_crowd(daemon, crowd);
        if (pids[i] < 0)
            crowd->failed++;
    }
    while (crowd->ready + crowd->failed < PROCESSES)
        usleep(1000);
    uint64_t begin = lab_now_ns();
    crowd->go = 1;
    usleep(1500000);
    crowd->go = 2;
    uint64_t took = lab_now_ns() - begin;
    for (int i = 0; i < PROCESSES; i++) {
        if (pids[i] > 0)
            waitpid(pids[i], NULL, 0);
    }
    uint32_t failed = crowd->failed;
    *ret = (double)crowd->acked * 1e9 / (double)took;
    munmap(crowd, sizeof(*crowd));
    if (failed) {
        snprintf(error, 192, "%u of 64 publishers failed", failed);
        return -1;
    }
    return 0;
}

int lab_durable_rates(
    struct lab_daemon *daemon, struct lab_durable_rates *ret, char error[192])
{
    struct publisher publisher;

    if (make_topic(daemon, "rates", SHMQ_DURABILITY_DISK, 0, error) ||
        open_publisher(daemon, "rates", &publisher, error))
        return -1;
    int rc = rate_of_one(&publisher, &ret->one, error);
    if (!rc)
        rc = rate_in_flight(&publisher, &ret->in_flight_64, error);
    close_publisher(&publisher);
    return rc ? rc : rate_of_crowd(daemon, &ret->processes_64, error);
}

/* --- what the drain costs a publisher ------------------------------------- */

#define SAMPLES 200000u
#define ARENA (16u << 20) /* a slow flush must not fill it */

/* The publisher has the first core; the daemon gets the others. */
static void part_cores(pid_t daemon)
{
    cpu_set_t all, first, others;

    if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < 2)
        return;
    CPU_ZERO(&first);
    others = all;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &first);
            CPU_CLR(cpu, &others);
            break;
        }
    }
    sched_setaffinity(0, sizeof(first), &first);
    sched_setaffinity(daemon, sizeof(others), &others);
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

/* As fast as the disk takes them, for a second: records a second. */
static int full_rate(struct publisher *publisher, double *ret, char error[192])
{
    char data[1024];
    uint64_t pos = 0, cnt = 0, begin = lab_now_ns();

    memset(data, 'f', sizeof(data));
    while (lab_now_ns() - begin < SECOND) {
        int rc = shmq_producer_publish_wait(publisher->producer, data,
            sizeof(data), shmq_deadline(PATIENCE), &pos);
        if (rc)
            return fail(error, "full rate", rc);
        cnt++;
    }
    int rc = shmq_producer_level_wait(
        publisher->producer, pos, SHMQ_LEVEL_DURABLE, shmq_deadline(PATIENCE));
    if (rc)
        return fail(error, "full rate", rc);
    *ret = (double)cnt * 1e9 / (double)(lab_now_ns() - begin);
    return 0;
}

/* At a steady rate for a second: p50 of a publish, processor time of one. The
 * time of the pacing itself is the same for both topics and is taken off by
 * measuring it alone. */
static int paced(struct publisher *publisher, double rate, double *ret_p50,
    double *ret_cpu, char error[192])
{
    static double samples[SAMPLES];
    char data[1024];
    uint32_t cnt = 0;
    double inside = 0;
    uint64_t pos, step = lab_ns_ticks((uint64_t)(1e9 / rate));
    uint64_t next = lab_ticks(), end_ns = lab_now_ns() + SECOND;

    memset(data, 'p', sizeof(data));
    while (cnt < SAMPLES && lab_now_ns() < end_ns) {
        while (lab_ticks() < next)
            lab_relax();
        next += step;
        uint64_t cpu = cnt % 64 == 0 ? cpu_ns() : 0;
        uint64_t t0 = lab_ticks();
        int rc = shmq_producer_publish_wait(publisher->producer, data,
            sizeof(data), shmq_deadline(PATIENCE), &pos);
        samples[cnt] = lab_ticks_ns(lab_ticks() - t0);
        if (cnt % 64 == 0)
            inside += (double)(cpu_ns() - cpu);
        cnt++;
        if (rc)
            return fail(error, "paced", rc);
    }
    *ret_p50 = lab_quantile(samples, cnt, 0.5);
    *ret_cpu = inside / ((cnt + 63) / 64);
    return 0;
}

int lab_durable_cost(
    struct lab_daemon *daemon, struct lab_durable_cost *ret, char error[192])
{
    struct publisher durable, memory;
    cpu_set_t all;
    int rc;

    if (make_topic(daemon, "cost", SHMQ_DURABILITY_DISK, ARENA, error) ||
        make_topic(daemon, "cost-memory", SHMQ_DURABILITY_NONE, ARENA, error) ||
        open_publisher(daemon, "cost", &durable, error))
        return -1;
    if (open_publisher(daemon, "cost-memory", &memory, error)) {
        close_publisher(&durable);
        return -1;
    }
    sched_getaffinity(0, sizeof(all), &all);
    part_cores(daemon->pid);
    rc = full_rate(&durable, &ret->rate, error);
    ret->rate /= 2;
    if (!rc)
        rc = paced(&durable, ret->rate, &ret->p50_ns, &ret->cpu_ns, error);
    if (!rc)
        rc = paced(&memory, ret->rate, &ret->memory_p50_ns, &ret->memory_cpu_ns,
            error);
    sched_setaffinity(0, sizeof(all), &all);
    sched_setaffinity(daemon->pid, sizeof(all), &all);
    close_publisher(&memory);
    close_publisher(&durable);
    return rc;
}
