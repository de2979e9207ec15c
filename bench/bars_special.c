/* bars_special.c - bars that are no race between two transports. */
#include "bars.h"
#include "lab.h"
#include "probe.h"

#include <shmq.h>

#include <string.h>

static void fail(struct lab_bar *bar, const char *error)
{
    snprintf(bar->failed, sizeof(bar->failed), "%s", error);
}

/* --- loans --------------------------------------------------------------- */

static struct lab_bar loan_bars[] = {
    {.name = "loan-4m",
        .what = "commit+receive+release of a 4 MiB loan / of 64 B",
        .sense = LAB_AT_MOST,
        .limit = 1.1,
        .unit = "ns"},
    {0}};

static void measure_loan(struct lab_bar *bars, uint32_t kills)
{
    struct lab_loan_cost cost;
    char error[192] = "";

    (void)kills;
    if (lab_probe_loan(&cost, error))
        fail(&bars[0], error);
    else
        lab_bar_add(&bars[0], cost.large_ns, cost.small_ns);
}

/* --- idle ---------------------------------------------------------------- */

static struct lab_bar idle_bars[] = {
    {.name = "idle-spsc",
        .what = "core share of an idle SPSC consumer / 0.1 %",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "of a core"},
    {.name = "idle-mpmc",
        .what = "core share of an idle MPMC consumer / 0.1 %",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "of a core"},
    {.name = "idle-floor",
        .what = "for scale: core share of 40 ms futex sleeps alone / 0.1 %",
        .sense = LAB_REPORT,
        .unit = "of a core"},
    {0}};

#define IDLE_NS UINT64_C(1500000000)

static void measure_idle(struct lab_bar *bars, uint32_t kills)
{
    static const uint32_t rings[2] = {SHMQ_RING_SPSC, SHMQ_RING_MPMC};

    char error[192] = "";
    double share;

    (void)kills;
    if (lab_probe_idle_floor(IDLE_NS, &share, error))
        fail(&bars[2], error);
    else
        lab_bar_add(&bars[2], share, 0.001);
    for (int i = 0; i < 2; i++) {
        if (lab_probe_idle(IDLE_NS, rings[i], &share, error))
            fail(&bars[i], error);
        else
            lab_bar_add(&bars[i], share, 0.001);
    }
}

/* --- footprint ----------------------------------------------------------- */

static struct lab_bar footprint_bars[] = {
    {.name = "footprint-spsc",
        .what = "/dev/shm of a default SPSC topic in use / 4 MiB",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "bytes"},
    {.name = "footprint-mpmc",
        .what = "/dev/shm of a default MPMC topic in use / 4 MiB",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "bytes"},
    {0}};

static void measure_footprint(struct lab_bar *bars, uint32_t kills)
{
    static const uint32_t rings[2] = {SHMQ_RING_SPSC, SHMQ_RING_MPMC};

    (void)kills;
    for (int i = 0; i < 2; i++) {
        char error[192] = "";
        uint64_t bytes;

        if (lab_probe_footprint(rings[i], &bytes, error))
            fail(&bars[i], error);
        else
            lab_bar_add(&bars[i], (double)bytes, 4194304.0);
    }
}

/* --- system calls -------------------------------------------------------- */

/* Fewer than one call in 10,000 messages: what is left is the library's now
 * and then look for dead peers while it finds nothing. */
static struct lab_bar syscall_bars[] = {
    {.name = "syscalls-spsc",
        .what = "system calls a message, SPSC streaming / 0.0001",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "calls"},
    {.name = "syscalls-mpmc",
        .what = "system calls a message, MPMC streaming / 0.0001",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "calls"},
    {0}};

static void measure_syscalls(struct lab_bar *bars, uint32_t kills)
{
    static const char *const names[2] = {"spsc", "mpmc"};

    (void)kills;
    for (int i = 0; i < 2; i++) {
        struct lab_spec spec = {.mode = LAB_STREAM,
            .transport = lab_transport_find(names[i]),
            .size = 64,
            .warm_ns = 10000000,
            .measure_ns = 100000000,
            .trace = 1};
        struct lab_result result;

        lab_measure(&spec, &result, NULL);
        if (result.failed && strncmp(result.error, "ptrace", 6) == 0)
            snprintf(bars[i].skipped, sizeof(bars[i].skipped), "%.150s",
                result.error);
        else if (result.failed)
            fail(&bars[i], result.error);
        else
            lab_bar_add(&bars[i], result.syscalls_per_message, 0.0001);
    }
}

/* --- recovery ------------------------------------------------------------ */

#define MIB (UINT64_C(1) << 20)
#define MS 1e6

enum { PROOF, KILL, KILL_4M, KILL_64M, KILL_1G, PROOF_1G, ROLE_PROOF, ROLE };

static struct lab_bar recovery_bars[] = {
    [PROOF] = {.name = "recovery-from-proof",
        .what = "p99, proof of a member's death to its record's delivery "
                "/ 1 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    [KILL] = {.name = "recovery-from-kill",
        .what = "p99, SIGKILL of a member to its record's delivery / 1 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    [KILL_4M] = {.name = "recovery-from-kill-4M",
        .what = "p99, the same with 4 MiB mapped and touched / 1 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    [KILL_64M] = {.name = "recovery-from-kill-64M",
        .what = "p99, the same with 64 MiB / 1 ms",
        .sense = LAB_REPORT,
        .unit = "ns"},
    [KILL_1G] = {.name = "recovery-from-kill-1G",
        .what = "p99, the same with 1 GiB / 1 ms",
        .sense = LAB_REPORT,
        .unit = "ns"},
    [PROOF_1G] = {.name = "recovery-from-proof-1G",
        .what = "p99, proof of death to delivery with 1 GiB / 1 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    [ROLE_PROOF] = {.name = "takeover-from-proof",
        .what = "p99, proof of an SPSC producer's death to the next one's "
                "record / 1 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    [ROLE] = {.name = "takeover-from-kill",
        .what = "p99, SIGKILL of an SPSC producer to the next one's record "
                "/ 1 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    {0}};

/* p99 of the kills of one repetition; the longest is shown beside it. */
static void add_p99(struct lab_bar *bar, const double *times, uint32_t cnt)
{
    if (bar->cnt < LAB_BAR_REPEATS_MAX) {
        bar->kills[bar->cnt] = cnt;
        bar->worst[bar->cnt] = lab_most(times, cnt);
    }
    lab_bar_add(bar, lab_quantile(times, cnt, 0.99), MS);
}

static void claims(struct lab_bar *from_kill, struct lab_bar *from_proof,
    uint64_t bytes, uint32_t cnt)
{
    static struct lab_claim_times times;
    char error[192] = "";

    if (lab_probe_claim(bytes, cnt, &times, error)) {
        fail(from_kill, error);
        if (from_proof)
            fail(from_proof, error);
        return;
    }
    add_p99(from_kill, times.from_kill_ns, times.cnt);
    if (from_proof)
        add_p99(from_proof, times.from_proof_ns, times.cnt);
}

static void measure_recovery(struct lab_bar *bars, uint32_t kills)
{
    static struct lab_claim_times times;
    uint32_t n = kills ? kills : 50;
    char error[192] = "";

    claims(&bars[KILL], &bars[PROOF], 0, n);
    claims(&bars[KILL_4M], NULL, 4 * MIB, n / 5);
    claims(&bars[KILL_64M], NULL, 64 * MIB, n / 5);
    claims(&bars[KILL_1G], &bars[PROOF_1G], 1024 * MIB, n / 16 + 1);
    if (lab_probe_takeover(0, n, &times, error)) {
        fail(&bars[ROLE], error);
        fail(&bars[ROLE_PROOF], error);
        return;
    }
    add_p99(&bars[ROLE], times.from_kill_ns, times.cnt);
    add_p99(&bars[ROLE_PROOF], times.from_proof_ns, times.cnt);
}

/* --- lost wakes ----------------------------------------------------------- */

#define WAKES 10u

static struct lab_bar lost_wake_bars[] = {
    {.name = "lost-wake-spsc",
        .what = "SPSC, longest, lost wake to the record's delivery / 50 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    {.name = "lost-wake-mpmc",
        .what = "MPMC, longest, lost wake to the record's delivery / 50 ms",
        .sense = LAB_AT_MOST,
        .limit = 1.0,
        .unit = "ns"},
    {0}};

static void measure_lost_wakes(struct lab_bar *bars, uint32_t kills)
{
    static const uint32_t rings[2] = {SHMQ_RING_SPSC, SHMQ_RING_MPMC};

    for (int i = 0; i < 2; i++) {
        struct lab_lost_wake found;
        char error[192] = "";

        if (lab_probe_lost_wake(
                rings[i], kills ? kills : WAKES, &found, error)) {
            if (strncmp(error, "ptrace", 6) == 0)
                snprintf(
                    bars[i].skipped, sizeof(bars[i].skipped), "%.150s", error);
            else
                fail(&bars[i], error);
            continue;
        }
        if (bars[i].cnt < LAB_BAR_REPEATS_MAX) {
            bars[i].kills[bars[i].cnt] = found.cnt;
            bars[i].worst[bars[i].cnt] = found.longest_ns;
        }
        lab_bar_add(&bars[i], found.longest_ns, 50.0 * MS);
    }
}

struct lab_special lab_specials[] = {{"loan", 0.2, measure_loan, loan_bars, 0},
    {"idle", 4.8, measure_idle, idle_bars, 0},
    {"footprint", 0.1, measure_footprint, footprint_bars, 0},
    {"system calls", 0.4, measure_syscalls, syscall_bars, 0},
    {"recovery", 5.0, measure_recovery, recovery_bars, 0},
    {"lost wakes", 1.2, measure_lost_wakes, lost_wake_bars, 0},
    {"durable topics", 9.0, lab_durable_measure, lab_durable_bars, 0},
    {"durable log", 9.0, lab_durable_log_measure, lab_durable_log_bars, 0},
    {"live feed", 7.0, lab_bridge_feed_measure, lab_bridge_feed_bars, 0},
    {"reliable delivery", 7.0, lab_bridge_deliver_measure,
        lab_bridge_deliver_bars, 0},
    {"remote publish", 8.0, lab_bridge_publish_measure, lab_bridge_publish_bars,
        0},
    {0}};
