/* test_remote_net.c - the sockets of the client for other hosts. */
#include "support/unit.h"

#include "client/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { MESSAGES = 200 };

/* A peer that sends messages of two parts, as DELIVER is, and goes away. */
static void send_all_and_go(void *context, const char *endpoint,
    struct shmqr_net *net, struct shmqr_socket **ret)
{
    void *router = zmq_socket(context, ZMQ_ROUTER);
    char name[256], text[16];
    const struct shmqr_keys keys = {NULL, NULL, NULL};
    int linger = 10000;

    T_EQ(zmq_bind(router, endpoint), 0);
    T_EQ(shmqr_dealer_open(net, endpoint, &keys, ret), 0);
    T_EQ(shmqr_send(*ret, "hello", 5, NULL, 0), 0);
    int name_len = zmq_recv(router, name, sizeof name, 0);
    T_TRUE(name_len > 0);
    T_EQ(zmq_recv(router, text, sizeof text, 0), 5);
    for (int i = 0; i < MESSAGES; i++) {
        T_EQ(zmq_send(router, name, (size_t)name_len, ZMQ_SNDMORE), name_len);
        int n = snprintf(text, sizeof text, "%d", i);
        T_EQ(zmq_send(router, text, (size_t)n, ZMQ_SNDMORE), n);
        T_EQ(zmq_send(router, "payload", 7, 0), 7);
    }
    zmq_setsockopt(router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(router); /* what was sent arrives, then the connection ends */
}

/* Each number of receive calls makes ZeroMQ look at what became of connections:
 * a socket that is to give one up at once does so between two parts of a
 * message, and then ends the process. */
TEST(what_arrived_before_a_connection_ended_is_received_whole)
{
    char directory[] = "/tmp/shmq-net-XXXXXX", endpoint[64];
    struct shmqr_net *net = NULL;
    struct shmqr_socket *s = NULL;
    void *context = zmq_ctx_new();

    T_TRUE(mkdtemp(directory) != NULL);
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/r", directory);
    T_EQ(shmqr_net_open(&net), 0);
    send_all_and_go(context, endpoint, net, &s);
    zmq_ctx_term(context); /* all was sent */
    while (shmqr_event(s) != SHMQR_LOST)
        usleep(1000);
    for (int i = 0; i < MESSAGES; i++) {
        struct shmqr_parts parts;
        T_EQ(shmqr_receive(s, &parts), 0);
        T_EQ(parts.cnt, 2);
        T_EQ(strtol((char *)parts.data[0], NULL, 10), i);
        T_EQ(parts.len[1], 7);
        shmqr_parts_free(&parts);
    }
    struct shmqr_parts none;
    T_EQ(shmqr_receive(s, &none), EAGAIN);
    shmqr_socket_close(s, 0);
    shmqr_net_close(net);
    (void)unlink(endpoint + strlen("ipc://"));
    T_EQ(rmdir(directory), 0);
}

static const struct CMUnitTest tests[] = {
    T(what_arrived_before_a_connection_ended_is_received_whole),
};
T_MAIN(tests)
