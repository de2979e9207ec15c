/* pub_open.c - opens the topic and the producer of `shmq pub`. */
#include "pub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_clock.h"
#include "cli_signals.h"
#include "lib.h"

enum {
    RETRY_NS = 20 * 1000 * 1000,
    CREATE_TRIES = 100 /* it may be removed again as often as it is made */
};

static const char *const level_names[] = {"published", "written", "durable"};
static const char *const durability_names[] = {"none", "os", "disk"};

static int open_schema(const struct pub_options *o, struct shmq_topic **ret)
{
    return o->schema != NULL
        ? lib_topic_open_schema(o->ns, o->topic, o->schema, ret)
        : lib_topic_open(o->ns, o->topic, ret);
}

/* Makes the topic with the defaults. EXISTS is as good: somebody was faster. */
static int make_topic(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    struct shmq_topic_attrs attrs;
    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    attrs.schema = o->schema;
    int rc = lib_topic_create(o->ns, o->topic, &attrs);
    if (rc == SHMQ_OK)
        cli_note(
            "%s: there was no such topic; created with the defaults", o->topic);
    else if (rc != SHMQ_ERR_EXISTS)
        return pub_fail_rc(pub, rc);
    return CLI_DONE;
}

/* Waits for shmqd to serve the topic, which alone can make a durable one. */
static int wait_for_topic(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    uint64_t begin = cli_now_ns();
    uint64_t deadline = cli_later(begin, o->timeout_ns);
    bool told = false;
    for (;;) {
        int rc = open_schema(o, &pub->topic);
        uint64_t now = cli_now_ns();
        if (rc == SHMQ_OK)
            return CLI_DONE;
        if (rc != SHMQ_ERR_NOENT)
            return pub_fail_rc(pub, rc);
        if (cli_signal() != 0)
            return pub_fail_signal(pub);
        if (now >= deadline)
            return pub_fail(pub, CLI_TIMEOUT, NULL,
                "shmqd did not serve this topic in time; start shmqd, or "
                "give --wait published");
        if (!told && now - begin >= 1000000000) {
            cli_note("%s: waiting for shmqd to serve this topic", o->topic);
            told = true;
        }
        cli_sleep_until(cli_sooner(deadline, now + RETRY_NS));
    }
}

static int open_topic(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    int rc = SHMQ_ERR_NOENT;
    for (int i = 0; i < CREATE_TRIES && rc == SHMQ_ERR_NOENT; i++) {
        rc = open_schema(o, &pub->topic);
        if (rc != SHMQ_ERR_NOENT || o->no_create)
            break;
        if (o->level_given && o->level > PUB_PUBLISHED)
            return wait_for_topic(pub);
        int status = make_topic(pub);
        if (status != CLI_DONE)
            return status;
    }
    return rc == SHMQ_OK ? CLI_DONE : pub_fail_rc(pub, rc);
}

/* A topic's durability is the highest level that it can reach. */
static int check_level(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    uint32_t durability = pub->attrs.durability;
    uint32_t highest = durability <= PUB_DURABLE ? durability : PUB_DURABLE;
    uint32_t level = o->level_given ? o->level : highest;
    if (level > highest)
        return cli_fail(CLI_USAGE,
            "%s: --wait %s cannot be reached on a topic of durability %s; "
            "give --wait %s",
            o->topic, level_names[level], durability_names[highest],
            level_names[highest]);
    pub->level = SHMQ_LEVEL_PUBLISHED + level;
    return CLI_DONE;
}

/* A name that is wrong is told before anything is made or published. */
static int check_files(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    for (uint32_t i = 0; i < o->file_cnt; i++) {
        const char *path = o->files[i];
        if (strcmp(path, "-") != 0 && access(path, R_OK) != 0)
            return pub_fail_file(pub, path, errno);
    }
    return CLI_DONE;
}

int pub_open(struct pub *pub)
{
    int status = check_files(pub);
    if (status == CLI_DONE)
        status = open_topic(pub);
    if (status != CLI_DONE)
        return status;
    pub->attrs.struct_bytes = sizeof(pub->attrs);
    int rc = lib_topic_attrs(pub->topic, &pub->attrs);
    if (rc != SHMQ_OK)
        return pub_fail_rc(pub, rc);
    status = check_level(pub);
    if (status != CLI_DONE)
        return status;
    if (lib_is_remote()) {
        status = pub_remote_open(pub);
        if (status != CLI_DONE)
            return status;
    } else {
        rc = shmq_producer_open(pub->topic, NULL, &pub->producer);
        if (rc != SHMQ_OK)
            return pub_fail_rc(pub, rc);
    }
    pub->source.max_bytes = pub->attrs.max_message_bytes;
    pub->source.format = (enum cli_format)pub->options->format;
    return CLI_DONE;
}

void pub_close(struct pub *pub)
{
    pub_remote_close(pub);
    shmq_producer_close(pub->producer);
    lib_topic_close(pub->topic);
    free(pub->waiting);
    pub_frame_free(&pub->frame);
    cli_out_free(&pub->out);
    cli_input_free(&pub->source.in);
}
