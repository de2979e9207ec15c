/* test_adversary.c - rung 14, second half: processes that use a topic while a
 * hostile one scribbles over its files, cuts, replaces and locks them, floods
 * its futexes and dies.
 *
 *   hostile_adversary [--seconds S]     default 20
 *
 * First the files are cut on purpose, in each way, while everybody is at work;
 * then the adversary has its time. Each victim also uses a topic of its own, on
 * which nothing may go wrong. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adversary/adversary.h"
#include "support/proc.h"
#include "support/support.h"

#define DECOY_NS (3000 * T_MS)
#define ROUND_NS 300000000ull
#define CALL_LIMIT_NS 15000000000ull
#define PEERS 2

static struct t_proc victims[ROLE_CNT], peers[PEERS];
static enum role roles[ROLE_CNT];
static uint64_t seeds[PEERS];
static bool lost;

static void remove_victim(void)
{
    static const char *const names[] = {"victim", "elsewhere"};
    if (shmq_topic_unlink(t_ns, "victim", SHMQ_UNLINK_FORCE) != SHMQ_OK)
        (void)unlink(t_path('c', "victim"));
    for (int i = 0; i < 2; i++) {
        (void)unlink(t_path('d', names[i]));
        (void)unlink(t_path('c', names[i]));
        (void)unlink(t_path('m', names[i]));
    }
}

static void new_victim(bool spsc, bool durable)
{
    static const uint32_t full[] = {
        SHMQ_ON_FULL_DROP_NEW, SHMQ_ON_FULL_BLOCK, SHMQ_ON_FULL_DROP_OLD};
    struct shmq_topic_attrs attrs = spsc ? t_spsc(65536) : t_mpmc(64, 32768);
    attrs.max_producers = spsc ? 1 : 4; /* one for the latecomer */
    attrs.on_full = full[board->round % (spsc || durable ? 2 : 3)];
    if (durable)
        attrs.durability = SHMQ_DURABILITY_DISK;
    board->durable = durable;
    for (int i = 0;; i++) {
        remove_victim();
        int rc = durable ? drainer_make(&attrs)
                         : shmq_topic_create(t_ns, "victim", &attrs);
        if (rc == SHMQ_OK)
            break;
        if (i == 1000)
            T_OK(rc); /* the adversary cannot be that quick for ever */
    }
    board->round++;
}

/* -- watching ----------------------------------------------------------------
 */

static void lose(const char *why, const char *who)
{
    (void)printf("lost: the %s %s\n", who, why);
    (void)fflush(stdout);
    lost = true;
}

static void watch_victims(void)
{
    uint64_t now = t_now_ns();
    for (int i = 0; i < ROLE_CNT && !lost; i++) {
        siginfo_t info = {0};
        uint64_t since = board->seats[i].since_ns;
        if (waitid(P_PID, (id_t)victims[i].pid, &info,
                WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0) {
            (void)printf("it ended by %s %d in: %s\n",
                info.si_code == CLD_EXITED ? "exit" : "signal", info.si_status,
                board->seats[i].what);
            lose("died", role_names[i]);
        } else if (since != 0 && now > since && now - since > CALL_LIMIT_NS) {
            (void)printf("for 15 s in: %s\n", board->seats[i].what);
            (void)kill(victims[i].pid, SIGQUIT);
            t_sleep_ns(500 * T_MS);
            lose("hangs", role_names[i]);
        }
    }
}

static void revive_peers(void)
{
    for (int i = 0; i < PEERS; i++) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)peers[i].pid, &info,
                WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0) {
            (void)t_bury(&peers[i]);
            seeds[i] += 1000;
            t_spawn(&peers[i], peer, &seeds[i]);
        }
    }
}

static void watch(uint64_t ns)
{
    uint64_t end = t_now_ns() + ns;
    while (t_now_ns() < end && !lost) {
        watch_victims();
        revive_peers();
        t_sleep_ns(5 * T_MS);
    }
}

/* -- files cut while everybody works
 * ------------------------------------------*/

static uint64_t corrupts(int role)
{
    return board->seats[role].corrupts;
}

/* Who has the topic open and needs its files all the time. One of the two
 * producers of an spsc topic is not let in. */
static bool at_work(int role)
{
    return role < ROLE_COMER && board->seats[role].opened == board->round;
}

static void wait_until_at_work(bool spsc)
{
    uint64_t end = t_now_ns() + 20000 * T_MS;
    for (int cnt = 0; !lost && cnt < ROLE_COMER - (spsc ? 1 : 0);) {
        watch(10 * T_MS);
        cnt = 0;
        for (int i = 0; i < ROLE_COMER; i++)
            cnt += at_work(i);
        if (t_now_ns() > end)
            lose("did not get to work", "one");
    }
    watch(50 * T_MS);
}

/* Files that are no more must be noticed by all who need them, at once. */
static bool noticed(const uint64_t *before, int role)
{
    return !at_work(role) || corrupts(role) > before[role];
}

static bool all_noticed(const uint64_t *before)
{
    for (int i = 0; i < ROLE_COMER; i++)
        if (!noticed(before, i))
            return false;
    return true;
}

/* What was cut stays cut: a file that somebody makes longer again looks whole,
 * and is all zeros behind the cut. */
static void look_at_size(char kind, off_t cut)
{
    struct stat st;
    if (!lost && stat(t_path(kind, "victim"), &st) == 0 && st.st_size != cut) {
        (void)printf("a %c file cut at %lld has %lld bytes\n", kind,
            (long long)cut, (long long)st.st_size);
        lose("made a cut file longer", "one");
    }
}

/* Who opened the topic when it was whole and begins when it is not. */
static void come_late(struct shmq_topic *topic)
{
    struct shmq_producer *producer = NULL;
    (void)shmq_producer_open(topic, NULL, &producer);
    (void)shmq_group_create(topic, "late", NULL, NULL);
    shmq_producer_close(producer);
}

static void cut_round(bool spsc, char kind, int part)
{
    struct stat st;
    uint64_t before[ROLE_CNT];
    struct shmq_topic *late = NULL;
    new_victim(spsc, false);
    T_OK(shmq_topic_open(t_ns, "victim", &late));
    wait_until_at_work(spsc);
    for (int i = 0; i < ROLE_CNT; i++)
        before[i] = corrupts(i);
    T_EQ(stat(t_path(kind, "victim"), &st), 0);
    off_t cut = part == 0 ? 0 : part == 1 ? 4096 : st.st_size / 2;
    T_EQ(truncate(t_path(kind, "victim"), cut), 0);
    board->truncations++;
    come_late(late);
    shmq_topic_close(late);
    look_at_size(kind, cut);
    uint64_t end = t_now_ns() + 5000 * T_MS;
    if (part != 0) {
        watch(200 * T_MS);
        look_at_size(kind, cut);
        return; /* some need nothing of what is gone: a full ring, an idle one
                 */
    }
    while (!lost && !all_noticed(before)) {
        watch(10 * T_MS);
        look_at_size(kind, cut);
        if (lost || t_now_ns() < end)
            continue;
        for (int i = 0; i < ROLE_COMER; i++)
            if (!noticed(before, i))
                (void)printf("%s, %c file, part %d: the %s noticed nothing "
                             "(%s)\n",
                    spsc ? "spsc" : "mpmc", kind, part, role_names[i],
                    board->seats[i].what);
        lose("did not notice", "one");
    }
    look_at_size(kind, cut);
}

/* -- the whole ----------------------------------------------------------------
 */

struct calm {
    uint64_t cnt, ns;
};

static struct calm calm_so_far(void)
{
    struct calm c = {0, 0};
    for (int i = 0; i < ROLE_CNT; i++) {
        c.cnt += board->seats[i].calm_cnt;
        c.ns += board->seats[i].calm_ns;
    }
    return c;
}

static uint64_t mean_since(struct calm before)
{
    struct calm now = calm_so_far();
    return now.cnt == before.cnt
        ? 0
        : (now.ns - before.ns) / (now.cnt - before.cnt);
}

/* As busy as the adversary, on a topic of nobody: what its share of the
 * processors costs the others by itself. */
static uint64_t beside_a_decoy(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 32768);
    T_OK(shmq_topic_create(t_ns, "decoy", &attrs));
    struct calm mark = calm_so_far();
    board->decoy = board->attack = true;
    watch(DECOY_NS);
    uint64_t ns = mean_since(mark);
    board->attack = false;
    watch(100 * T_MS);
    board->decoy = false;
    (void)shmq_topic_unlink(t_ns, "decoy", SHMQ_UNLINK_FORCE);
    (void)unlink(t_path('c', "decoy"));
    return ns;
}

static void report(uint64_t calm_ns, uint64_t decoy_ns, uint64_t attacked_ns)
{
    uint64_t calls = 0, calm = 0;
    for (int i = 0; i < ROLE_CNT; i++) {
        struct seat *s = &board->seats[i];
        (void)printf(
            "  %-9s %9llu calls, %9llu ok, %6llu corrupt, %5llu opens\n",
            role_names[i], (unsigned long long)s->calls,
            (unsigned long long)s->oks, (unsigned long long)s->corrupts,
            (unsigned long long)s->opens);
        calls += s->calls;
        calm += s->calm_cnt;
    }
    (void)printf(
        "  topics beside: %llu records, all right; publish and receive "
        "%llu ns in peace, %llu ns beside an attack on a topic of nobody, "
        "%llu ns under attack (mean)\n",
        (unsigned long long)calm, (unsigned long long)calm_ns,
        (unsigned long long)decoy_ns, (unsigned long long)attacked_ns);
    (void)printf("RUNG 14: %llu scribbles, %llu cuts, %llu locks, %llu floods, "
                 "%llu renames, %llu deaths of the adversary; %llu calls of "
                 "%d victims %s\n",
        (unsigned long long)board->scribbles,
        (unsigned long long)board->truncations,
        (unsigned long long)board->locks, (unsigned long long)board->floods,
        (unsigned long long)board->renames, (unsigned long long)board->deaths,
        (unsigned long long)calls, ROLE_CNT, lost ? "FAIL" : "PASS");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, NULL, 's'}, {NULL, 0, NULL, 0}};
    uint64_t seconds = 20;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o != 's')
            return 2;
        seconds = strtoull(optarg, NULL, 0);
    }
    t_begin();
    (void)alarm((unsigned)seconds + 120);
    uint64_t seed = t_seed_say("hostile_adversary");
    board = t_shared_memory(sizeof *board);
    for (int i = 0; i < ROLE_CNT; i++) {
        roles[i] = (enum role)i;
        t_spawn(&victims[i], victim, &roles[i]);
    }
    for (int i = 0; i < PEERS; i++) {
        seeds[i] = seed * 100 + (uint64_t)i;
        t_spawn(&peers[i], peer, &seeds[i]);
    }
    for (int i = 0; i < 12 && !lost; i++)
        cut_round(i & 1, i & 2 ? 'c' : 'd', i / 4);
    new_victim(false, false);
    struct calm mark = calm_so_far();
    watch(1000 * T_MS);
    uint64_t calm_ns = mean_since(mark);
    uint64_t decoy_ns = beside_a_decoy();
    mark = calm_so_far();
    board->attack = true;
    for (uint64_t end = t_now_ns() + seconds * 1000000000u;
         t_now_ns() < end && !lost;) {
        new_victim(board->round & 1, board->round % 3 == 2);
        watch(ROUND_NS);
    }
    uint64_t attacked_ns = mean_since(mark);
    board->attack = false;
    board->stop = true;
    for (int i = 0; i < ROLE_CNT && !lost; i++) {
        int status = t_bury(&victims[i]);
        if (status != 0) {
            (void)printf("status 0x%x\n", (unsigned)status);
            lose("failed", role_names[i]);
        }
    }
    t_proc_kill_all();
    report(calm_ns, decoy_ns, attacked_ns);
    remove_victim();
    if (lost) {
        char command[128];
        (void)snprintf(
            command, sizeof command, "rm -f /dev/shm/shmq.%s.*", t_ns);
        return system(command) == 0 ? 1 : 2;
    }
    char command[128]; /* doorbells of topics that were replaced */
    (void)snprintf(command, sizeof command, "rm -f /dev/shm/shmq.%s.b.*", t_ns);
    (void)!system(command);
    t_end();
    return 0;
}
