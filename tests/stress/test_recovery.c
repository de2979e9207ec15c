/* test_recovery.c - how long the record of a killed member is out of reach.
 *
 * A member of a shared group receives a record and is killed with it in hand,
 * while another member waits. It has held the record for some ms, or for
 * longer: whoever waits looks less often then. Measured, without any daemon:
 *   proof     from the kernel's proof of death, seen by a parent that sleeps
 *             in waitid(2) and therefore some 10 us late, to the delivery
 *   kill      from just before kill(2) to the delivery; the victim has that
 *             much private memory mapped and touched in 4 KiB pages, which the
 *             kernel takes apart before it lets go of the victim's locks
 *     stress_recovery [--kills N] [--mib N] [--strict]
 * Without options: a short run. The full run: --kills 200 --strict. --strict
 * makes missed figures a failure: it needs a core that is free. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/proc.h"
#include "support/support.h"

#define KILL_MAX 10000u
#define GOAL_NS T_MS

struct shared {
    _Atomic uint64_t held; /* record in the victim's hand, plus one */
    _Atomic uint64_t wanted; /* the survivor receives up to this one */
    _Atomic uint64_t got; /* last record the survivor has had, plus one */
    _Atomic uint64_t got_ns; /* when it came */
    _Atomic uint64_t unflagged; /* returned records without the flag */
};

struct sample {
    uint64_t proof_ns, kill_ns, death_ns;
};

static struct shared *shared;
static struct sample samples[KILL_MAX];

static struct shmq_consumer *join(struct shmq_topic *topic)
{
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .group = "workers",
        .attrs = {.kind = SHMQ_GROUP_SHARED}};
    struct shmq_consumer *consumer = NULL;
    T_OK(shmq_consumer_open(topic, &options, &consumer));
    return consumer;
}

static uint64_t number_of(const struct shmq_message *msg)
{
    uint64_t number = 0;
    T_EQ(msg->size, sizeof(number));
    memcpy(&number, msg->data, sizeof(number));
    return number;
}

static int survivor(void *ctx)
{
    struct shmq_consumer *consumer = join(t_open("recovery"));
    struct shmq_message msg;
    (void)ctx;
    t_tell(0);
    for (;;) {
        while (atomic_load(&shared->wanted) <= atomic_load(&shared->got))
            t_pause();
        T_OK(shmq_consumer_receive_wait(
            consumer, shmq_deadline(T_PATIENCE), &msg));
        atomic_store(&shared->got_ns, t_now_ns());
        if ((msg.flags & SHMQ_MESSAGE_REDELIVERED) == 0)
            atomic_fetch_add(&shared->unflagged, 1);
        atomic_store(&shared->got, number_of(&msg) + 1);
        T_OK(shmq_consumer_release(consumer, &msg));
    }
    return 0;
}

static void touch(uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_TRUE(at != MAP_FAILED);
    madvise(at, bytes, MADV_NOHUGEPAGE);
    for (uint64_t i = 0; i < bytes; i += 4096)
        ((volatile char *)at)[i] = 1;
}

static int victim(void *ctx)
{
    const uint64_t *mib = ctx;
    struct shmq_consumer *consumer = join(t_open("recovery"));
    struct shmq_message msg;
    touch(*mib << 20);
    t_tell(0);
    T_OK(shmq_consumer_receive_wait(consumer, shmq_deadline(T_PATIENCE), &msg));
    atomic_store(&shared->held, number_of(&msg) + 1);
    t_wait_for_death();
}

static void kill_one(struct shmq_producer *producer, uint64_t number,
    uint64_t mib, uint64_t hold_ns, struct sample *ret)
{
    struct t_proc proc;
    siginfo_t info;
    uint64_t ready;
    t_spawn(&proc, victim, &mib);
    T_TRUE(t_recv_maybe(&proc, 5 * T_PATIENCE, &ready));
    t_publish(producer, number, sizeof(number));
    T_EVENTUALLY(atomic_load(&shared->held) == number + 1);
    atomic_store(&shared->wanted, number + 1);
    t_sleep_ns(hold_ns);

    uint64_t kill_ns = t_now_ns();
    T_EQ(kill(proc.pid, SIGKILL), 0);
    while (waitid(P_PID, (id_t)proc.pid, &info, WEXITED | WNOWAIT) != 0)
        T_EQ(errno, EINTR);
    uint64_t proof_ns = t_now_ns();
    T_EVENTUALLY(atomic_load(&shared->got) == number + 1);
    uint64_t got_ns = atomic_load(&shared->got_ns);
    ret->death_ns = proof_ns - kill_ns;
    ret->kill_ns = got_ns - kill_ns;
    ret->proof_ns = got_ns > proof_ns ? got_ns - proof_ns : 0;
    t_bury(&proc);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Prints p50, p99 and the largest; returns p99. */
static uint64_t print_figures(const char *name, uint32_t cnt, size_t field)
{
    static uint64_t values[KILL_MAX];
    for (uint32_t i = 0; i < cnt; i++)
        values[i] = *(
            const uint64_t *)(const void *)((const char *)&samples[i] + field);
    qsort(values, cnt, sizeof(values[0]), by_value);
    uint64_t p99 = values[(uint64_t)(cnt - 1) * 99 / 100];
    printf(" %s_us p50=%.1f p99=%.1f max=%.1f", name,
        (double)values[cnt / 2] / 1e3, (double)p99 / 1e3,
        (double)values[cnt - 1] / 1e3);
    return p99;
}

static bool measure(struct shmq_producer *producer, uint64_t *number,
    uint64_t mib, uint64_t hold_ms, uint32_t kills)
{
    uint64_t random = t_seed();
    for (uint32_t i = 0; i < kills; i++) {
        uint64_t hold_ns = hold_ms * T_MS + t_below(&random, 20 * T_MS);
        kill_one(producer, (*number)++, mib, hold_ns, &samples[i]);
    }
    printf("RECOVERY touched_mib=%" PRIu64 " held_ms=%" PRIu64 " kills=%u", mib,
        hold_ms, kills);
    uint64_t proof =
        print_figures("proof", kills, offsetof(struct sample, proof_ns));
    uint64_t death =
        print_figures("kill", kills, offsetof(struct sample, kill_ns));
    print_figures("death", kills, offsetof(struct sample, death_ns));
    bool good = proof <= GOAL_NS && (mib > 4 || death <= GOAL_NS);
    printf(" %s\n", good ? "PASS" : "MISSED");
    fflush(stdout);
    return good;
}

static int run(uint32_t kills, uint64_t only_mib, bool strict)
{
    static const uint64_t mibs[] = {4, 4, 64, 1024};
    static const uint64_t holds_ms[] = {2, 150, 2, 2};
    struct t_proc other;
    uint64_t number = 0;
    bool good = true;
    shared = t_shared_memory(sizeof(*shared));
    struct shmq_topic *topic = t_topic("recovery", NULL);
    struct shmq_producer *producer = t_producer(topic);
    t_spawn(&other, survivor, NULL);
    t_recv(&other);
    for (size_t i = 0; i < sizeof(mibs) / sizeof(mibs[0]); i++) {
        uint32_t cnt = !strict && mibs[i] > 64 ? (kills + 9) / 10 : kills;
        if (only_mib == 0 || only_mib == mibs[i])
            good &= measure(producer, &number, mibs[i], holds_ms[i], cnt);
    }
    T_EQ(atomic_load(&shared->unflagged), 0);
    t_kill(&other);
    t_bury(&other);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return good || !strict ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint32_t kills = 50;
    uint64_t mib = 0;
    bool strict = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--strict") == 0) {
            strict = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--kills") == 0) {
            kills = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (i + 1 < argc && strcmp(argv[i], "--mib") == 0) {
            mib = strtoull(argv[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--kills N] [--mib N] [--strict]\n",
                argv[0]);
            return 2;
        }
    }
    if (kills == 0 || kills > KILL_MAX)
        return 2;
    t_begin();
    alarm(60 + kills * 3);
    int rc = run(kills, mib, strict);
    t_end();
    return rc;
}
