/* remote_hello.c - publishes a line through a bridge and reads it back as a
 * member of a group. usage: remote_hello [ENDPOINT] */
#include <shmq/remote.h>
#include <stdio.h>

#define SECOND 1000000000u

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, shmq_remote_error_text());
    return 1;
}

int main(int argc, char **argv)
{
    const char *endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:5570";
    struct shmq_remote_consumer_options options = {
        .struct_bytes = sizeof options, .group = "greeters"};
    struct shmq_remote *remote;
    struct shmq_remote_producer *producer;
    struct shmq_remote_consumer *consumer;
    struct shmq_message msg;
    uint64_t soon = shmq_remote_deadline(5ull * SECOND), position;

    if (shmq_remote_open(endpoint, NULL, &remote) != 0)
        return fail("open");
    int rc = shmq_remote_topic_create_wait(remote, "hello", NULL, soon);
    if (rc != 0 && rc != SHMQ_ERR_EXISTS)
        return fail("create");
    if (shmq_remote_consumer_open_wait(
            remote, "hello", &options, soon, &consumer) != 0)
        return fail("consumer");
    if (shmq_remote_producer_open_wait(remote, "hello", NULL, soon,
            &producer) != 0 ||
        shmq_remote_producer_publish_wait(
            producer, "Hello", 5, soon, &position) != 0)
        return fail("publish");
    if (shmq_remote_consumer_receive_wait(consumer, soon, &msg) != 0)
        return fail("receive");
    printf("%.*s\n", (int)msg.size, (const char *)msg.data);
    if (shmq_remote_consumer_release(consumer, &msg) != 0 ||
        shmq_remote_consumer_flush_wait(consumer, soon) != 0)
        return fail("acknowledge");
    shmq_remote_close(remote);
    return 0;
}
