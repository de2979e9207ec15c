/* test_reply.c - a server is killed at every access to shared memory of a
 * reply and of the acknowledgement behind it. Another server answers what was
 * not done; the caller has exactly one reply to its call, and none of it comes
 * up in the next call.   crash_reply [--stride N]   (default 1: every one)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/points.h"
#include "support/proc.h"
#include "support/support.h"

#ifdef SHMQ_HOOKS

static struct shmq_server *server(void)
{
    struct shmq_server *s = NULL;
    T_OK(shmq_server_open(t_open("t"), NULL, &s));
    return s;
}

/* Answers one request, and is killed at point *ctx of that. */
static int reply_and_die(void *ctx)
{
    struct shmq_record yes = {"first", 5, NULL, 0, 0};
    struct shmq_server *s = server();
    struct shmq_message msg;

    T_OK(shmq_server_receive_wait(s, SHMQ_FOREVER, &msg));
    t_tell(1);
    t_die_at(*(uint64_t *)ctx);
    int rc = shmq_server_reply(s, &msg, &yes);
    t_points(NULL);
    T_OK(rc);
    shmq_server_close(s);
    return 0;
}

struct sums {
    uint32_t killed, twice, by_second;
};

/* The other server: answers what the dead one left, which is this call or
 * nothing. True: it was left. */
static bool answer_the_rest(struct shmq_server *s)
{
    struct shmq_record yes = {"second", 6, NULL, 0, 0};
    struct shmq_message msg;
    int rc = shmq_server_receive_wait(s, shmq_deadline(5 * T_MS), &msg);

    if (rc == SHMQ_ERR_TIMEOUT)
        return false;
    T_OK(rc);
    T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
    T_OK(shmq_server_reply(s, &msg, &yes));
    return true;
}

/* How many replies to `id` there are; nothing else may come. */
static uint32_t replies_to(struct shmq_caller *c, uint64_t id)
{
    struct shmq_message reply;
    uint64_t got;
    uint32_t cnt = 0;

    for (;;) {
        int rc = shmq_caller_receive(c, &reply, &got);
        if (rc == SHMQ_ERR_EMPTY)
            return cnt;
        T_OK(rc);
        T_EQ(got, id);
        T_TRUE((reply.size == 5 && memcmp(reply.data, "first", 5) == 0) ||
            (reply.size == 6 && memcmp(reply.data, "second", 6) == 0));
        T_OK(shmq_caller_release(c, &reply));
        cnt++;
    }
}

/* Calls once more through the other server: whatever is left of the first call
 * must not be taken for the reply. */
static int answer_one(void *ctx)
{
    struct shmq_server *s = server();
    struct shmq_record yes = {"third", 5, NULL, 0, 0};
    struct shmq_message msg;

    (void)ctx;
    T_OK(shmq_server_receive_wait(s, SHMQ_FOREVER, &msg));
    T_OK(shmq_server_reply(s, &msg, &yes));
    shmq_server_close(s);
    return 0;
}

static void call_again(struct shmq_caller *c)
{
    struct shmq_record ask = {"r", 1, NULL, 0, 0};
    struct shmq_message reply;
    struct t_proc proc;

    t_spawn(&proc, answer_one, NULL);
    T_OK(shmq_caller_call_wait(c, &ask, shmq_deadline(T_PATIENCE), &reply));
    T_TRUE(reply.size == 5 && memcmp(reply.data, "third", 5) == 0);
    T_OK(shmq_caller_release(c, &reply));
    t_join(&proc);
}

/* One server killed at point k. False: it got through, k is beyond. */
static bool kill_at(uint64_t k, bool take, struct sums *sums)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_record ask = {"q", 1, NULL, 0, 0};
    struct shmq_caller *c = NULL;
    struct t_proc proc;
    uint64_t id;

    T_OK(shmq_caller_open(topic, NULL, &c));
    t_spawn(&proc, reply_and_die, &k);
    T_OK(shmq_caller_send(c, &ask, SHMQ_FOREVER, &id));
    T_EQ(t_recv(&proc), 1);
    int status = t_bury(&proc);
    bool through = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    T_TRUE(through || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    struct shmq_server *s = server();
    bool left = answer_the_rest(s);
    T_TRUE(!through || !left);
    shmq_server_close(s);
    if (take) {
        uint32_t cnt = replies_to(c, id);
        T_TRUE(cnt == 1 || (cnt == 2 && left));
        sums->twice += cnt == 2;
    } else {
        call_again(c);
    }
    sums->by_second += left;
    sums->killed += !through;
    shmq_caller_close(c);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(t_file_cnt(), 0); /* the dead server's traces, too */
    return !through;
}

int main(int argc, char **argv)
{
    struct sums sums = {0, 0, 0};
    uint64_t stride = 1;

    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtoull(argv[2], NULL, 10);
    if (stride == 0)
        return 2;
    t_begin();
    for (uint64_t k = 1; kill_at(k, k / stride % 2 == 0, &sums); k += stride)
        ;
    (void)printf("killed at %u points of a reply; another server answered %u "
                 "of them, %u of them had both replies\n",
        sums.killed, sums.by_second, sums.twice);
    T_TRUE(sums.killed > 10 && sums.by_second > 0 &&
        sums.by_second < sums.killed && sums.twice > 0);
    t_end();
    return 0;
}
#else
int main(void)
{
    (void)puts("skipped: needs a build with SHMQ_HOOKS");
    return 77;
}
#endif
