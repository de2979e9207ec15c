/* pub_publish.c - puts frames into the ring and keeps the account. */
#include "pub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli_clock.h"
#include "cli_signals.h"
#include "lib.h"

static void format_account(const struct pub *pub, char *buf, size_t len)
{
    char last[24] = "none";
    if (pub->acked_cnt > 0)
        snprintf(last, sizeof(last), "%" PRIu64, pub->last_position);
    snprintf(buf, len, "acknowledged %" PRIu64 " of %" PRIu64 ", last %s",
        pub->acked_cnt, pub->read_cnt, last);
}

int pub_fail(
    const struct pub *pub, int status, const char *thing, const char *reason)
{
    char account[96];
    format_account(pub, account, sizeof(account));
    return cli_fail(status, "%s: %s; %s",
        thing != NULL ? thing : pub->options->topic, reason, account);
}

int pub_fail_rc(const struct pub *pub, int rc)
{
    char account[96];
    format_account(pub, account, sizeof(account));
    return cli_fail_rc_with(rc, pub->options->topic, account);
}

int pub_fail_file(const struct pub *pub, const char *path, int err)
{
    char reason[160];
    int status = CLI_FAILED;
    if (err == ENOENT)
        status = CLI_MISSING;
    else if (err == EACCES)
        status = CLI_PERMISSION;
    snprintf(reason, sizeof(reason), "%s; name a file that can be read",
        strerror(err));
    return pub_fail(pub, status, path, reason);
}

int pub_fail_signal(const struct pub *pub)
{
    char reason[64];
    snprintf(reason, sizeof(reason),
        "ended by signal %d; publish the rest again", cli_signal());
    return pub_fail(pub, CLI_SIGNALLED + cli_signal(), NULL, reason);
}

int pub_flush_positions(struct pub *pub)
{
    if (lib_is_remote()) {
        int status = pub_remote_settle(pub);
        if (status != CLI_DONE)
            return status;
    }
    return cli_out_flush(&pub->out);
}

static int publish_now(
    struct pub *pub, const struct shmq_record *records, uint32_t cnt)
{
    if (cnt == 1 && records[0].attr_cnt == 0)
        return shmq_producer_publish(pub->producer, records[0].data,
            records[0].size, &pub->positions[0]);
    return shmq_producer_publish_batch(
        pub->producer, records, cnt, pub->positions);
}

enum { LOOK_NS = 250 * 1000 * 1000 };

/* Waits for room: --timeout counts from here, since all before is done. */
static int publish_later(
    struct pub *pub, const struct shmq_record *records, uint32_t cnt)
{
    uint64_t begin = cli_now_ns();
    uint64_t deadline = cli_later(begin, pub->options->timeout_ns);
    for (;;) {
        if (cli_signal() != 0)
            return SHMQ_ERR_INTR;
        uint64_t look = cli_sooner(deadline, cli_now_ns() + LOOK_NS);
        int rc = shmq_producer_publish_batch_wait(
            pub->producer, records, cnt, look, pub->positions);
        if (rc == SHMQ_ERR_TIMEOUT && look < deadline)
            pub_tell_away(pub, begin);
        else if (rc != SHMQ_ERR_INTR)
            return rc;
    }
}

/* One publish. *ret_rc is OK, TOO_LARGE, or what was told as a failure. */
static int publish(struct pub *pub, const struct shmq_record *records,
    uint32_t cnt, int *ret_rc)
{
    bool blocks = pub->attrs.on_full == SHMQ_ON_FULL_BLOCK;
    int rc = publish_now(pub, records, cnt);
    if (rc == SHMQ_ERR_FULL && blocks) {
        int status = pub_flush_positions(pub);
        if (status != CLI_DONE)
            return status;
        rc = publish_later(pub, records, cnt);
    }
    *ret_rc = rc;
    if (rc == SHMQ_OK) {
        int status = pub_published(pub, cnt);
        if (status != CLI_DONE)
            return status;
    } else if (rc == SHMQ_ERR_FULL && !blocks)
        pub->dropped_cnt += cnt;
    else if (rc == SHMQ_ERR_INTR)
        return pub_fail_signal(pub);
    else if (rc != SHMQ_ERR_TOO_LARGE)
        return pub_fail_rc(pub, rc);
    if (pub->out.len >= CLI_OUT_FLUSH_BYTES)
        return pub_flush_positions(pub);
    return CLI_DONE;
}

int pub_refuse_record(struct pub *pub, uint32_t idx)
{
    char thing[512], reason[256], more[64] = "";
    if (lib_is_remote())
        snprintf(more, sizeof(more), " (from afar with %d more for its origin)",
            PUB_ORIGIN_BYTES);
    snprintf(thing, sizeof(thing), "%s:%" PRIu64, pub->source.in.name,
        pub->frame.lines[idx]);
    snprintf(reason, sizeof(reason),
        "the record of %" PRIu64 " bytes%s%s is longer than the topic's "
        "%" PRIu64 " bytes; make the topic with a larger --max-message",
        pub->frame.records[idx].size,
        pub->frame.records[idx].attr_cnt > 0 ? " and its attributes" : "", more,
        pub->attrs.max_message_bytes);
    return pub_fail(pub, CLI_NO_ROOM, thing, reason);
}

/* A frame can be too large though each of its records is not, and when one is,
 * the ones before it are published all the same. */
static int publish_one_by_one(struct pub *pub)
{
    struct pub_frame *frame = &pub->frame;
    for (uint32_t i = 0; i < frame->record_cnt; i++) {
        int rc = SHMQ_OK;
        int status = publish(pub, &frame->records[i], 1, &rc);
        if (status != CLI_DONE)
            return status;
        if (rc == SHMQ_ERR_TOO_LARGE)
            return pub_refuse_record(pub, i);
    }
    return CLI_DONE;
}

int pub_flush(struct pub *pub)
{
    struct pub_frame *frame = &pub->frame;
    int rc = SHMQ_OK;
    if (frame->record_cnt == 0)
        return CLI_DONE;
    pub_frame_link(frame);
    if (lib_is_remote()) {
        int told = pub_remote_flush(pub);
        pub_frame_clear(frame);
        return told;
    }
    int status = publish(pub, frame->records, frame->record_cnt, &rc);
    if (status == CLI_DONE && rc == SHMQ_ERR_TOO_LARGE)
        status = publish_one_by_one(pub);
    pub_frame_clear(frame);
    return status;
}
