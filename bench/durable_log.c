/* durable_log.c - the log's speed (durable_log.h). */
#define _GNU_SOURCE
#include "durable_log.h"

#include "bridge/codec/payload.h"
#include "clock.h"
#include "fio.h"

#include <fcntl.h>
#include <glob.h>
#include <shmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define PATIENCE (20 * SECOND)
#define RECORD 1024u
#define BATCH 64u
#define TOTAL (512u << 20)
#define ARENA (32u << 20)
#define TOPIC "log"

static int fail(char error[192], const char *what, int rc)
{
    snprintf(error, 192, "%s: %s: %.130s", what, shmq_err_name(rc),
        shmq_error_text());
    return -1;
}

static double rate_of(uint64_t bytes, uint64_t begin_ns)
{
    return (double)bytes * 1e9 / (double)(lab_now_ns() - begin_ns);
}

/* --- writing -------------------------------------------------------------- */

static int publish_all(
    struct shmq_producer *producer, double *ret, char error[192])
{
    static char data[BATCH][RECORD];
    struct shmq_record records[BATCH];
    uint64_t positions[BATCH] = {0};
    int rc = 0;

    memset(records, 0, sizeof(records));
    memset(data, 'd', sizeof(data));
    for (uint32_t i = 0; i < BATCH; i++) {
        records[i].data = data[i];
        records[i].size = RECORD;
    }
    uint64_t begin = lab_now_ns();
    for (uint64_t done = 0; !rc && done < TOTAL; done += BATCH * RECORD)
        rc = shmq_producer_publish_batch_wait(
            producer, records, BATCH, shmq_deadline(PATIENCE), positions);
    if (!rc)
        rc = shmq_producer_level_wait(producer, positions[BATCH - 1],
            SHMQ_LEVEL_DURABLE, shmq_deadline(PATIENCE));
    *ret = rate_of(TOTAL, begin);
    return rc ? fail(error, "drain", rc) : 0;
}

static int drain(struct shmq_topic *topic, double *ret, char error[192])
{
    struct shmq_producer *producer;
    int rc = shmq_producer_open(topic, NULL, &producer);

    if (rc)
        return fail(error, "drain", rc);
    rc = publish_all(producer, ret, error);
    shmq_producer_close(producer);
    return rc;
}

/* --- reading -------------------------------------------------------------- */

/* The topic's segment files: those of the largest directory. */
static int find_files(const struct lab_daemon *daemon, glob_t *ret)
{
    char pattern[600];

    snprintf(pattern, sizeof(pattern), "%s/data/topics/*/*.seg", daemon->dir);
    return glob(pattern, 0, NULL, ret);
}

/* Reads every file and computes its CRC, through the page cache. */
static uint64_t read_crc(const glob_t *files, uint32_t *crc)
{
    static char block[256 << 10];
    uint64_t bytes = 0;

    for (size_t i = 0; i < files->gl_pathc; i++) {
        int fd = open(files->gl_pathv[i], O_RDONLY | O_CLOEXEC);
        ssize_t n;
        while (fd >= 0 && (n = read(fd, block, sizeof(block))) > 0) {
            *crc = shmqw_crc32c(*crc, block, (size_t)n);
            bytes += (uint64_t)n;
        }
        if (fd >= 0)
            close(fd);
    }
    return bytes;
}

static int count(void *ctx, const struct shmq_message *msg)
{
    uint64_t *bytes = ctx;

    *bytes += msg->size;
    return 0;
}

static int catch_up(struct shmq_topic *topic, double *ret, char error[192])
{
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .flags = SHMQ_CONSUMER_READ_DURABLE,
        .start = {.kind = SHMQ_START_EARLIEST}};
    struct shmq_consumer *consumer;
    uint64_t bytes = 0;
    int rc = shmq_consumer_open(topic, &options, &consumer);

    if (rc)
        return fail(error, "catch-up", rc);
    uint64_t begin = lab_now_ns();
    while (rc >= 0 && bytes < TOTAL)
        rc = shmq_consumer_poll_wait(
            consumer, count, &bytes, 1024, shmq_deadline(PATIENCE));
    *ret = rate_of(bytes, begin);
    shmq_consumer_close(consumer);
    return rc < 0 ? fail(error, "catch-up", rc) : 0;
}

static int reading(const struct lab_daemon *daemon, struct shmq_topic *topic,
    struct lab_log_rates *ret, char error[192])
{
    glob_t files = {0};
    uint32_t crc = 0;
    double sum = 0;
    int rc = find_files(daemon, &files);

    if (rc) {
        snprintf(error, 192, "no segment files");
        return -1;
    }
    (void)read_crc(&files, &crc); /* into the page cache */
    uint64_t begin = lab_now_ns();
    ret->read_crc = rate_of(read_crc(&files, &crc), begin);
    rc = catch_up(topic, &ret->catch_up, error);
    if (!rc) { /* around it, so that a drift of the machine cancels out */
        begin = lab_now_ns();
        sum = ret->read_crc + rate_of(read_crc(&files, &crc), begin);
        ret->read_crc = sum / 2;
    }
    globfree(&files);
    return rc;
}

/* --- recovery ------------------------------------------------------------- */

static double number_in(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at ? strtod(at + strlen(key), NULL) : 0;
}

/* The report of the recovery that read most. */
static int scan_rate(
    const struct lab_daemon *daemon, double *ret, char error[192])
{
    glob_t files = {0};
    char text[2048];
    double most = 0;

    snprintf(text, sizeof(text), "%s/data/topics/*/recovery.json", daemon->dir);
    if (glob(text, 0, NULL, &files) == 0) {
        for (size_t i = 0; i < files.gl_pathc; i++) {
            FILE *file = fopen(files.gl_pathv[i], "r");
            size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
            text[n] = '\0';
            if (file)
                fclose(file);
            double bytes = number_in(text, "\"scanned_bytes\":");
            if (bytes > most) {
                most = bytes;
                *ret = bytes / number_in(text, "\"recovery_seconds\":");
            }
        }
        globfree(&files);
    }
    if (most > 0)
        return 0;
    snprintf(error, 192, "recovery scanned nothing");
    return -1;
}

int lab_durable_log(
    struct lab_daemon *daemon, struct lab_log_rates *ret, char error[192])
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs),
        .durability = SHMQ_DURABILITY_DISK,
        .arena_bytes = ARENA};
    struct shmq_topic *topic;
    int rc = shmq_topic_create_durable(daemon->ns, TOPIC, &attrs, NULL);

    if (!rc)
        rc = shmq_topic_open(daemon->ns, TOPIC, &topic);
    if (rc)
        return fail(error, TOPIC, rc);
    rc = drain(topic, &ret->drain, error);
    if (!rc)
        rc = lab_fio_best(daemon->dir, 1, TOTAL, &ret->fio_write, error);
    if (!rc)
        rc = reading(daemon, topic, ret, error);
    shmq_topic_close(topic);
    if (!rc)
        rc = lab_daemon_again(daemon, error);
    if (!rc)
        rc = scan_rate(daemon, &ret->scan, error);
    if (!rc)
        rc = lab_fio_best(daemon->dir, 0, TOTAL, &ret->fio_read, error);
    return rc;
}
