/* pub_run.c - from the input to frames. */
#include "pub.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli_clock.h"
#include "cli_signals.h"
#include "lib.h"

enum {
    /* A partial frame goes out at most 1 ms after its input would have
     * blocked; this leaves room for the sleep to end late. */
    LINGER_NS = 600 * 1000,
    /* How far --rate may catch up after it was held up: more would be a
     * burst. */
    CATCH_UP_NS = 50 * 1000 * 1000
};

/* The bytes a frame may take: half the arena, less its header. */
static uint64_t frame_max(const struct pub *pub)
{
    uint64_t head = lib_is_remote() ? 128 : 64; /* the bridge adds to it */
    return pub->attrs.arena_bytes / 2 - head;
}

/* Adds --key where the record has none, and --header. */
static void add_common_attrs(const struct pub *pub, struct cli_record *record)
{
    const struct cli_record *common = &pub->options->attrs;
    bool has_key = false;
    for (uint32_t i = 0; i < record->attr_cnt; i++)
        has_key = has_key || record->attrs[i].type == SHMQ_ATTR_KEY;
    for (uint32_t i = 0; i < common->attr_cnt; i++) {
        const struct shmq_attr *attr = &common->attrs[i];
        if (attr->type != SHMQ_ATTR_KEY || !has_key)
            cli_record_add_attr(
                record, attr->type, attr->name, attr->value, attr->value_bytes);
    }
}

/* Adds a record to the frame; publishes it first where both do not fit. */
static int add_record(struct pub *pub, const struct cli_record *record)
{
    struct pub_frame *frame = &pub->frame;
    struct shmq_record measured = {
        record->data, record->size, record->attrs, record->attr_cnt, 0};
    uint64_t bytes;
    int rc = shmq_record_bytes(&measured, &bytes);
    if (rc != SHMQ_OK) {
        int status = pub_flush(pub);
        return status != CLI_DONE ? status : pub_fail_rc(pub, rc);
    }
    if (frame->record_cnt > 0 && frame->bytes + bytes > frame_max(pub)) {
        int status = pub_flush(pub);
        if (status != CLI_DONE)
            return status;
    }
    pub_frame_add(frame, record, pub->source.line);
    frame->bytes += bytes;
    if (frame->record_cnt >= pub->options->batch)
        return pub_flush(pub);
    return CLI_DONE;
}

/* Holds the next record back until it is due. */
static int pace(struct pub *pub)
{
    if (pub->options->rate <= 0)
        return CLI_DONE;
    uint64_t now = cli_now_ns();
    if (pub->due_ns == 0)
        pub->due_ns = now;
    if (now < pub->due_ns) {
        int status = pub_flush(pub);
        if (status == CLI_DONE)
            status = pub_settle(pub);
        if (status == CLI_DONE)
            status = pub_flush_positions(pub);
        if (status != CLI_DONE)
            return status;
        while (cli_now_ns() < pub->due_ns && cli_signal() == 0)
            cli_sleep_until(pub->due_ns);
    } else if (now - pub->due_ns > CATCH_UP_NS) {
        pub->due_ns = now - CATCH_UP_NS;
    }
    pub->due_ns += (uint64_t)(1e9 / pub->options->rate);
    return CLI_DONE;
}

/* The input would block: a frame that has been waiting long enough goes out,
 * and so do the positions. *ret_block: there is nothing left to do but wait. */
static int while_blocked(struct pub *pub, bool *ret_block)
{
    struct pub_frame *frame = &pub->frame;
    uint64_t now = cli_now_ns();
    if (frame->record_cnt > 0) {
        if (frame->blocked_ns == 0)
            frame->blocked_ns = now;
        uint64_t until = frame->blocked_ns + LINGER_NS;
        if (now < until) {
            cli_input_wait(&pub->source.in, until - now);
            return CLI_DONE;
        }
        int status = pub_flush(pub);
        if (status != CLI_DONE)
            return status;
    }
    *ret_block = true;
    int status = pub_settle(pub);
    return status != CLI_DONE ? status : pub_flush_positions(pub);
}

/* Publishes what was read; from afar, waits until it is. */
static int flush_all(struct pub *pub)
{
    int status = pub_flush(pub);
    if (status == CLI_DONE && lib_is_remote())
        status = pub_remote_settle(pub);
    return status;
}

/* The earlier records are published before the failure is told. */
static int input_failed(struct pub *pub)
{
    char thing[512];
    int status = flush_all(pub);
    if (status != CLI_DONE)
        return status;
    if (pub->source.status == CLI_FAILED)
        return pub_fail(
            pub, pub->source.status, pub->source.in.name, pub->source.reason);
    pub->read_cnt++;
    snprintf(thing, sizeof(thing), "%s:%" PRIu64, pub->source.in.name,
        pub->source.line);
    return pub_fail(pub, pub->source.status, thing, pub->source.reason);
}

/* What was read completely is published, when there is room. */
static int input_signalled(struct pub *pub)
{
    int status = pub_flush(pub);
    return status != CLI_DONE ? status : pub_fail_signal(pub);
}

static int publish_input(struct pub *pub, struct cli_record *record)
{
    bool block = false;
    for (;;) {
        int status;
        if (cli_signal() != 0)
            return input_signalled(pub);
        enum cli_next next = cli_source_next(&pub->source, block, record);
        block = false;
        switch (next) {
        case CLI_NEXT_RECORD:
            pub->read_cnt++;
            add_common_attrs(pub, record);
            status = pace(pub);
            if (status == CLI_DONE)
                status = add_record(pub, record);
            break;
        case CLI_NEXT_BLOCKED:
            status = while_blocked(pub, &block);
            break;
        case CLI_NEXT_END:
            return pub_flush(pub);
        case CLI_NEXT_SIGNAL:
            return input_signalled(pub);
        default:
            return input_failed(pub);
        }
        if (status != CLI_DONE)
            return status;
    }
}

static int publish_file(
    struct pub *pub, const char *path, struct cli_record *record)
{
    int err = cli_source_open(&pub->source, path);
    if (err != 0)
        return pub_fail_file(pub, path, err);
    int status = publish_input(pub, record);
    cli_source_close(&pub->source);
    return status;
}

static int tell_drops(const struct pub *pub)
{
    char reason[160];
    snprintf(reason, sizeof(reason),
        "the ring was full and %" PRIu64 " records were dropped; read faster, "
        "or make the topic with --on-full block",
        pub->dropped_cnt);
    return pub_fail(pub, CLI_NO_ROOM, NULL, reason);
}

int pub_run(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    struct cli_record record = {NULL, 0, NULL, 0, 0};
    int status = CLI_DONE;
    for (uint32_t i = 0; i < o->file_cnt && status == CLI_DONE; i++)
        status = publish_file(pub, o->files[i], &record);
    cli_record_free(&record);
    if (status == CLI_DONE)
        status = pub_settle(pub);
    /* Positions that were reached are printed also after a failure; that
     * failure's status counts. */
    int flushed = pub_flush_positions(pub);
    if (status == CLI_DONE)
        status = flushed;
    if (status == CLI_DONE && pub->dropped_cnt > 0)
        status = tell_drops(pub);
    return status;
}
