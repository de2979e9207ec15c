/* frames_4m.c - frames of 4 MiB, from one camera to three readers, without a
 * copy: the camera writes into the ring, the readers look at the same bytes.
 *     frames_4m [N]        (default 50 frames)
 * Tells what letting a frame go cost each reader, beside the reading. */
#include <shmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME (4u << 20)
#define READERS 3

static int fail(const char *what)
{
    (void)fprintf(stderr, "frames_4m: %s: %s\n", what, shmq_error_text());
    return 1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t sum_of(const uint64_t *words, uint64_t cnt)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < cnt; i++)
        sum += words[i];
    return sum;
}

/* Frame `n` holds n, and its sum in the last word. */
static int read_frames(struct shmq_topic *topic, const char *group, uint64_t cnt)
{
    struct shmq_consumer_options o = {.struct_bytes = sizeof(o),
        .group = group,
        .attrs = {.kind = SHMQ_GROUP_EXCLUSIVE},
        .prefetch_frames = 2};
    struct shmq_consumer *c = NULL;
    uint64_t least_ns = UINT64_MAX;

    if (shmq_consumer_open(topic, &o, &c) != 0)
        return fail("open");
    for (uint64_t n = 0; n < cnt; n++) {
        struct shmq_message msg;
        if (shmq_consumer_receive_wait(c, SHMQ_FOREVER, &msg) != 0)
            return fail("receive");
        const uint64_t *words = msg.data; /* in the ring itself */
        uint64_t last = FRAME / 8 - 1;
        if (msg.size != FRAME || words[0] != n ||
            sum_of(words, last) != words[last])
            return fail("a frame is damaged");
        uint64_t begin = now_ns();
        if (shmq_consumer_release(c, &msg) != 0)
            return fail("release");
        least_ns = least(least_ns, now_ns() - begin);
    }
    (void)printf("%s: %llu frames whole, release %llu ns at best\n", group,
        (unsigned long long)cnt, (unsigned long long)least_ns);
    shmq_consumer_close(c);
    return 0;
}

static int write_frames(struct shmq_topic *topic, uint64_t cnt)
{
    struct shmq_producer *p = NULL;

    if (shmq_producer_open(topic, NULL, &p) != 0)
        return fail("producer");
    for (uint64_t n = 0; n < cnt; n++) {
        struct shmq_loan loan;
        if (shmq_producer_loan_wait(
                p, FRAME, NULL, 0, SHMQ_FOREVER, &loan) != 0)
            return fail("loan");
        uint64_t *words = loan.data;
        for (uint64_t i = 0; i < FRAME / 8 - 1; i++)
            words[i] = n + i;
        words[FRAME / 8 - 1] = sum_of(words, FRAME / 8 - 1);
        if (shmq_producer_commit_wait(
                p, &loan, FRAME, SHMQ_FOREVER, NULL) != 0)
            return fail("commit");
    }
    (void)printf("camera: %llu frames\n", (unsigned long long)cnt);
    shmq_producer_close(p);
    return 0;
}

int main(int argc, char **argv)
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs),
        .capacity_frames = 16,
        .arena_bytes = 64u << 20,
        .max_message_bytes = FRAME,
        .max_producers = 1};
    struct shmq_group_attrs group = {
        .struct_bytes = sizeof(group), .kind = SHMQ_GROUP_EXCLUSIVE};
    static const char *const names[READERS] = {"display", "record", "detect"};
    uint64_t cnt = argc > 1 ? strtoull(argv[1], NULL, 10) : 50;
    struct shmq_topic *topic = NULL;
    int bad = 0, status;

    (void)shmq_topic_create(NULL, "camera", &attrs);
    if (shmq_topic_open(NULL, "camera", &topic) != 0)
        return fail("camera");
    for (int i = 0; i < READERS; i++)
        if (shmq_group_create(topic, names[i], &group, NULL) != 0)
            return fail("group");
    for (int i = 0; i < READERS; i++) {
        (void)fflush(stdout);
        if (fork() == 0) { /* handles do not survive a fork: open anew */
            if (shmq_topic_open(NULL, "camera", &topic) != 0)
                exit(fail("camera"));
            exit(read_frames(topic, names[i], cnt));
        }
    }
    bad = write_frames(topic, cnt);
    while (wait(&status) > 0)
        bad |= status;
    shmq_topic_close(topic);
    (void)shmq_topic_unlink(NULL, "camera", 0);
    return bad != 0;
}
