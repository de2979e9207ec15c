/* probe_loan.c - does the size of a loan cost anything? */
#include "clock.h"
#include "probe.h"
#include "transports/ours.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LARGE (UINT64_C(4) << 20)
#define LOANS 4u /* a block; all of them fit the arena */
#define BLOCKS 4000u

struct ends {
    struct shmq_producer *producer;
    struct shmq_consumer *consumer;
};

static int loan_all(struct ends *e, uint64_t size, struct shmq_loan *loans)
{
    struct shmq_message msg;

    for (uint32_t i = 0; i < LOANS; i++) {
        int rc = SHMQ_ERR_FULL;

        /* An empty receive lets the group's floor catch up. */
        for (int tries = 0; rc == SHMQ_ERR_FULL && tries < 1000; tries++) {
            rc = shmq_producer_loan(e->producer, size, NULL, 0, &loans[i]);
            if (rc == SHMQ_ERR_FULL)
                shmq_consumer_receive(e->consumer, &msg);
        }
        if (rc)
            return rc;
    }
    return 0;
}

/* Only what the bar names is timed: commit, receive, release. */
static int one_block(struct ends *e, uint64_t size, struct lab_hist *hist)
{
    struct shmq_loan loans[LOANS];
    struct shmq_message msg;
    uint64_t t0, t1;
    int rc = loan_all(e, size, loans);

    t0 = lab_ticks();
    for (uint32_t i = 0; i < LOANS && rc == 0; i++) {
        rc = shmq_producer_commit(e->producer, &loans[i], size, NULL);
        if (rc == 0)
            rc = shmq_consumer_receive(e->consumer, &msg);
        if (rc == 0)
            rc = shmq_consumer_release(e->consumer, &msg);
    }
    t1 = lab_ticks();
    lab_hist_record(hist, t1 - t0);
    return rc;
}

static double per_loan(const struct lab_hist *hist)
{
    double ticks = lab_hist_quantile(hist, 0.5) - lab_clock.read_ticks;

    return ticks * lab_clock.ns_per_tick / LOANS;
}

static int measure(struct ends *e, struct lab_loan_cost *ret)
{
    static struct lab_hist small, large;

    lab_hist_reset(&small);
    lab_hist_reset(&large);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        int rc = one_block(e, 64, &small);

        if (rc == 0)
            rc = one_block(e, LARGE, &large);
        if (rc)
            return rc;
        if (i == BLOCKS / 10) {
            lab_hist_reset(&small);
            lab_hist_reset(&large);
        }
    }
    ret->small_ns = per_loan(&small);
    ret->large_ns = per_loan(&large);
    return 0;
}

static int run(struct lab_party *party)
{
    struct lab_channel *channel = party->arg;
    struct lab_end tx = {.channel = channel, .role = LAB_SENDER};
    struct lab_end rx = {.channel = channel, .role = LAB_RECEIVER};
    struct lab_loan_cost cost = {0};
    struct ends e;
    int rc;

    if (lab_ours_open(&tx))
        return lab_party_fail(party, "producer", tx.error);
    if (lab_ours_open(&rx))
        return lab_party_fail(party, "consumer", rx.error);
    e.producer = tx.handle;
    e.consumer = rx.handle;
    lab_party_ready(party);
    rc = measure(&e, &cost);
    if (rc)
        lab_party_fail(party, shmq_err_name(rc), shmq_error_text());
    memcpy(&party->report->sum, &cost.small_ns, sizeof(double));
    memcpy(&party->report->cnt, &cost.large_ns, sizeof(double));
    lab_ours_close(&rx);
    lab_ours_close(&tx);
    return rc ? -1 : 0;
}

int lab_probe_loan(struct lab_loan_cost *ret, char *error)
{
    struct lab_channel channel = {
        .size = (uint32_t)LARGE, .batch = 1, .arena_bytes = LARGE * 16};
    struct lab_party party = {.run = run, .arg = &channel};
    struct lab_world *world = lab_world_get();
    int rc;

    snprintf(channel.name, sizeof(channel.name), "loan-%ld", (long)getpid());
    if (!world ||
        lab_ours_create(&channel, SHMQ_RING_MPMC, SHMQ_GROUP_EXCLUSIVE)) {
        snprintf(error, 192, "%s", channel.error);
        return -1;
    }
    rc = lab_world_run(world, &party, 1, 0, error);
    lab_ours_destroy(&channel);
    if (rc)
        return -1;
    memcpy(&ret->small_ns, &world->reports[0].sum, sizeof(double));
    memcpy(&ret->large_ns, &world->reports[0].cnt, sizeof(double));
    return 0;
}
