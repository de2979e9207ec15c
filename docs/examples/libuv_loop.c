/* libuv_loop.c - a consumer in a libuv loop: prints ten records of "ticks".
 *
 * The descriptor is polled by uv_poll_t; the callback receives until EMPTY. A
 * topic may be busy, so a callback takes a bounded number of records at a time
 * and comes again by an idle handle: other handles get their turn. */
#include <shmq.h>
#include <stdio.h>
#include <uv.h>

#define AT_ONCE 64
#define WANTED 10

static struct shmq_consumer *consumer;
static uv_poll_t poller;
static uv_idle_t again;
static int seen;

static void take(void)
{
    struct shmq_message msg;
    int rc = SHMQ_OK;

    for (int i = 0; i < AT_ONCE && seen < WANTED; i++) {
        rc = shmq_consumer_receive(consumer, &msg);
        if (rc != SHMQ_OK)
            break;
        (void)printf("%.*s\n", (int)msg.size, (const char *)msg.data);
        (void)shmq_consumer_release(consumer, &msg);
        seen++;
    }
    if (seen == WANTED || (rc != SHMQ_OK && rc != SHMQ_ERR_EMPTY))
        uv_stop(poller.loop);
}

static void on_idle(uv_idle_t *handle)
{
    int before = seen;

    take();
    if (seen - before < AT_ONCE) /* EMPTY: the descriptor is armed again */
        (void)uv_idle_stop(handle);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    int before = seen;

    (void)handle;
    (void)status;
    (void)events;
    take();
    if (seen - before == AT_ONCE)
        (void)uv_idle_start(&again, on_idle);
}

int main(void)
{
    struct shmq_consumer_options o = {
        .struct_bytes = sizeof(o), .group = "libuv"};
    struct shmq_topic *topic = NULL;
    int fd;

    (void)shmq_topic_create(NULL, "ticks", NULL);
    if (shmq_topic_open(NULL, "ticks", &topic) != 0 ||
        shmq_consumer_open(topic, &o, &consumer) != 0 ||
        shmq_consumer_fd(consumer, &fd) != 0)
        return 1;
    (void)uv_poll_init(uv_default_loop(), &poller, fd);
    (void)uv_idle_init(uv_default_loop(), &again);
    (void)uv_poll_start(&poller, UV_READABLE, on_readable);
    (void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    shmq_consumer_close(consumer);
    shmq_topic_close(topic);
    return seen == WANTED ? 0 : 1;
}
