/* test_callers.c - callers that are killed in the middle leave nothing behind.
 *
 * Processes open a caller, call in a loop, and are killed at a random moment,
 * from the first instruction of opening on. Two servers answer meanwhile, and
 * callers that live on check that each of their calls gets its own reply. In
 * the end: no inbox, no claim, no endpoint, no descriptor, no mapping is left.
 *     stress_callers [--callers N]      (default 1000) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/proc.h"
#include "support/support.h"

#define AT_ONCE 6
#define LIFE_NS_MAX 12000000u
#define SERVERS 2

struct shared {
    uint64_t answered; /* calls of all callers that got their reply */
    uint64_t late_deaths; /* callers killed after their first reply */
};

static void add(uint64_t *word)
{
    (void)__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
}

static int echo(
    void *ctx, const struct shmq_message *request, struct shmq_record *reply)
{
    static char buf[64];

    (void)ctx;
    T_TRUE(request->size <= sizeof(buf));
    memcpy(buf, request->data, request->size);
    reply->data = buf;
    reply->size = request->size;
    return SHMQ_HANDLED_ACK;
}

/* Serves until told to end; tells what it has open before and after. */
static int serve(void *ctx)
{
    struct shmq_topic *topic = t_open("requests");
    struct shmq_server *s = NULL;
    struct shmq_server_stat stat = {sizeof(stat), 0, 0, 0, 0, 0, 0, 0};

    (void)ctx;
    T_OK(shmq_server_open(topic, NULL, &s));
    uint64_t fds = t_fd_cnt(), patience = t_now_ns() + T_PATIENCE;
    t_tell(fds);
    t_tell(t_map_cnt());
    (void)t_hear(); /* begin */
    uint64_t end = 0;
    while (end == 0) {
        int rc =
            shmq_server_serve_wait(s, echo, NULL, shmq_deadline(200 * T_MS));
        T_OK(rc);
        end = t_hear(); /* 0: go on */
    }
    /* A second without requests is time for clearing away, on a quick machine.
     */
    do {
        T_OK(shmq_server_serve_wait(s, echo, NULL, shmq_deadline(2500 * T_MS)));
    } while (t_fd_cnt() != fds && t_now_ns() < patience);
    t_tell(t_fd_cnt());
    t_tell(t_map_cnt());
    T_OK(shmq_server_stat(s, &stat));
    t_tell(stat.requests);
    t_tell(stat.inboxes_removed);
    (void)t_hear(); /* end */
    shmq_server_close(s);
    shmq_topic_close(topic);
    return 0;
}

static int call_for_ever(void *ctx)
{
    struct shared *shared = ctx;
    struct shmq_caller *c = NULL;
    uint64_t n = (uint64_t)getpid() << 32;

    t_tell(1);
    T_OK(shmq_caller_open(t_open("requests"), NULL, &c));
    for (bool first = true;; n++) {
        struct shmq_record r = {&n, sizeof(n), NULL, 0, 0};
        struct shmq_message reply;
        T_OK(shmq_caller_call_wait(c, &r, shmq_deadline(T_PATIENCE), &reply));
        T_TRUE(reply.size == sizeof(n) && memcmp(reply.data, &n, 8) == 0);
        T_OK(shmq_caller_release(c, &reply));
        add(&shared->answered);
        if (first)
            add(&shared->late_deaths);
        first = false;
    }
    return 0;
}

static void kill_callers(
    uint32_t callers, struct shared *shared, struct t_proc servers[SERVERS])
{
    struct t_proc procs[AT_ONCE];
    uint64_t die_ns[AT_ONCE];
    uint64_t rnd = t_seed_say("callers");
    uint64_t tick_ns = 0;
    uint32_t begun = 0, ended = 0;

    memset(procs, 0, sizeof(procs));
    while (ended < callers) {
        uint64_t now = t_now_ns();
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            if (procs[i].pid != 0 && now >= die_ns[i]) {
                t_kill(&procs[i]);
                int status = t_bury(&procs[i]);
                T_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                procs[i].pid = 0;
                ended++;
            }
            if (procs[i].pid == 0 && begun < callers) {
                t_spawn(&procs[i], call_for_ever, shared);
                (void)t_recv(&procs[i]);
                die_ns[i] = t_now_ns() + t_below(&rnd, LIFE_NS_MAX);
                begun++;
            }
        }
        if (now - tick_ns > 200 * T_MS) { /* servers look up now and then */
            tick_ns = now;
            for (uint32_t i = 0; i < SERVERS; i++)
                t_send(&servers[i], 0);
        }
        t_pause();
    }
}

static void check_nothing_left(struct shmq_topic *topic, uint32_t files)
{
    struct shmq_group_stat group;
    struct shmq_topic_stat stat;
    struct shmq_producer *p = t_producer(topic); /* reaps */

    shmq_producer_close(p);
    T_EVENTUALLY(t_file_cnt() == files);
    stat = t_stat(topic);
    T_EQ(stat.producer_cnt, 0);
    T_EQ(stat.member_cnt, SERVERS);
    T_TRUE(t_group_stat(topic, "servers", &group));
    T_EQ(group.claimed, 0);
    T_EQ(group.lag_messages, 0);
    T_EQ(group.dead_lettered, 0);
}

static void run(uint32_t callers)
{
    struct shared *shared = t_shared_memory(sizeof(*shared));
    struct shmq_topic_attrs attrs = t_mpmc(256, 65536);
    struct shmq_topic *topic = t_topic("requests", &attrs);
    struct t_proc servers[SERVERS];
    uint64_t fds[SERVERS], maps[SERVERS], begin_ns, handled = 0, removed = 0;
    uint32_t files = t_file_cnt();

    for (uint32_t i = 0; i < SERVERS; i++) {
        t_spawn(&servers[i], serve, NULL);
        fds[i] = t_recv(&servers[i]);
        maps[i] = t_recv(&servers[i]);
    }
    begin_ns = t_now_ns();
    for (uint32_t i = 0; i < SERVERS; i++)
        t_send(&servers[i], 1);
    kill_callers(callers, shared, servers);
    for (uint32_t i = 0; i < SERVERS; i++)
        t_send(&servers[i], 1);
    for (uint32_t i = 0; i < SERVERS; i++) {
        uint64_t fd = t_recv(&servers[i]), map = t_recv(&servers[i]);
        T_EQ(fd, fds[i]);
        T_EQ(map, maps[i]);
        handled += t_recv(&servers[i]);
        removed += t_recv(&servers[i]);
        if (i + 1 == SERVERS)
            check_nothing_left(topic, files);
    }
    for (uint32_t i = 0; i < SERVERS; i++) {
        t_send(&servers[i], 1);
        t_join(&servers[i]);
    }
    T_TRUE(shared->late_deaths > callers / 10); /* really in the middle */
    T_TRUE(shared->late_deaths < callers);
    (void)printf("%u callers killed (%llu while calling), %llu calls answered, "
                 "%llu requests handled, %llu inboxes removed by the servers, "
                 "%.1f s; left behind: 0\n",
        callers, (unsigned long long)shared->late_deaths,
        (unsigned long long)shared->answered, (unsigned long long)handled,
        (unsigned long long)removed, (double)(t_now_ns() - begin_ns) / 1e9);
    shmq_topic_close(topic);
}

int main(int argc, char **argv)
{
    uint32_t callers = 1000;

    if (argc == 3 && strcmp(argv[1], "--callers") == 0)
        callers = (uint32_t)strtoul(argv[2], NULL, 10);
    else if (argc != 1) {
        (void)fprintf(stderr, "usage: stress_callers [--callers N]\n");
        return 2;
    }
    t_begin();
    run(callers);
    t_end();
    return 0;
}
