/* recovery.c - trials with victims. Three parties: a conductor, which forks
 * the victims and signals them; a receiver on a core of its own; a sender that
 * sends a burst, sleeps 50 us, and so on. The victim, a second sender or a
 * second receiver, works without pause on the conductor's core, so that the
 * signal finds it anywhere in its transport's code. */
#define _GNU_SOURCE
#include "recovery.h"

#include "measure.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH 4096u
#define BURST 64u
#define STALL_NS UINT64_C(500000000)
#define TRIAL_NS UINT64_C(3000000000)

enum word { /* of world->words */
    ARMED = 0, /* conductor: trial whose hold-up is wanted */
    READY = 4, /* victim: works, in this trial */
    QUIT = 8, /* conductor: victims up to this trial end */
    FINISHED = 12, /* receiver: has seen enough of this trial */
    LONGEST = 16, /* receiver: ticks, of the trial under way */
    LAST = 20 /* receiver: ticks of the newest delivery */
};

struct plan {
    struct lab_channel channel;
    enum lab_victim victim;
    uint32_t stop;
    uint32_t trials;
    struct lab_recovery *result; /* shared memory */
};

const char *lab_recovery_refusal(
    const struct lab_transport *t, enum lab_victim victim)
{
    uint32_t needs =
        victim == LAB_VICTIM_PRODUCER ? LAB_CAP_MANY_TX : LAB_CAP_MANY_RX;

    if (t->missing)
        return "not built in";
    if (t->batch > 1)
        return "a batch is no other ring";
    if (t->caps & LAB_CAP_THREADS)
        return "threads die together";
    if (!(t->caps & needs))
        return victim == LAB_VICTIM_PRODUCER ? "one sender only"
                                             : "one receiver only";
    return NULL;
}

/* --- the victim ------------------------------------------------------------
 */

static void victim(struct lab_party *party, uint64_t trial, pid_t parent)
{
    struct plan *plan = party->arg;
    const struct lab_transport *t = plan->channel.transport;
    _Atomic uint64_t *words = party->world->words;
    int sends = plan->victim == LAB_VICTIM_PRODUCER;
    struct lab_sink sink = {.size = plan->channel.size, .competing = 1};
    struct lab_source source;
    struct lab_end end;

    lab_die_with(parent);
    if (lab_source_open(&source, plan->channel.size, 0, 1) ||
        lab_end_open(
            party, &end, &plan->channel, sends ? LAB_SENDER : LAB_RECEIVER, 1))
        _exit(1);
    atomic_store(&words[READY], trial);
    while (atomic_load_explicit(&words[QUIT], memory_order_relaxed) < trial) {
        if (sends) {
            const void *src = lab_source_next(&source, 1);

            while (
                t->send(&end, src, 1) == 0 && atomic_load(&words[QUIT]) < trial)
                lab_relax();
        } else if (t->receive(&end, &sink, 64) == 0) {
            lab_relax();
        }
    }
    t->close(&end);
    _exit(0);
}

/* --- the conductor ----------------------------------------------------------
 */

static int await_ready(struct lab_party *party, uint64_t trial, pid_t pid)
{
    uint64_t end = lab_now_ns() + TRIAL_NS;

    while (atomic_load(&party->world->words[READY]) != trial) {
        if (lab_now_ns() > end || waitpid(pid, NULL, WNOHANG) == pid)
            return -1;
        usleep(50);
    }
    return 0;
}

/* Ends a victim that was stopped, not killed: it shall not die in the middle
 * of something after all. */
static void dismiss(struct lab_party *party, pid_t pid, uint64_t trial)
{
    atomic_store(&party->world->words[QUIT], trial);
    kill(pid, SIGCONT);
    for (int i = 0; i < 200; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        usleep(1000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Whether the receiver got enough; 0, or -1 for a stall. */
static int await_end(struct lab_party *party, uint64_t trial)
{
    _Atomic uint64_t *words = party->world->words;
    uint64_t begin = lab_ticks();

    while (atomic_load(&words[FINISHED]) != trial) {
        uint64_t last = atomic_load(&words[LAST]), now = lab_ticks();

        if (last < begin)
            last = begin;
        if (now > last && lab_ticks_ns(now - last) > (double)STALL_NS)
            return -1;
        if (lab_ticks_ns(now - begin) > (double)TRIAL_NS)
            return 0;
        usleep(200);
    }
    return 0;
}

static int one_trial(struct lab_party *party, uint64_t trial)
{
    struct plan *plan = party->arg;
    struct lab_recovery *result = plan->result;
    _Atomic uint64_t *words = party->world->words;
    pid_t conductor = getpid(), pid = fork();
    int stalled;

    if (pid == 0)
        victim(party, trial, conductor);
    if (pid < 0 || await_ready(party, trial, pid))
        return lab_party_fail(party, "victim", party->report->error);
    usleep(2000 + (useconds_t)(lab_ticks() / 64 % 3000));
    atomic_store(&words[ARMED], trial);
    kill(pid, plan->stop ? SIGSTOP : SIGKILL);
    stalled = await_end(party, trial);
    if (plan->stop)
        dismiss(party, pid, trial);
    else
        waitpid(pid, NULL, 0);
    if (stalled) {
        result->stalls++;
        return 1;
    }
    result->hold_ns[result->cnt++] = lab_ticks_ns(atomic_load(&words[LONGEST]));
    return 0;
}

static int conduct(struct lab_party *party)
{
    struct plan *plan = party->arg;
    uint64_t trial = 0;
    int rc = 0;

    lab_party_ready(party);
    while (rc == 0 && plan->result->cnt + plan->result->stalls < plan->trials)
        rc = one_trial(party, ++trial);
    if (rc >= 0)
        atomic_store(&party->world->stop, 1);
    return rc < 0 ? -1 : 0;
}

/* --- the survivors -----------------------------------------------------------
 */

static int over(const struct lab_world *world)
{
    return atomic_load_explicit(&world->stop, memory_order_relaxed) != 0;
}

static int send_bursts(struct lab_party *party)
{
    struct plan *plan = party->arg;
    const struct lab_transport *t = plan->channel.transport;
    struct lab_source source;
    struct lab_end end;

    if (lab_source_open(&source, plan->channel.size, 0, 0))
        return lab_party_fail(party, "messages", "out of memory");
    if (lab_end_open(party, &end, &plan->channel, LAB_SENDER, 0))
        return -1;
    lab_party_ready(party);
    while (!over(party->world)) {
        for (uint32_t i = 0; i < BURST && !over(party->world); i++) {
            const void *src = lab_source_next(&source, 1);

            while (t->send(&end, src, 1) == 0 && !over(party->world))
                usleep(50);
        }
        usleep(50);
    }
    t->close(&end);
    lab_source_close(&source);
    return 0;
}

struct watch {
    struct lab_party *party;
    uint64_t trial; /* under way; 0: none */
    uint64_t last, longest, cnt;
};

static void on_delivery(struct lab_sink *sink, uint64_t producer, uint64_t seq)
{
    struct watch *w = sink->ctx;
    struct plan *plan = w->party->arg;
    _Atomic uint64_t *words = w->party->world->words;
    uint64_t now = lab_ticks();

    (void)seq;
    if (plan->victim == LAB_VICTIM_PRODUCER && producer != 0)
        return; /* the victim's own do not count */
    atomic_store_explicit(&words[LAST], now, memory_order_relaxed);
    if (w->trial == 0)
        return;
    if (now - w->last > w->longest)
        w->longest = now - w->last;
    w->last = now;
    if (++w->cnt < 2 * DEPTH + BURST)
        return;
    atomic_store(&words[LONGEST], w->longest);
    atomic_store(&words[FINISHED], w->trial);
    w->trial = 0;
}

static int receive_on(struct lab_party *party)
{
    struct plan *plan = party->arg;
    const struct lab_transport *t = plan->channel.transport;
    struct watch w = {.party = party};
    struct lab_sink sink = {.size = plan->channel.size,
        .competing = 1,
        .on_message = on_delivery,
        .ctx = &w};
    uint64_t seen = 0;
    struct lab_end end;

    if (lab_end_open(party, &end, &plan->channel, LAB_RECEIVER, 0))
        return -1;
    lab_party_ready(party);
    while (!over(party->world)) {
        uint64_t armed = atomic_load_explicit(
            &party->world->words[ARMED], memory_order_acquire);

        if (armed != seen) {
            seen = w.trial = armed;
            w.last = lab_ticks();
            w.longest = w.cnt = 0;
        }
        if (t->receive(&end, &sink, 64) == LAB_FAILED)
            return lab_party_fail(party, "receive", end.error);
    }
    t->close(&end);
    return 0;
}

/* ---- all of it ---- */

static int run_channel(struct plan *plan, const struct lab_transport *t)
{
    struct lab_party parties[3] = {{.run = conduct, .arg = plan},
        {.run = receive_on, .arg = plan}, {.run = send_bursts, .arg = plan}};
    struct lab_world *world = lab_world_get();
    struct lab_channel *channel = &plan->channel;
    uint64_t timeout = lab_setup.timeout_ns;
    static unsigned int serial;
    int rc;

    memset(channel, 0, sizeof(*channel));
    channel->transport = t;
    snprintf(channel->name, sizeof(channel->name), "recovery-%ld-%u",
        (long)getpid(), serial++);
    channel->size = 64;
    channel->batch = 1;
    channel->depth = DEPTH;
    channel->senders = plan->victim == LAB_VICTIM_PRODUCER ? 2 : 1;
    channel->receivers = plan->victim == LAB_VICTIM_CONSUMER ? 2 : 1;
    channel->flags = plan->stop ? LAB_CHANNEL_LEASE : 0;
    channel->fds[0] = channel->fds[1] = -1;
    if (t->create(channel)) {
        snprintf(plan->result->error, sizeof(plan->result->error), "%s",
            channel->error);
        return -1;
    }
    lab_setup.timeout_ns = plan->trials * (TRIAL_NS + STALL_NS);
    rc = lab_world_run_loose(world, parties, 3, plan->result->error);
    lab_setup.timeout_ns = timeout;
    t->destroy(channel);
    return rc;
}

void lab_recovery_measure(const struct lab_transport *transport,
    enum lab_victim victim_kind, uint32_t stop, uint32_t trials,
    struct lab_recovery *ret)
{
    static struct plan plan;
    struct lab_channel shared = {0};

    memset(ret, 0, sizeof(*ret));
    if (trials > LAB_TRIALS_MAX)
        trials = LAB_TRIALS_MAX;
    if (lab_shared_create(&shared, sizeof(*ret)))
        return;
    memset(&plan, 0, sizeof(plan));
    plan.victim = victim_kind;
    plan.stop = stop;
    plan.trials = trials;
    plan.result = shared.shared;
    while (plan.result->cnt + plan.result->stalls < trials &&
        plan.result->stalls < 3) {
        if (run_channel(&plan, transport))
            break;
    }
    *ret = *plan.result;
    lab_shared_destroy(&shared);
}
