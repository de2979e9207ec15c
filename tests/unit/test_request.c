/* test_request.c - calls, servers, inboxes. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/proc.h"

#define SOON (T_PATIENCE / 2)

static struct shmq_topic *requests(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 262144);

    return t_topic("requests", &attrs);
}

static struct shmq_caller *caller(struct shmq_topic *topic)
{
    struct shmq_caller *c = NULL;

    T_OK(shmq_caller_open(topic, NULL, &c));
    return c;
}

static struct shmq_server *server(struct shmq_topic *topic)
{
    struct shmq_server *s = NULL;

    T_OK(shmq_server_open(topic, NULL, &s));
    return s;
}

static struct shmq_server_stat stat_of(const struct shmq_server *s)
{
    struct shmq_server_stat stat = {sizeof(stat), 0, 0, 0, 0, 0, 0, 0};

    T_OK(shmq_server_stat(s, &stat));
    return stat;
}

static struct shmq_record text(const char *data)
{
    struct shmq_record r = {data, strlen(data), NULL, 0, 0};

    return r;
}

static bool is_text(const struct shmq_message *msg, const char *want)
{
    return msg->size == strlen(want) && memcmp(msg->data, want, msg->size) == 0;
}

static uint64_t deadline(uint64_t ns)
{
    return shmq_deadline(ns);
}

/* -- a server in another process ---------------------------------------- */

static int shout(
    void *ctx, const struct shmq_message *request, struct shmq_record *reply)
{
    static char buf[65536];

    (void)ctx;
    for (uint64_t i = 0; i < request->size; i++) {
        char c = ((const char *)request->data)[i];
        buf[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    reply->data = buf;
    reply->size = request->size;
    return SHMQ_HANDLED_ACK;
}

static int serve(void *ctx)
{
    struct shmq_server *s = server(t_open("requests"));

    (void)ctx;
    t_tell(1);
    T_OK(shmq_server_serve_wait(s, shout, NULL, SHMQ_FOREVER));
    return 0;
}

static void check_call(struct shmq_caller *c, const char *ask, const char *want)
{
    struct shmq_message reply;
    struct shmq_record r = text(ask);

    T_OK(shmq_caller_call_wait(c, &r, deadline(SOON), &reply));
    T_TRUE(is_text(&reply, want));
    T_OK(shmq_caller_release(c, &reply));
}

TEST(a_call_gets_its_reply)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *a = caller(topic);
    struct shmq_caller *b = caller(topic);
    struct t_proc proc;

    t_spawn(&proc, serve, NULL);
    (void)t_recv(&proc);
    check_call(a, "hello", "HELLO");
    check_call(b, "", "");
    for (uint32_t i = 0; i < 1000; i++)
        check_call(i % 2 ? a : b, i % 3 ? "x" : "yy", i % 3 ? "X" : "YY");
    shmq_caller_close(a);
    shmq_caller_close(b);
    t_kill(&proc);
    (void)t_bury(&proc);
    shmq_topic_close(topic);
}

TEST(replies_find_their_calls_in_any_order)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_server_options options = {
        sizeof(options), 8, NULL, {0, 0, 0, 0, 0, NULL}, 0};
    struct shmq_server *s = NULL;
    struct shmq_message asked[3], reply;
    uint64_t ids[3], id;
    const char *words[3] = {"one", "two", "three"};

    T_OK(shmq_server_open(topic, &options, &s));
    for (int i = 0; i < 3; i++) {
        struct shmq_record r = text(words[i]);
        T_OK(shmq_caller_send(c, &r, SHMQ_FOREVER, &ids[i]));
    }
    for (int i = 0; i < 3; i++)
        T_OK(shmq_server_receive(s, &asked[i]));
    T_RC(shmq_caller_receive(c, &reply, &id), SHMQ_ERR_EMPTY);
    for (int i = 2; i >= 0; i--) {
        struct shmq_record r = text(words[i]);
        T_OK(shmq_server_reply(s, &asked[i], &r));
        T_OK(shmq_caller_receive_wait(c, deadline(SOON), &reply, &id));
        T_EQ(id, ids[i]);
        T_TRUE(is_text(&reply, words[i]));
        T_OK(shmq_caller_release(c, &reply));
    }
    T_EQ(stat_of(s).replies, 3);
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

TEST(attributes_go_both_ways)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_server *s = server(topic);
    struct shmq_attr key = {SHMQ_ATTR_KEY, 1, "k", NULL}, a;
    struct shmq_attr head = {SHMQ_ATTR_HEADER, 1, "7", "status"};
    struct shmq_record ask = {"q", 1, &key, 1, 0},
                       answer = {"a", 1, &head, 1, 0};
    struct shmq_message request, reply;
    uint64_t id, got;

    T_OK(shmq_caller_send(c, &ask, deadline(SOON), &id));
    T_OK(shmq_server_receive(s, &request));
    T_OK(shmq_message_attr(&request, SHMQ_ATTR_KEY, 0, &a));
    T_TRUE(a.value_bytes == 1 && memcmp(a.value, "k", 1) == 0);
    T_OK(shmq_message_attr(&request, SHMQ_ATTR_REPLY_TO, 0, &a));
    T_TRUE(a.value_bytes == strlen(shmq_caller_inbox(c)));
    T_OK(shmq_message_attr(&request, SHMQ_ATTR_EXPIRY, 0, &a));
    T_OK(shmq_server_reply(s, &request, &answer));
    T_OK(shmq_caller_receive(c, &reply, &got));
    T_EQ(got, id);
    T_OK(shmq_message_attr(&reply, SHMQ_ATTR_HEADER, 0, &a));
    T_TRUE(strcmp(a.name, "status") == 0);
    T_OK(shmq_caller_release(c, &reply));
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

/* -- deadlines ----------------------------------------------------------- */

TEST(a_call_without_server_ends_at_its_deadline_and_is_not_handled_later)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_record r = text("late");
    struct shmq_message msg;
    struct shmq_server *s;
    uint64_t begin = t_now_ns();

    T_OK(shmq_group_create(topic, "servers", NULL, NULL));
    T_RC(shmq_caller_call_wait(c, &r, deadline(50 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_TRUE(t_now_ns() - begin >= 50 * T_MS);
    t_sleep_ns(2 * T_MS); /* expiry is the wall clock's */
    s = server(topic);
    T_RC(shmq_server_receive(s, &msg), SHMQ_ERR_EMPTY);
    T_EQ(stat_of(s).expired, 1);
    T_EQ(stat_of(s).requests, 0);
    T_EQ(t_stat(topic).total_messages, 1);
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

TEST(a_late_reply_is_not_taken_for_that_of_the_next_call)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_server *s = server(topic);
    struct shmq_record first = text("first"), second = text("second");
    struct shmq_message request, reply;
    struct t_proc proc;

    T_RC(shmq_caller_call_wait(c, &first, deadline(0), &reply),
        SHMQ_ERR_TIMEOUT);
    /* It expired, so it is not handed out; the late server replies by hand. */
    (void)request;
    T_RC(shmq_server_receive(s, &request), SHMQ_ERR_EMPTY);
    {
        uint64_t id;
        T_OK(shmq_caller_send(c, &first, SHMQ_FOREVER, &id));
        T_OK(shmq_server_receive(s, &request));
        T_OK(shmq_server_reply(s, &request, &first)); /* to a call given up */
    }
    shmq_server_close(s);
    t_spawn(&proc, serve, NULL);
    (void)t_recv(&proc);
    T_OK(shmq_caller_call_wait(c, &second, deadline(SOON), &reply));
    T_TRUE(is_text(&reply, "SECOND"));
    T_OK(shmq_caller_release(c, &reply));
    t_kill(&proc);
    (void)t_bury(&proc);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

/* -- inboxes --------------------------------------------------------------- */

TEST(an_inbox_disappears_with_its_caller)
{
    struct shmq_topic *topic = requests();
    uint32_t before = t_file_cnt();
    struct shmq_caller *c = caller(topic);

    T_EQ(t_file_cnt(), before + 2);
    T_TRUE(strncmp(shmq_caller_inbox(c), "@inbox.", 7) == 0);
    shmq_caller_close(c);
    T_EQ(t_file_cnt(), before);
    shmq_topic_close(topic);
}

static int call_and_die(void *ctx)
{
    struct shmq_caller *c = caller(t_open("requests"));
    struct shmq_record r = text("bye");
    uint64_t id;

    (void)ctx;
    T_OK(shmq_caller_send(c, &r, SHMQ_FOREVER, &id));
    t_tell(1);
    t_wait_for_death();
}

TEST(the_inbox_of_a_killed_caller_is_removed_by_the_next_caller)
{
    struct shmq_topic *topic = requests();
    uint32_t before = t_file_cnt();
    struct t_proc proc;

    t_spawn(&proc, call_and_die, NULL);
    (void)t_recv(&proc);
    T_EQ(t_file_cnt(), before + 2);
    t_kill(&proc);
    shmq_caller_close(caller(topic));
    T_EQ(t_file_cnt(), before);
    (void)t_bury(&proc);
    shmq_topic_close(topic);
}

TEST(the_inbox_of_a_killed_caller_is_removed_by_a_server)
{
    struct shmq_topic *topic = requests();
    struct shmq_server *s = server(topic);
    struct shmq_record r = text("reply");
    uint32_t before = t_file_cnt();
    struct shmq_message msg;
    struct t_proc proc;

    /* Dead before the reply. */
    t_spawn(&proc, call_and_die, NULL);
    (void)t_recv(&proc);
    t_kill(&proc);
    T_OK(shmq_server_receive(s, &msg));
    T_OK(shmq_server_reply(s, &msg, &r));
    T_EQ(stat_of(s).gone, 1);
    T_EQ(stat_of(s).replies, 0);
    T_EQ(t_file_cnt(), before);
    (void)t_bury(&proc);
    /* Dead after it, while the server still has the inbox open. */
    t_spawn(&proc, call_and_die, NULL);
    (void)t_recv(&proc);
    T_OK(shmq_server_receive(s, &msg));
    T_OK(shmq_server_reply(s, &msg, &r));
    T_EQ(stat_of(s).replies, 1);
    t_kill(&proc);
    T_RC(shmq_server_receive_wait(s, deadline(1500 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_EQ(t_file_cnt(), before);
    T_EQ(stat_of(s).inboxes_removed, 2);
    (void)t_bury(&proc);
    shmq_server_close(s);
    shmq_topic_close(topic);
}

/* Killed between naming the files of its inbox, a caller leaves one alone. */
TEST(a_sweep_removes_half_an_inbox)
{
    struct shmq_topic *topic = requests();
    uint32_t before = t_file_cnt();
    struct shmq_caller *c = caller(topic);
    char data[512];

    (void)snprintf(
        data, sizeof data, "/dev/shm/shmq.%s.d.%s", t_ns, shmq_caller_inbox(c));
    T_EQ(unlink(data), 0);
    T_TRUE(t_file_cnt() > before);
    T_OK(shmq_inbox_sweep(t_ns, 0, NULL));
    T_EQ(t_file_cnt(), before);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

TEST(a_sweep_removes_nothing_that_lives)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c[6];
    uint32_t removed = 99, before;

    for (int i = 0; i < 6; i++)
        c[i] = caller(topic);
    before = t_file_cnt();
    T_OK(shmq_inbox_sweep(t_ns, 0, &removed));
    T_EQ(removed, 0);
    T_OK(shmq_inbox_sweep(t_ns, 2, &removed));
    T_EQ(removed, 0);
    T_EQ(t_file_cnt(), before);
    for (int i = 0; i < 6; i++)
        shmq_caller_close(c[i]);
    shmq_topic_close(topic);
}

TEST(a_full_inbox_holds_no_server_up)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller_options options = {sizeof(options), 0, 100, 2, 1, 0};
    struct shmq_caller *c = NULL;
    struct shmq_server *s = server(topic);
    struct shmq_record r = text("r");
    struct shmq_message msg;
    uint64_t id;

    T_OK(shmq_caller_open(topic, &options, &c));
    for (int i = 0; i < 5; i++) {
        T_OK(shmq_caller_send(c, &r, SHMQ_FOREVER, &id));
        T_OK(shmq_server_receive(s, &msg));
        T_OK(shmq_server_reply(s, &msg, &r));
    }
    T_EQ(stat_of(s).replies, 2);
    T_EQ(stat_of(s).refused, 3);
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

TEST(a_reply_that_is_too_large_can_be_replaced)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller_options options = {sizeof(options), 0, 100, 0, 0, 0};
    struct shmq_caller *c = NULL;
    struct shmq_server *s = server(topic);
    static char large[1000];
    struct shmq_record big = {large, sizeof(large), NULL, 0, 0};
    struct shmq_record ask = text("q"), small = text("too much");
    struct shmq_message msg, reply;
    uint64_t id, got;

    T_OK(shmq_caller_open(topic, &options, &c));
    T_OK(shmq_caller_send(c, &ask, SHMQ_FOREVER, &id));
    T_OK(shmq_server_receive(s, &msg));
    T_RC(shmq_server_reply(s, &msg, &big), SHMQ_ERR_TOO_LARGE);
    T_OK(shmq_server_reply(s, &msg, &small));
    T_OK(shmq_caller_receive(c, &reply, &got));
    T_EQ(got, id);
    T_TRUE(is_text(&reply, "too much"));
    T_OK(shmq_caller_release(c, &reply));
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

/* -- peers that lie ------------------------------------------------------- */

TEST(a_forged_reply_to_reaches_no_other_topic)
{
    static const char *const forged[] = {"requests", "@dead.requests",
        "@inbox.", "@inbox.zzzzzzzzzzzzzzzz", "@inbox.0000000000000000",
        "../../etc/passwd", "@inbox.00000000/0000000"};
    struct shmq_topic *topic = requests();
    struct shmq_producer *p = t_producer(topic);
    struct shmq_server *s = server(topic);
    struct shmq_record r = text("secret");
    struct shmq_message msg;
    uint32_t files = t_file_cnt(), cnt = sizeof(forged) / sizeof(forged[0]);

    for (uint32_t i = 0; i < cnt; i++) {
        struct shmq_attr to = {
            SHMQ_ATTR_REPLY_TO, (uint32_t)strlen(forged[i]), forged[i], NULL};
        struct shmq_record ask = {"q", 1, &to, 1, 0};
        T_OK(shmq_producer_publish_batch(p, &ask, 1, NULL));
        T_OK(shmq_server_receive(s, &msg));
        T_OK(shmq_server_reply(s, &msg, &r));
    }
    T_EQ(stat_of(s).gone, cnt);
    T_EQ(t_stat(topic).total_messages, cnt);
    T_EQ(t_file_cnt(), files);
    /* Without reply-to there is nothing to send. */
    T_OK(shmq_producer_publish(p, "q", 1, NULL));
    T_OK(shmq_server_receive(s, &msg));
    T_OK(shmq_server_reply(s, &msg, &r));
    T_EQ(stat_of(s).gone, cnt);
    shmq_producer_close(p);
    shmq_server_close(s);
    shmq_topic_close(topic);
}

/* -- servers that die --------------------------------------------------------
 */

static int take_and_die(void *ctx)
{
    struct shmq_server *s = server(t_open("requests"));
    struct shmq_message msg;

    (void)ctx;
    t_tell(1);
    T_OK(shmq_server_receive_wait(s, SHMQ_FOREVER, &msg));
    t_tell(2);
    t_wait_for_death();
}

TEST(a_request_of_a_killed_server_is_answered_by_another)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_record r = text("again");
    struct shmq_message reply;
    struct t_proc first, second;
    uint64_t id, got;

    t_spawn(&first, take_and_die, NULL);
    (void)t_recv(&first);
    T_OK(shmq_caller_send(c, &r, deadline(SOON), &id));
    T_EQ(t_recv(&first), 2);
    t_spawn(&second, serve, NULL);
    (void)t_recv(&second);
    T_RC(shmq_caller_receive_wait(c, deadline(20 * T_MS), &reply, &got),
        SHMQ_ERR_TIMEOUT);
    t_kill(&first);
    T_OK(shmq_caller_receive_wait(c, deadline(SOON), &reply, &got));
    T_EQ(got, id);
    T_TRUE(is_text(&reply, "AGAIN"));
    T_OK(shmq_caller_release(c, &reply));
    (void)t_bury(&first);
    t_kill(&second);
    (void)t_bury(&second);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

/* -- the loop, wrong use -----------------------------------------------------
 */

static int count_down(
    void *ctx, const struct shmq_message *request, struct shmq_record *reply)
{
    int *left = ctx;

    (void)request;
    (void)reply;
    --*left;
    return *left == 2 ? SHMQ_HANDLED_NACK
        : *left == 0  ? SHMQ_HANDLED_STOP
        : *left < 0   ? -77
                      : SHMQ_HANDLED_ACK;
}

TEST(the_loop_does_what_its_handler_says)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_server *s = server(topic);
    struct shmq_record r = text("x");
    uint64_t id;
    int left = 4;

    for (int i = 0; i < 4; i++)
        T_OK(shmq_caller_send(c, &r, SHMQ_FOREVER, &id));
    /* ack, nack, again ack, stop: three of the four are done. */
    T_OK(shmq_server_serve_wait(s, count_down, &left, deadline(SOON)));
    T_EQ(left, 0);
    T_EQ(stat_of(s).replies, 3);
    T_RC(shmq_server_serve_wait(s, count_down, &left, deadline(SOON)), -77);
    left = 100;
    T_OK(shmq_server_serve_wait(s, count_down, &left, deadline(20 * T_MS)));
    T_EQ(left, 99); /* the one given back */
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

static int use_inherited(void *ctx)
{
    void **handles = ctx;
    struct shmq_caller *c = handles[0];
    struct shmq_server *s = handles[1];
    struct shmq_record r = text("x");
    struct shmq_message msg;
    uint64_t id;

    T_RC(shmq_caller_send(c, &r, SHMQ_FOREVER, &id), SHMQ_ERR_FORKED);
    T_RC(shmq_caller_receive(c, &msg, &id), SHMQ_ERR_FORKED);
    T_RC(shmq_server_receive(s, &msg), SHMQ_ERR_FORKED);
    shmq_caller_close(c);
    shmq_server_close(s);
    return 0;
}

TEST(a_fork_child_neither_uses_nor_removes_what_it_inherited)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller *c = caller(topic);
    struct shmq_server *s = server(topic);
    void *handles[2] = {c, s};
    struct shmq_record r = text("x");
    struct shmq_message msg;
    struct t_proc proc;
    uint64_t id;

    t_spawn(&proc, use_inherited, handles);
    t_join(&proc);
    T_OK(shmq_caller_send(c, &r, SHMQ_FOREVER, &id));
    T_OK(shmq_server_receive(s, &msg));
    T_OK(shmq_server_reply(s, &msg, &r));
    T_OK(shmq_caller_receive(c, &msg, &id));
    T_OK(shmq_caller_release(c, &msg));
    shmq_server_close(s);
    shmq_caller_close(c);
    shmq_topic_close(topic);
}

TEST(wrong_use_is_refused)
{
    struct shmq_topic *topic = requests();
    struct shmq_caller_options co = {sizeof(co), 0, 0, 3, 0, 0};
    struct shmq_server_options so = {1, 0, NULL, {0, 0, 0, 0, 0, NULL}, 0};
    struct shmq_caller *c = NULL;
    struct shmq_server *s = NULL;
    struct shmq_record r = text("x");
    struct shmq_message msg;
    uint64_t id;
    uint32_t files = t_file_cnt();

    T_RC(shmq_caller_open(topic, &co, &c), SHMQ_ERR_INVAL);
    T_SAYS("power of two");
    co.struct_bytes = 0;
    T_RC(shmq_caller_open(topic, &co, &c), SHMQ_ERR_INVAL);
    T_RC(shmq_caller_open(NULL, NULL, &c), SHMQ_ERR_INVAL);
    T_RC(shmq_caller_open(topic, NULL, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_server_open(topic, &so, &s), SHMQ_ERR_INVAL);
    T_RC(shmq_caller_call_wait(NULL, &r, 0, &msg), SHMQ_ERR_INVAL);
    T_RC(shmq_server_receive(NULL, &msg), SHMQ_ERR_INVAL);
    T_TRUE(c == NULL && s == NULL);
    T_EQ(t_file_cnt(), files);
    c = caller(topic);
    T_RC(shmq_caller_send(c, NULL, 0, &id), SHMQ_ERR_INVAL);
    r.attr_cnt = 1;
    T_RC(shmq_caller_send(c, &r, 0, &id), SHMQ_ERR_INVAL);
    shmq_caller_close(c);
    shmq_caller_close(NULL);
    shmq_server_close(NULL);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(a_call_gets_its_reply),
    T(replies_find_their_calls_in_any_order),
    T(attributes_go_both_ways),
    T(a_call_without_server_ends_at_its_deadline_and_is_not_handled_later),
    T(a_late_reply_is_not_taken_for_that_of_the_next_call),
    T(an_inbox_disappears_with_its_caller),
    T(the_inbox_of_a_killed_caller_is_removed_by_the_next_caller),
    T(the_inbox_of_a_killed_caller_is_removed_by_a_server),
    T(a_sweep_removes_half_an_inbox),
    T(a_sweep_removes_nothing_that_lives),
    T(a_full_inbox_holds_no_server_up),
    T(a_reply_that_is_too_large_can_be_replaced),
    T(a_forged_reply_to_reaches_no_other_topic),
    T(a_request_of_a_killed_server_is_answered_by_another),
    T(the_loop_does_what_its_handler_says),
    T(a_fork_child_neither_uses_nor_removes_what_it_inherited),
    T(wrong_use_is_refused),
};
T_MAIN(tests)
