/* request_reply.c - asks, and answers.
 *
 *     request_reply serve           answers for ever; start several
 *     request_reply call N          asks for the squares of 1 to N
 */
#include <shmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull

static int fail(const char *what)
{
    (void)fprintf(stderr, "request_reply: %s: %s\n", what, shmq_error_text());
    return 1;
}

static int square(void *ctx, const struct shmq_message *request,
    struct shmq_record *reply)
{
    static uint64_t result; /* lives until the next call */
    uint64_t n;

    (void)ctx;
    if (request->size != sizeof(n))
        return SHMQ_HANDLED_NACK;
    memcpy(&n, request->data, sizeof(n));
    result = n * n;
    reply->data = &result;
    reply->size = sizeof(result);
    return SHMQ_HANDLED_ACK;
}

static int serve(struct shmq_topic *topic)
{
    struct shmq_server *server = NULL;

    if (shmq_server_open(topic, NULL, &server) != 0)
        return fail("open");
    (void)shmq_server_serve_wait(server, square, NULL, SHMQ_FOREVER);
    shmq_server_close(server);
    return fail("serve");
}

static int call(struct shmq_topic *topic, uint64_t cnt)
{
    struct shmq_caller *caller = NULL;

    if (shmq_caller_open(topic, NULL, &caller) != 0)
        return fail("open");
    for (uint64_t n = 1; n <= cnt; n++) {
        struct shmq_record request = {&n, sizeof(n), NULL, 0, 0};
        struct shmq_message reply;
        uint64_t result;
        if (shmq_caller_call_wait(
                caller, &request, shmq_deadline(10 * SECOND), &reply) != 0)
            return fail("call");
        memcpy(&result, reply.data, sizeof(result));
        (void)printf("%llu squared is %llu\n", (unsigned long long)n,
            (unsigned long long)result);
        if (shmq_caller_release(caller, &reply) != 0)
            return fail("release");
    }
    shmq_caller_close(caller); /* its inbox goes with it */
    return 0;
}

int main(int argc, char **argv)
{
    struct shmq_topic *topic = NULL;

    (void)shmq_topic_create(NULL, "squares", NULL); /* or it exists */
    if (shmq_topic_open(NULL, "squares", &topic) != 0)
        return fail("squares");
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return serve(topic);
    if (argc == 3 && strcmp(argv[1], "call") == 0)
        return call(topic, strtoull(argv[2], NULL, 10));
    (void)fprintf(stderr, "usage: request_reply serve|call N\n");
    return 2;
}
