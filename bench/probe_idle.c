/* probe_idle.c - what a waiting consumer and a default topic cost. */
#define _GNU_SOURCE
#include "probe.h"
#include "transports/ours.h"

#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct idle {
    struct lab_channel channel;
    uint64_t ns;
};

static uint64_t cpu_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Default options: it spins for a moment, then sleeps. */
static int idle_party(struct lab_party *party)
{
    struct idle *idle = party->arg;
    struct lab_end rx = {.channel = &idle->channel, .role = LAB_RECEIVER};
    struct shmq_message msg;
    uint64_t cpu;
    int rc;

    if (lab_ours_open(&rx))
        return lab_party_fail(party, "consumer", rx.error);
    lab_party_ready(party);
    cpu = cpu_now();
    rc = shmq_consumer_receive_wait(rx.handle, shmq_deadline(idle->ns), &msg);
    party->report->cpu_ns = cpu_now() - cpu;
    lab_ours_close(&rx);
    if (rc == SHMQ_ERR_TIMEOUT)
        return 0;
    return lab_party_fail(party, "receive", shmq_err_name(rc));
}

static int floor_party(struct lab_party *party)
{
    uint64_t end = lab_now_ns() + *(const uint64_t *)party->arg;
    struct timespec nap = {.tv_nsec = 40000000};
    uint32_t word = 0;
    uint64_t cpu;

    lab_party_ready(party);
    cpu = cpu_now();
    while (lab_now_ns() < end)
        syscall(SYS_futex, &word, FUTEX_WAIT, 0, &nap, NULL, 0);
    party->report->cpu_ns = cpu_now() - cpu;
    return 0;
}

int lab_probe_idle_floor(uint64_t ns, double *ret_share, char *error)
{
    struct lab_party party = {.run = floor_party, .arg = &ns};
    struct lab_world *world = lab_world_get();

    if (!world || lab_world_run(world, &party, 1, 0, error))
        return -1;
    *ret_share = (double)world->reports[0].cpu_ns / (double)ns;
    return 0;
}

static int create(struct lab_channel *channel, uint32_t ring, char *error)
{
    static unsigned int serial;

    snprintf(channel->name, sizeof(channel->name), "idle-%ld-%u",
        (long)getpid(), serial++);
    channel->size = 64;
    channel->batch = 1;
    if (lab_ours_create(channel, ring, SHMQ_GROUP_EXCLUSIVE) == 0)
        return 0;
    snprintf(error, 192, "%s", channel->error);
    return -1;
}

int lab_probe_idle(uint64_t ns, uint32_t ring, double *ret_share, char *error)
{
    struct idle idle = {.ns = ns};
    struct lab_party party = {.run = idle_party, .arg = &idle};
    struct lab_world *world = lab_world_get();
    int rc;

    if (!world || create(&idle.channel, ring, error))
        return -1;
    rc = lab_world_run(world, &party, 1, 0, error);
    lab_ours_destroy(&idle.channel);
    if (rc == 0)
        *ret_share = (double)world->reports[0].cpu_ns / (double)ns;
    return rc;
}

int lab_probe_footprint(uint32_t ring, uint64_t *ret_bytes, char *error)
{
    struct lab_channel channel = {0};
    struct lab_end tx = {.channel = &channel, .role = LAB_SENDER};
    struct lab_end rx = {.channel = &channel, .role = LAB_RECEIVER};
    int rc = -1;

    if (create(&channel, ring, error))
        return -1;
    if (lab_ours_open(&tx) == 0) {
        if (lab_ours_open(&rx) == 0) {
            *ret_bytes = lab_ours_footprint(&channel);
            lab_ours_close(&rx);
            rc = 0;
        }
        lab_ours_close(&tx);
    }
    if (rc)
        snprintf(error, 192, "%.90s%.90s", tx.error, rx.error);
    lab_ours_destroy(&channel);
    return rc;
}
