/* sub_sink.c - records to stdout, acknowledged when they are there. */
#include "sub.h"

#include <errno.h>
#include <inttypes.h>

#include "cli_clock.h"
#include "cli_mem.h"
#include "cli_record.h"
#include "cli_signals.h"
#include "lib.h"

static void put_prefixed(struct cli_out *out, const struct shmq_message *msg)
{
    unsigned char prefix[4];
    for (uint32_t i = 0; i < 4; i++)
        prefix[i] = (unsigned char)(msg->size >> (8 * i));
    cli_out_bytes(out, prefix, sizeof(prefix));
    cli_out_bytes(out, msg->data, msg->size);
}

static void hold(
    struct sub *sub, struct sub_source *source, const struct shmq_message *msg)
{
    cli_grow(&sub->held, &sub->held_cap, sub->held_cnt + 1, sizeof(*sub->held));
    struct sub_held *held = &sub->held[sub->held_cnt++];
    held->source = source;
    held->is_record = msg != NULL;
    held->end = sub->out.len;
    if (msg != NULL) {
        held->msg = *msg;
        sub->held_record_cnt++;
    }
}

int sub_put(
    struct sub *sub, struct sub_source *source, const struct shmq_message *msg)
{
    switch (sub->options->format) {
    case CLI_JSON:
        cli_record_to_json(&sub->json, source->name, msg);
        break;
    case CLI_LENGTH_PREFIXED:
        if (msg->size > UINT32_MAX)
            return cli_fail(CLI_NO_ROOM,
                "%s: the record at %" PRIu64 " is too long for a length of "
                "32 bits; use --format lines or json",
                source->name, msg->position);
        put_prefixed(&sub->out, msg);
        break;
    default:
        cli_out_bytes(&sub->out, msg->data, msg->size);
        cli_out_char(&sub->out, '\n');
        break;
    }
    hold(sub, source, msg);
    /* Acknowledged before it is written: buffering would only add to what a
     * kill loses. */
    if (sub->options->ack == SUB_ACK_BEFORE ||
        sub->out.len >= CLI_OUT_FLUSH_BYTES)
        return sub_flush(sub);
    return CLI_DONE;
}

int sub_put_gap(struct sub *sub, struct sub_source *source)
{
    struct shmq_gap gap;
    const char *topic = source->name;
    if (lib_consumer_gap(source->consumer, &gap) != SHMQ_OK)
        return CLI_DONE;
    if (sub->options->format == CLI_JSON) {
        cli_gap_to_json(&sub->json, topic, &gap);
        hold(sub, source, NULL);
        return CLI_DONE;
    }
    if (gap.messages != UINT64_MAX)
        cli_note("%s: gap from %" PRIu64 " to %" PRIu64 ": %" PRIu64
                 " records in %" PRIu64 " frames are missing, %s",
            topic, gap.from, gap.to, gap.messages, gap.frames,
            cli_gap_reason(gap.reason));
    else
        cli_note("%s: gap from %" PRIu64 " to %" PRIu64 ": %" PRIu64
                 " frames are missing, %s",
            topic, gap.from, gap.to, gap.frames, cli_gap_reason(gap.reason));
    return CLI_DONE;
}

bool sub_must_end(const struct sub *sub)
{
    return cli_signal() != 0 ||
        (sub->end_ns != SHMQ_FOREVER && cli_now_ns() >= sub->end_ns);
}

/* The lease ended while we had the record: another member gets it too. */
static void tell_stale(struct sub *sub, const char *topic, uint64_t position)
{
    if (!sub->stale_told)
        cli_note("%s: the record at %" PRIu64 " was acknowledged too late and "
                 "has moved to another member; use a longer --lease (told "
                 "once)",
            topic, position);
    sub->stale_told = true;
}

static int acknowledge(struct sub *sub, struct sub_held *held)
{
    struct sub_source *source = held->source;
    int rc;
    if (!held->is_record)
        return CLI_DONE;
    source->last_position = held->msg.position;
    rc = lib_consumer_release(source->consumer, &held->msg);
    if (rc == SHMQ_OK)
        sub->done_cnt++;
    else if (rc == SHMQ_ERR_STALE)
        tell_stale(sub, source->name, held->msg.position);
    else if (rc != SHMQ_ERR_CLOSED || sub->watch == NULL)
        return cli_fail_rc(rc, source->name);
    source->handed_cnt++;
    return CLI_DONE;
}

/* From afar acknowledgements are carried out, or found late, together. */
static int settle(struct sub *sub, struct sub_source *source)
{
    int rc = lib_consumer_settle(source->consumer);
    if (rc == SHMQ_ERR_STALE)
        tell_stale(sub, source->name, source->last_position);
    else if (rc != SHMQ_OK && (rc != SHMQ_ERR_CLOSED || sub->watch == NULL))
        return cli_fail_rc(rc, source->name);
    return CLI_DONE;
}

/* How far may be written from `done` on: to the end of the buffer, or, when
 * the command is to end, of the record that is partly written. *idx moves to
 * the first record that is not completely written. */
static size_t write_limit(const struct sub *sub, size_t done, size_t *idx)
{
    while (sub->held[*idx].end <= done)
        (*idx)++;
    if (cli_signal_insists())
        return done;
    if (!sub_must_end(sub) || sub->options->ack == SUB_ACK_BEFORE)
        return sub->out.len;
    size_t begin = *idx > 0 ? sub->held[*idx - 1].end : 0;
    return done == begin ? done : sub->held[*idx].end;
}

/* Returns 0 or an errno; *ret_done bytes were taken. */
static int write_buffer(struct sub *sub, size_t *ret_done)
{
    size_t done = 0, idx = 0;
    int err = 0;
    while (done < sub->out.len && err == 0) {
        size_t limit = write_limit(sub, done, &idx);
        if (limit == done)
            break;
        int64_t written = cli_out_write(sub->out.data + done, limit - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR)
            err = errno;
    }
    *ret_done = done;
    return err;
}

/* What was not taken completely is not acknowledged: it goes back. */
static int acknowledge_until(struct sub *sub, size_t end)
{
    int status = CLI_DONE;
    for (size_t i = 0; i < sub->held_cnt && status == CLI_DONE; i++) {
        if (sub->held[i].end > end)
            break;
        status = acknowledge(sub, &sub->held[i]);
    }
    for (size_t i = 0; i < sub->source_cnt && status == CLI_DONE; i++)
        status = settle(sub, sub->sources[i]);
    return status;
}

static void clear_buffer(struct sub *sub)
{
    sub->out.len = 0;
    sub->held_cnt = 0;
    sub->held_record_cnt = 0;
}

/* --ack before: a record that has moved to another member meanwhile is that
 * member's, and is not written. */
static int flush_acknowledged(struct sub *sub)
{
    uint64_t done_cnt = sub->done_cnt;
    size_t written;
    int status = acknowledge_until(sub, sub->out.len);
    bool moved = sub->held_record_cnt > 0 && sub->done_cnt == done_cnt;
    if (status == CLI_DONE && !moved) {
        int err = write_buffer(sub, &written);
        if (err != 0)
            status = cli_out_failed(err);
    }
    clear_buffer(sub);
    return status;
}

int sub_flush(struct sub *sub)
{
    size_t written;
    if (sub->held_cnt == 0)
        return CLI_DONE;
    if (sub->options->ack == SUB_ACK_BEFORE)
        return flush_acknowledged(sub);
    int err = write_buffer(sub, &written);
    int status = acknowledge_until(sub, written);
    clear_buffer(sub);
    if (err != 0)
        return cli_out_failed(err);
    return status;
}
