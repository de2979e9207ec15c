/* pub_ack.c - which published records have reached the level that was asked
 * for, in input order. */
#include "pub.h"

#include <string.h>

#include "cli_clock.h"
#include "cli_mem.h"
#include "cli_signals.h"

enum {
    TELL_NS = 1000 * 1000 * 1000,
    LOOK_NS = 250 * 1000 * 1000 /* between two looks whether shmqd is there */
};

static void acknowledge(struct pub *pub, uint64_t position)
{
    pub->acked_cnt++;
    pub->last_position = position;
    if (pub->options->positions) {
        cli_out_u64(&pub->out, position);
        cli_out_char(&pub->out, '\n');
    }
}

void pub_tell_away(struct pub *pub, uint64_t since_ns)
{
    struct shmq_watermarks marks;
    if (pub->away_told || cli_now_ns() - since_ns < TELL_NS)
        return;
    memset(&marks, 0, sizeof(marks));
    marks.struct_bytes = sizeof(marks);
    if (shmq_topic_watermarks(pub->topic, &marks) != SHMQ_OK || marks.served)
        return;
    pub->away_told = true;
    cli_note("%s: waiting for shmqd, which does not serve this topic now",
        pub->options->topic);
}

/* Takes those from the front that have arrived. True when any had. */
static bool take_arrived(struct pub *pub)
{
    bool any = false;
    while (pub->waiting_cnt > 0) {
        uint64_t position = pub->waiting[pub->waiting_first];
        if (shmq_producer_level_wait(pub->producer, position, pub->level, 0) !=
            SHMQ_OK)
            break;
        acknowledge(pub, position);
        pub->waiting_first = (pub->waiting_first + 1) % pub->waiting_cap;
        pub->waiting_cnt--;
        any = true;
    }
    if (any) {
        pub->progress_ns = cli_now_ns();
        pub->away_told = false;
    }
    return any;
}

/* Waits until at most `left` are on their way. */
static int wait_for(struct pub *pub, uint32_t left)
{
    while (pub->waiting_cnt > left) {
        if (take_arrived(pub))
            continue;
        if (cli_signal() != 0)
            return pub_fail_signal(pub);
        uint64_t now = cli_now_ns();
        uint64_t deadline =
            cli_later(pub->progress_ns, pub->options->timeout_ns);
        int status = pub_flush_positions(pub);
        if (status != CLI_DONE)
            return status;
        int rc = shmq_producer_level_wait(pub->producer,
            pub->waiting[pub->waiting_first], pub->level,
            cli_sooner(deadline, now + LOOK_NS));
        if (rc == SHMQ_ERR_TIMEOUT && cli_now_ns() < deadline)
            pub_tell_away(pub, pub->progress_ns);
        else if (rc != SHMQ_OK && rc != SHMQ_ERR_INTR)
            return pub_fail_rc(pub, rc);
    }
    return CLI_DONE;
}

static void make_room(struct pub *pub)
{
    if (pub->waiting != NULL)
        return;
    pub->waiting_cap = pub->options->window + SHMQ_BATCH_MAX;
    pub->waiting = cli_alloc(pub->waiting_cap, sizeof(*pub->waiting));
}

int pub_published(struct pub *pub, uint32_t cnt)
{
    if (pub->level == SHMQ_LEVEL_PUBLISHED) {
        for (uint32_t i = 0; i < cnt; i++)
            acknowledge(pub, pub->positions[i]);
        return CLI_DONE;
    }
    make_room(pub);
    if (pub->waiting_cnt == 0)
        pub->progress_ns = cli_now_ns();
    for (uint32_t i = 0; i < cnt; i++) {
        uint32_t at =
            (pub->waiting_first + pub->waiting_cnt++) % pub->waiting_cap;
        pub->waiting[at] = pub->positions[i];
    }
    return wait_for(pub, pub->options->window - 1);
}

int pub_settle(struct pub *pub)
{
    return wait_for(pub, 0);
}
