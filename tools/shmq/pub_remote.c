/* pub_remote.c - `shmq pub` through a bridge: publishes are underway, up to
 * --window records, and are told about in order when the bridge has answered.
 */
#include "pub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_signals.h"
#include "lib_remote.h"

#ifdef SHMQ_HAVE_REMOTE

int pub_remote_open(struct pub *pub)
{
    const struct pub_options *o = pub->options;
    struct shmq_remote_producer_options options = {
        .struct_bytes = sizeof(options),
        .level = o->level_given ? o->level + 1 : SHMQ_REMOTE_LEVEL_DEFAULT,
        .window = o->window};
    int rc = shmq_remote_producer_open_wait(far_connection(), o->topic,
        &options, far_answer_by(), &pub->remote);
    return rc == SHMQ_OK ? CLI_DONE : pub_fail_rc(pub, rc);
}

void pub_remote_close(struct pub *pub)
{
    shmq_remote_producer_close(pub->remote);
    pub->remote = NULL;
}

static void account(struct pub *pub, const struct shmq_remote_result *result)
{
    for (uint32_t i = 0; i < result->record_cnt; i++) {
        pub->last_position = result->positions[i];
        if (!pub->options->positions)
            continue;
        cli_out_u64(&pub->out, result->positions[i]);
        cli_out_char(&pub->out, '\n');
    }
    pub->acked_cnt += result->record_cnt;
}

static int take_result(struct pub *pub, const struct shmq_remote_result *result)
{
    bool blocks = pub->attrs.on_full == SHMQ_ON_FULL_BLOCK;
    pub->underway -= result->record_cnt;
    if (result->rc == SHMQ_OK)
        account(pub, result);
    else if (result->rc == SHMQ_ERR_FULL && !blocks)
        pub->dropped_cnt += result->record_cnt;
    else
        return pub_fail_rc(pub, result->rc);
    if (pub->out.len >= CLI_OUT_FLUSH_BYTES)
        return cli_out_flush(&pub->out);
    return CLI_DONE;
}

/* Results, until at most `left` records are underway; those that are there are
 * taken in any case. --timeout counts from the last progress. */
static int take_results(struct pub *pub, uint64_t left)
{
    struct shmq_remote_result result;
    while (pub->underway > 0) {
        bool wait = pub->underway > left;
        uint64_t deadline =
            wait ? cli_later(cli_now_ns(), pub->options->timeout_ns) : 0;
        int rc;
        do {
            if (wait && cli_signal() != 0)
                return pub_fail_signal(pub);
            rc = wait ? shmq_remote_producer_result_wait(
                            pub->remote, deadline, &result)
                      : shmq_remote_producer_result(pub->remote, &result);
        } while (rc == SHMQ_ERR_INTR);
        if (rc == SHMQ_ERR_EMPTY)
            return CLI_DONE;
        if (rc != SHMQ_OK)
            return pub_fail_rc(pub, rc);
        int status = take_result(pub, &result);
        if (status != CLI_DONE)
            return status;
    }
    return CLI_DONE;
}

static int publish(
    struct pub *pub, const struct shmq_record *records, uint32_t cnt)
{
    int status = take_results(
        pub, pub->options->window > cnt ? pub->options->window - cnt : 0);
    while (status == CLI_DONE) {
        int rc = shmq_remote_producer_publish(pub->remote, records, cnt, NULL);
        if (rc == SHMQ_OK) {
            pub->underway += cnt;
            break;
        }
        if (rc != SHMQ_ERR_FULL)
            return rc == SHMQ_ERR_TOO_LARGE && cnt > 1 ? -1
                                                       : pub_fail_rc(pub, rc);
        status = take_results(pub, pub->underway - 1);
    }
    return status;
}

/* The first record of a publish says whose it is and its number, so that it can
 * be told from a repetition (docs/wire.md, origin). */
static bool too_long(
    const struct pub *pub, const struct shmq_record *record, bool first)
{
    uint64_t bytes = record->size + (first ? PUB_ORIGIN_BYTES : 0);
    for (uint32_t i = 0; i < record->attr_cnt; i++) {
        const struct shmq_attr *attr = &record->attrs[i];
        bytes += 4 + attr->value_bytes;
        if (attr->name != NULL)
            bytes += strlen(attr->name) + 1;
    }
    return bytes > pub->attrs.max_message_bytes;
}

static int publish_one_by_one(struct pub *pub, uint32_t cnt)
{
    int status = CLI_DONE;
    for (uint32_t i = 0; i < cnt && status == CLI_DONE; i++)
        status = publish(pub, &pub->frame.records[i], 1);
    return status;
}

int pub_remote_flush(struct pub *pub)
{
    const struct pub_frame *frame = &pub->frame;
    uint32_t cnt = 0;
    while (cnt < frame->record_cnt &&
        !too_long(pub, &frame->records[cnt], cnt == 0))
        cnt++;
    int status = cnt > 0 ? publish(pub, frame->records, cnt) : CLI_DONE;
    if (status < 0)
        status = publish_one_by_one(pub, cnt);
    if (status != CLI_DONE || cnt == frame->record_cnt)
        return status;
    status = take_results(pub, 0);
    return status != CLI_DONE ? status : pub_refuse_record(pub, cnt);
}

int pub_remote_settle(struct pub *pub)
{
    return take_results(pub, 0);
}

#else

int pub_remote_open(struct pub *pub)
{
    (void)pub;
    return CLI_NO_DAEMON; /* lib_begin() has told */
}

void pub_remote_close(struct pub *pub)
{
    (void)pub;
}

int pub_remote_flush(struct pub *pub)
{
    (void)pub;
    return CLI_NO_DAEMON;
}

int pub_remote_settle(struct pub *pub)
{
    (void)pub;
    return CLI_DONE;
}

#endif
