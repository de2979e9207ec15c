/* log_pipeline.c - lines of a log go through enriching workers.
 *
 *     log_pipeline produce < app.log       one record a line, to "log.raw"
 *     log_pipeline enrich                  a worker: log.raw -> log.rich
 *     log_pipeline collect N               prints N enriched lines
 *
 * Start as many producers and workers as you like. Workers share the group
 * "enrich": each line goes to one of them; kill one and its line goes to
 * another. A line that a worker cannot read is given back, and after three
 * attempts goes to the dead-letter topic "log.dead" instead of blocking the
 * rest: shmq sub log.dead --from earliest --format json. */
#include <shmq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
    (void)fprintf(stderr, "log_pipeline: %s: %s\n", what, shmq_error_text());
    return 1;
}

/* Opens a topic, made if missing. */
static struct shmq_topic *topic_of(const char *name)
{
    struct shmq_topic *topic = NULL;

    if (shmq_topic_create(NULL, name, NULL) == 0 ||
        shmq_topic_open(NULL, name, &topic) != 0)
        (void)shmq_topic_open(NULL, name, &topic);
    return topic;
}

static struct shmq_consumer *worker_of(struct shmq_topic *topic)
{
    struct shmq_consumer_options o = {.struct_bytes = sizeof(o),
        .group = "enrich",
        .attrs = {.kind = SHMQ_GROUP_SHARED,
            .max_attempts = 3,
            .dead_letter = "log.dead"}};
    struct shmq_consumer *c = NULL;

    return shmq_consumer_open(topic, &o, &c) == 0 ? c : NULL;
}

static int produce(void)
{
    struct shmq_topic *raw = topic_of("log.raw");
    struct shmq_producer *p = NULL;
    char line[4096];

    /* The group exists before the first line, so no line is too early. */
    if (raw == NULL || shmq_producer_open(raw, NULL, &p) != 0)
        return fail("log.raw");
    shmq_consumer_close(worker_of(raw));
    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t len = strcspn(line, "\n");
        if (shmq_producer_publish_wait(p, line, len, SHMQ_FOREVER, NULL) != 0)
            return fail("publish");
    }
    shmq_producer_close(p);
    shmq_topic_close(raw);
    return 0;
}

/* "LEVEL text" becomes "text" with the level as a header and the key. */
static int enrich_one(struct shmq_producer *out, const struct shmq_message *in)
{
    const char *line = in->data;
    const char *blank = memchr(line, ' ', in->size);
    if (blank == NULL)
        return SHMQ_HANDLED_NACK; /* not a line of ours */

    uint32_t level = (uint32_t)(blank - line);
    struct shmq_attr attrs[2] = {{SHMQ_ATTR_KEY, level, line, NULL},
        {SHMQ_ATTR_HEADER, level, line, "level"}};
    struct shmq_record record = {
        blank + 1, in->size - level - 1, attrs, 2, 0};
    int rc = shmq_producer_publish_batch_wait(
        out, &record, 1, SHMQ_FOREVER, NULL);
    return rc == 0 ? SHMQ_HANDLED_ACK : rc;
}

static int handle(void *ctx, const struct shmq_message *msg)
{
    return enrich_one(ctx, msg);
}

static int enrich(void)
{
    struct shmq_topic *raw = topic_of("log.raw"), *rich = topic_of("log.rich");
    struct shmq_consumer *in = raw != NULL ? worker_of(raw) : NULL;
    struct shmq_producer *out = NULL;

    if (in == NULL || rich == NULL || shmq_producer_open(rich, NULL, &out) != 0)
        return fail("open");
    for (;;) {
        int rc = shmq_consumer_poll_wait(in, handle, out, 0, SHMQ_FOREVER);
        if (rc < 0 && rc != SHMQ_ERR_INTR)
            return fail("enrich");
    }
}

static int collect(uint64_t cnt)
{
    struct shmq_consumer_options o = {.struct_bytes = sizeof(o),
        .group = "collect",
        .attrs = {.kind = SHMQ_GROUP_EXCLUSIVE}};
    struct shmq_topic *rich = topic_of("log.rich");
    struct shmq_consumer *in = NULL;
    struct shmq_message msg;
    struct shmq_attr level;

    if (rich == NULL || shmq_consumer_open(rich, &o, &in) != 0)
        return fail("log.rich");
    for (uint64_t i = 0; i < cnt; i++) {
        if (shmq_consumer_receive_wait(in, SHMQ_FOREVER, &msg) != 0 ||
            shmq_message_attr(&msg, SHMQ_ATTR_HEADER, 0, &level) != 0)
            return fail("collect");
        (void)printf("[%.*s] %.*s\n", (int)level.value_bytes,
            (const char *)level.value, (int)msg.size, (const char *)msg.data);
        if (shmq_consumer_release(in, &msg) != 0)
            return fail("release");
    }
    shmq_consumer_close(in);
    shmq_topic_close(rich);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "produce") == 0)
        return produce();
    if (argc == 2 && strcmp(argv[1], "enrich") == 0)
        return enrich();
    if (argc == 3 && strcmp(argv[1], "collect") == 0)
        return collect(strtoull(argv[2], NULL, 10));
    (void)fprintf(stderr, "usage: log_pipeline produce|enrich|collect N\n");
    return 2;
}
