/* shmqd_client - what the tests of shmqd need and the command does not do.
 *
 *   pad TOPIC        publishes and waits for the disk, then is killed in a loan
 *                    that begins anew at the front of the spsc ring
 *   fill TOPIC       publishes until the ring takes no more; prints how many
 *   commit TOPIC S   one member of group g acknowledges all the time; another
 *                    one waits S seconds for its place to be on the disk */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmq.h>

enum { SIZE = 10000, LARGE = 16000 };
#define SECOND_NS UINT64_C(1000000000)

static const char bytes[LARGE];

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "%s\n", shmq_error_text());
        exit(1);
    }
}

static struct shmq_producer *producer_of(const char *name)
{
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    must(shmq_topic_open(NULL, name, &topic));
    must(shmq_producer_open(topic, NULL, &producer));
    return producer;
}

static struct shmq_consumer *member_of(const char *name)
{
    struct shmq_topic *topic;
    struct shmq_consumer *consumer;
    struct shmq_consumer_options options;
    memset(&options, 0, sizeof(options));
    options.struct_bytes = sizeof(options);
    options.group = "g";
    options.start.kind = SHMQ_START_EARLIEST;
    must(shmq_topic_open(NULL, name, &topic));
    must(shmq_consumer_open(topic, &options, &consumer));
    return consumer;
}

static int pad(const char *name)
{
    struct shmq_producer *producer = producer_of(name);
    struct shmq_loan loan;
    uint64_t pos;
    for (int i = 0; i < 6; i++)
        must(shmq_producer_publish_level_wait(
            producer, bytes, SIZE, SHMQ_LEVEL_DURABLE, SHMQ_FOREVER, &pos));
    must(shmq_producer_loan(producer, LARGE, NULL, 0, &loan));
    return raise(SIGKILL);
}

static int fill(const char *name)
{
    struct shmq_producer *producer = producer_of(name);
    uint64_t pos;
    int cnt = 0;
    while (shmq_producer_publish(producer, bytes, SIZE, &pos) == 0)
        cnt++;
    printf("%d\n", cnt);
    return 0;
}

static void acknowledge(const char *name, const volatile pid_t *parent)
{
    struct shmq_consumer *consumer = member_of(name);
    struct shmq_message message;
    while (getppid() == *parent) {
        if (shmq_consumer_receive_wait(
                consumer, now_ns() + SECOND_NS / 200, &message) == 0)
            must(shmq_consumer_release(consumer, &message));
        usleep(1000);
    }
}

static int commit(const char *name, uint64_t seconds)
{
    pid_t self = getpid(), child = fork();
    uint64_t pos = 0;
    if (child == 0) {
        acknowledge(name, &self);
        _exit(0);
    }
    struct shmq_consumer *consumer = member_of(name);
    struct shmq_message message;
    if (shmq_consumer_receive_wait(
            consumer, now_ns() + seconds * SECOND_NS, &message) == 0)
        must(shmq_consumer_release(consumer, &message));
    usleep(200000); /* in which the other one moves on */
    int rc = shmq_consumer_commit_wait(
        consumer, now_ns() + seconds * SECOND_NS, &pos);
    puts(rc == 0 ? "done" : shmq_error_text());
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return rc != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "pad") == 0)
        return pad(argv[2]);
    if (argc == 3 && strcmp(argv[1], "fill") == 0)
        return fill(argv[2]);
    if (argc == 4 && strcmp(argv[1], "commit") == 0)
        return commit(argv[2], strtoull(argv[3], NULL, 10));
    return 2;
}
