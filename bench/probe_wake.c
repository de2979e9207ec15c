/* probe_wake.c - a wake that got lost: the publisher is killed, or stopped for
 * ever, between publishing and waking the sleeper. It is traced and caught at
 * the entry of the system call that would wake. Party 0 conducts, party 1 is
 * the sleeper; publishers are children of party 0. */
#define _GNU_SOURCE
#include "probe.h"
#include "transports/ours.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_GET_SYSCALL_INFO
#define PTRACE_GET_SYSCALL_INFO 0x420e
#endif

enum word { /* of world->words */
    ASLEEP = 0, /* sleeper: about to sleep for record n */
    ARRIVED = 8, /* sleeper: has record n */
    WHEN = 16 /* sleeper: ticks of that */
};
#define PATIENCE_NS UINT64_C(5000000000)
#define STEPS_MAX 1000 /* system calls of one publish */

struct plan {
    struct lab_channel channel;
    uint32_t cnt;
};

/* From linux/ptrace.h, which clashes with sys/ptrace.h in older systems. */
struct syscall_info {
    uint8_t op; /* 1: entry */
    uint8_t pad[3];
    uint32_t arch;
    uint64_t instruction_pointer, stack_pointer;
    uint64_t nr;
    uint64_t args[6];
    uint64_t rest[2];
};

static void publisher(struct lab_party *party, uint64_t n, pid_t parent)
{
    struct plan *plan = party->arg;
    struct lab_end tx = {.channel = &plan->channel, .role = LAB_SENDER};

    lab_die_with(parent);
    if (lab_ours_open(&tx) || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        _exit(1);
    raise(SIGSTOP);
    shmq_producer_publish(tx.handle, &n, sizeof(n), NULL);
    _exit(0);
}

static int is_wake(const struct syscall_info *info)
{
    uint64_t operation = info->args[1] & 0x7f;

    /* Not FUTEX_WAIT and FUTEX_WAIT_BITSET. */
    return info->op == 1 && info->nr == SYS_futex && operation != 0 &&
        operation != 9;
}

enum caught { FAILED, NO_WAKE, CAUGHT };

static enum caught run_to_the_wake(pid_t pid)
{
    int status = 0;

    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD))
        return FAILED;
    for (int i = 0; i < STEPS_MAX; i++) {
        struct syscall_info info = {.op = 0};

        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) ||
            waitpid(pid, &status, 0) != pid)
            return FAILED;
        if (WIFEXITED(status))
            return NO_WAKE;
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <=
            0)
            return FAILED;
        if (is_wake(&info))
            return CAUGHT;
    }
    return NO_WAKE;
}

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

/* Record number `n`; 1 when its wake was lost, 0 when none was made (the
 * sleeper had just looked by itself), -1 when it went wrong. */
static int lose_one(struct lab_party *party, uint64_t n, uint64_t *ret_late)
{
    uint64_t caught_at, arrived;
    pid_t conductor = getpid(), pid;
    enum caught caught;
    int late;

    if (await(party, ASLEEP, n))
        return lab_party_fail(party, "lost wake", "the sleeper was late");
    usleep(3000); /* now it is asleep */
    pid = fork();
    if (pid == 0)
        publisher(party, n, conductor);
    if (pid < 0)
        return lab_party_fail(party, "lost wake", "no fork");
    caught = run_to_the_wake(pid);
    caught_at = lab_ticks();
    if (n % 2 == 0) /* the others stay stopped at their system call */
        kill(pid, SIGKILL);
    late = caught == FAILED ? 0 : await(party, ARRIVED, n);
    arrived = atomic_load(&party->world->words[WHEN]);
    *ret_late = arrived > caught_at ? arrived - caught_at : 0;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (caught == FAILED)
        return lab_party_fail(party, "ptrace", "a child cannot be traced");
    if (late)
        return lab_party_fail(party, "lost wake", "nothing arrived within 5 s");
    return caught == CAUGHT;
}

static int conduct(struct lab_party *party)
{
    struct plan *plan = party->arg;
    uint64_t longest = 0, late = 0, n = 0;
    uint32_t lost = 0;

    while (lost < plan->cnt && n < plan->cnt * UINT64_C(4)) {
        int rc = lose_one(party, ++n, &late);

        if (rc < 0)
            return -1;
        lost += (uint32_t)rc;
        if (rc && late > longest)
            longest = late;
    }
    party->report->sum = longest;
    party->report->cnt = lost;
    atomic_store(&party->world->stop, 1);
    return lost ? 0 : lab_party_fail(party, "lost wake", "no wake was made");
}

static int sleeper(struct lab_party *party)
{
    struct plan *plan = party->arg;
    struct lab_end rx = {.channel = &plan->channel, .role = LAB_RECEIVER};
    _Atomic uint64_t *words = party->world->words;

    if (lab_ours_open(&rx))
        return lab_party_fail(party, "consumer", rx.error);
    lab_party_ready(party);
    for (uint64_t n = 1; !atomic_load(&party->world->stop); n++) {
        struct shmq_message msg;
        int rc;

        atomic_store(&words[ASLEEP], n);
        do {
            rc = shmq_consumer_receive_wait(
                rx.handle, shmq_deadline(PATIENCE_NS / 20), &msg);
        } while (rc == SHMQ_ERR_TIMEOUT && !atomic_load(&party->world->stop));
        if (rc == SHMQ_ERR_TIMEOUT)
            break;
        if (rc)
            return lab_party_fail(party, "sleeper", shmq_err_name(rc));
        atomic_store(&words[WHEN], lab_ticks());
        atomic_store(&words[ARRIVED], n);
        shmq_consumer_release(rx.handle, &msg);
    }
    lab_ours_close(&rx);
    return 0;
}

static int run(struct lab_party *party)
{
    if (party->idx == 1)
        return sleeper(party);
    lab_party_ready(party);
    return conduct(party);
}

int lab_probe_lost_wake(
    uint32_t ring, uint32_t cnt, struct lab_lost_wake *ret, char *error)
{
    struct plan plan = {.cnt = cnt,
        .channel = {.size = 64, .batch = 1, .flags = LAB_CHANNEL_SLEEP}};
    struct lab_party parties[2] = {
        {.run = run, .arg = &plan}, {.run = run, .arg = &plan}};
    struct lab_world *world = lab_world_get();
    static unsigned int serial;
    int rc;

    snprintf(plan.channel.name, sizeof(plan.channel.name), "wake-%ld-%u",
        (long)getpid(), serial++);
    if (!world || lab_ours_create(&plan.channel, ring, SHMQ_GROUP_EXCLUSIVE)) {
        snprintf(error, 192, "%s", plan.channel.error);
        return -1;
    }
    rc = lab_world_run(world, parties, 2, 0, error);
    lab_ours_destroy(&plan.channel);
    ret->cnt = (uint32_t)world->reports[0].cnt;
    ret->longest_ns = lab_ticks_ns(world->reports[0].sum);
    return rc;
}
