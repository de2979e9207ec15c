/* bridge_pace.c - publishes RATE x SECONDS records to a topic at a steady pace,
 * however long that takes, and tells how long each publish took: TOPIC BYTES
 * RATE SECONDS -> "p50 p99 max count all" in ns. The payload begins with
 * CLOCK_MONOTONIC in ns. A publish that finds no room for a minute is a
 * failure. For the tests of the bridge. */
#include <shmq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES_MAX 1000000u
#define PATIENCE_NS UINT64_C(60000000000)

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static uint64_t took[SAMPLES_MAX];
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    uint32_t cnt = 0;

    if (argc != 5)
        return 2;
    uint64_t bytes = strtoull(argv[2], NULL, 10);
    double rate = strtod(argv[3], NULL), seconds = strtod(argv[4], NULL);
    uint8_t *data = calloc(1, bytes < 8 ? 8 : bytes);
    if (!data || shmq_topic_open(NULL, argv[1], &topic) ||
        shmq_producer_open(topic, NULL, &producer)) {
        fprintf(stderr, "%s\n", shmq_error_text());
        return 1;
    }
    uint64_t start = now_ns();
    while (cnt < SAMPLES_MAX && cnt < rate * seconds) {
        uint64_t due = start + (uint64_t)((double)cnt * 1e9 / rate);
        uint64_t now = now_ns();
        if (due > now) {
            struct timespec t = {(time_t)((due - now) / 1000000000u),
                (long)((due - now) % 1000000000u)};
            nanosleep(&t, NULL);
        }
        uint64_t begin = now_ns();
        memcpy(data, &begin, sizeof begin);
        int rc = shmq_producer_publish_wait(
            producer, data, bytes, shmq_deadline(PATIENCE_NS), NULL);
        if (rc) {
            fprintf(stderr, "%s\n", shmq_error_text());
            return 1;
        }
        took[cnt++] = now_ns() - begin;
    }
    if (cnt == 0)
        return 1;
    uint64_t took_all = now_ns() - start;
    qsort(took, cnt, sizeof *took, by_size);
    printf("%llu %llu %llu %u %llu\n", (unsigned long long)took[cnt / 2],
        (unsigned long long)took[(uint64_t)cnt * 99 / 100],
        (unsigned long long)took[cnt - 1], cnt, (unsigned long long)took_all);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    free(data);
    return 0;
}
