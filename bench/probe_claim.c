/* probe_claim.c - recovery: a killed member's record goes to another member,
 * a killed producer's role to the next producer. Party 0 conducts and kills,
 * party 1 is the survivor; victims are children of party 0, on its core. */
#define _GNU_SOURCE
#include "probe.h"
#include "transports/ours.h"
#include "victim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum word { /* of world->words */
    ROUND = 0, /* conductor: number of the kill, DONE at the end */
    HOLDS = 8, /* victim: has what the survivor wants, in this round */
    WAITS = 16, /* survivor: about to wait, in this round */
    ARRIVED = 24 /* survivor: ticks of the delivery; 0 before */
};
#define DONE UINT64_MAX
#define PATIENCE_NS UINT64_C(5000000000)

struct plan {
    struct lab_channel channel;
    uint64_t touched_bytes;
    uint32_t cnt;
    uint32_t takeover; /* 0: claims of a member, 1: role of a producer */
};

/* Waits for a word, asleep most of the time; 0 or -1 when time is up. */
static int await(struct lab_party *party, enum word word, uint64_t value)
{
    uint64_t end = lab_now_ns() + PATIENCE_NS;

    while (atomic_load(&party->world->words[word]) != value) {
        if (lab_now_ns() > end || lab_party_lost(party->world))
            return -1;
        usleep(50);
    }
    return 0;
}

/* --- the victim ---------------------------------------------------------- */

static void victim(struct lab_party *party, uint64_t round, pid_t parent)
{
    struct plan *plan = party->arg;
    struct lab_end end = {.channel = &plan->channel,
        .role = plan->takeover ? LAB_SENDER : LAB_RECEIVER};
    struct shmq_message msg;
    uint64_t word = round;
    int rc;

    lab_die_with(parent);
    rc = lab_victim_touch(plan->touched_bytes);
    if (rc == 0)
        rc = lab_ours_open(&end);
    if (rc == 0 && plan->takeover)
        rc = shmq_producer_publish(end.handle, &word, sizeof(word), NULL);
    else if (rc == 0)
        rc = shmq_consumer_receive_wait(
            end.handle, shmq_deadline(PATIENCE_NS), &msg);
    if (rc == 0)
        atomic_store(&party->world->words[HOLDS], round);
    for (;;)
        pause();
}

/* --- the conductor ------------------------------------------------------- */

static int one_kill(struct lab_party *party, uint64_t round, uint64_t *ret_kill,
    uint64_t *ret_proof)
{
    _Atomic uint64_t *words = party->world->words;
    pid_t conductor = getpid(), pid = fork();

    if (pid == 0)
        victim(party, round, conductor);
    if (pid < 0)
        return -1;
    if (await(party, HOLDS, round)) {
        lab_victim_kill(pid, ret_kill, ret_proof);
        return -1;
    }
    atomic_store(&words[ROUND], round);
    if (await(party, WAITS, round)) {
        lab_victim_kill(pid, ret_kill, ret_proof);
        return -1;
    }
    usleep(3000); /* the survivor sleeps by now */
    return lab_victim_kill(pid, ret_kill, ret_proof);
}

static int await_arrival(struct lab_party *party, uint64_t *ret)
{
    uint64_t end = lab_now_ns() + PATIENCE_NS;

    while ((*ret = atomic_load(&party->world->words[ARRIVED])) == 0) {
        if (lab_now_ns() > end)
            return -1;
        usleep(50);
    }
    atomic_store(&party->world->words[ARRIVED], 0);
    return 0;
}

static int conduct(struct lab_party *party, struct lab_claim_times *times)
{
    struct plan *plan = party->arg;
    struct lab_end tx = {.channel = &plan->channel, .role = LAB_SENDER};

    if (!plan->takeover && lab_ours_open(&tx))
        return lab_party_fail(party, "producer", tx.error);
    for (uint32_t i = 0; i < plan->cnt; i++) {
        uint64_t kill_at = 0, proof = 0, arrived = 0, word = i + 1;

        if (!plan->takeover &&
            shmq_producer_publish(tx.handle, &word, sizeof(word), NULL))
            return lab_party_fail(party, "publish", shmq_error_text());
        if (one_kill(party, i + 1, &kill_at, &proof))
            return lab_party_fail(party, "kill", "a party was late");
        if (await_arrival(party, &arrived))
            return lab_party_fail(
                party, "recovery", "nothing arrived within 5 s");
        times->from_kill_ns[i] = lab_ticks_ns(arrived - kill_at);
        times->from_proof_ns[i] =
            arrived > proof ? lab_ticks_ns(arrived - proof) : 0.0;
        times->cnt = i + 1;
    }
    if (!plan->takeover)
        lab_ours_close(&tx);
    return 0;
}

/* --- the survivor -------------------------------------------------------- */

/* Next record, which the victim held; its time into `arrived`. */
static int survive_claim(struct lab_party *party, struct lab_end *rx)
{
    struct shmq_message msg;
    int rc = shmq_consumer_receive_wait(
        rx->handle, shmq_deadline(PATIENCE_NS), &msg);

    if (rc)
        return lab_party_fail(party, "survivor", shmq_err_name(rc));
    atomic_store(&party->world->words[ARRIVED], lab_ticks());
    shmq_consumer_release(rx->handle, &msg);
    return 0;
}

/* Becomes the producer as soon as it can; the record is received here too. */
static int survive_takeover(struct lab_party *party, struct lab_end *rx)
{
    struct plan *plan = party->arg;
    struct lab_end tx = {.channel = &plan->channel, .role = LAB_SENDER};
    struct shmq_message msg;
    uint64_t word = 1, end = lab_now_ns() + PATIENCE_NS;
    int rc;

    while (shmq_consumer_receive(rx->handle, &msg) == 0) /* the victim's */
        shmq_consumer_release(rx->handle, &msg);
    while (lab_ours_open(&tx)) {
        if (lab_now_ns() > end)
            return lab_party_fail(party, "takeover", tx.error);
        usleep(50);
    }
    rc = shmq_producer_publish(tx.handle, &word, sizeof(word), NULL);
    if (rc == 0)
        rc = shmq_consumer_receive_wait(
            rx->handle, shmq_deadline(PATIENCE_NS), &msg);
    if (rc)
        return lab_party_fail(party, "takeover", shmq_err_name(rc));
    shmq_producer_close(tx.handle);
    atomic_store(&party->world->words[ARRIVED], lab_ticks());
    shmq_consumer_release(rx->handle, &msg);
    return 0;
}

static int survive(struct lab_party *party)
{
    struct plan *plan = party->arg;
    struct lab_end rx = {.channel = &plan->channel, .role = LAB_RECEIVER};
    _Atomic uint64_t *words = party->world->words;
    int rc = 0;

    if (lab_ours_open(&rx))
        return lab_party_fail(party, "consumer", rx.error);
    lab_party_ready(party);
    for (uint64_t round = 1; rc == 0; round++) {
        uint64_t now;

        while ((now = atomic_load(&words[ROUND])) != round && now != DONE)
            usleep(50);
        if (now == DONE)
            break;
        atomic_store(&words[WAITS], round);
        rc = plan->takeover ? survive_takeover(party, &rx)
                            : survive_claim(party, &rx);
    }
    lab_ours_close(&rx);
    return rc;
}

/* -------------------------------------------------------------------------- */

/* Lies in the shared world, over the histogram that nobody needs here. */
static struct lab_claim_times *times_of(struct lab_world *world)
{
    _Static_assert(sizeof(struct lab_claim_times) <= sizeof(struct lab_hist),
        "the times fit");
    return (struct lab_claim_times *)(void *)&world->reports[0].hist;
}

static int run(struct lab_party *party)
{
    int rc;

    if (party->idx == 1)
        return survive(party);
    lab_party_ready(party);
    times_of(party->world)->cnt = 0;
    rc = conduct(party, times_of(party->world));
    atomic_store(&party->world->words[ROUND], DONE);
    return rc;
}

static int probe(struct plan *plan, struct lab_claim_times *ret, char *error)
{
    struct lab_party parties[2] = {
        {.run = run, .arg = plan}, {.run = run, .arg = plan}};
    struct lab_world *world = lab_world_get();
    static unsigned int serial;
    int rc;

    snprintf(plan->channel.name, sizeof(plan->channel.name), "kill-%ld-%u",
        (long)getpid(), serial++);
    plan->channel.size = 64;
    plan->channel.batch = 1;
    if (!world ||
        lab_ours_create(&plan->channel,
            plan->takeover ? SHMQ_RING_SPSC : SHMQ_RING_MPMC,
            plan->takeover ? SHMQ_GROUP_EXCLUSIVE : SHMQ_GROUP_SHARED)) {
        snprintf(error, 192, "%s", plan->channel.error);
        return -1;
    }
    rc = lab_world_run(world, parties, 2, 0, error);
    lab_ours_destroy(&plan->channel);
    if (rc == 0)
        memcpy(ret, times_of(world), sizeof(*ret));
    return rc;
}

int lab_probe_claim(uint64_t touched_bytes, uint32_t cnt,
    struct lab_claim_times *ret, char *error)
{
    struct plan plan = {.touched_bytes = touched_bytes, .cnt = cnt};

    return probe(&plan, ret, error);
}

int lab_probe_takeover(uint64_t touched_bytes, uint32_t cnt,
    struct lab_claim_times *ret, char *error)
{
    struct plan plan = {
        .touched_bytes = touched_bytes, .cnt = cnt, .takeover = 1};

    return probe(&plan, ret, error);
}
