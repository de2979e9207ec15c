/* demo_report.c - the report for people. */
#include "demo.h"

#include <inttypes.h>
#include <string.h>

static void report_input(const struct demo_run *run)
{
    const struct demo_input *in = &run->input;
    printf("\nInput      %s files, %s lines, %s bytes; published %u times\n",
        demo_count(in->file_cnt), demo_count(in->line_cnt),
        demo_count(in->bytes), run->rounds);
    printf("           %s lines with CR LF, %s with a stray CR, %s empty, %s "
           "not UTF-8;\n           %s files without a final newline; longest "
           "line %s bytes\n",
        demo_count(in->crlf), demo_count(in->stray_cr), demo_count(in->empty),
        demo_count(in->not_utf8), demo_count(in->no_final_lf),
        demo_count(in->longest));
    printf("Processes  %u producers and a paced one; group archive "
           "(exclusive, 1 reader);\n           group workers (shared, %u "
           "members%s)\n",
        run->options.producers, run->options.workers,
        run->options.stop ? ", lease 1 s" : "");
}

static void row(const char *name, const uint64_t values[DEMO_GROUP_CNT])
{
    printf("%-24s %14s %14s\n", name, demo_count(values[DEMO_ARCHIVE]),
        demo_count(values[DEMO_WORKERS]));
}

static void report_lines(const struct demo_account *account)
{
    const uint64_t published[DEMO_GROUP_CNT] = {
        account->published, account->published};
    printf("\n%-24s %14s %14s\n", "Lines", "archive", "workers");
    row("  published", published);
    row("  delivered", account->delivered);
    row("  lost", account->lost);
    row("  torn", account->torn);
    row("  out of order", account->disorder);
    row("  redelivered, flagged", account->redelivered);
    row("  doubled, not flagged", account->unflagged);
}

static void report_latency(const char *name, const struct demo_hist *hist)
{
    printf("  %-14s %9s %9s %9s %9s %9s\n", name,
        demo_time(demo_hist_ns(hist, 500)), demo_time(demo_hist_ns(hist, 900)),
        demo_time(demo_hist_ns(hist, 990)), demo_time(demo_hist_ns(hist, 999)),
        demo_time(hist->max_ns));
}

static void report_speed(const struct demo_run *run)
{
    const struct demo_account *account = &run->account;
    double seconds = (double)account->elapsed_ns / 1e9;
    double lines = (double)run->line_cnt;
    if (seconds <= 0)
        return;
    printf("\nSpeed      %s lines/s published, %s delivered and compared, "
           "%.1f MB/s in\n",
        demo_count((uint64_t)(lines / seconds)),
        demo_count((uint64_t)(2 * lines / seconds)),
        (double)account->bytes / 1e6 / seconds);
    printf("Latency    publish to receive%s\n",
        run->options.stop ? "; the wait for the lease is in all this" : "");
    printf("  %-14s %9s %9s %9s %9s %9s\n", "", "p50", "p90", "p99", "p99.9",
        "max");
    report_latency("full speed", &account->latency[DEMO_FULL_SPEED]);
    report_latency("1,000 lines/s", &account->latency[DEMO_PACED]);
}

static void report_kill(const struct demo_run *run)
{
    const struct demo_story *story = &run->story;
    printf("\nKilled     producer (pid %" PRId32 "): proof of death after %s, "
           "replacement had\n           published after %s; archive's longest "
           "pause meanwhile %s\n",
        story->producer.pid, demo_time(story->producer.proof_ns),
        demo_time(story->producer.resumed_ns),
        demo_time(story->producer.silence_ns));
    printf("           worker (pid %" PRId32 "): proof of death after %s, its "
           "line was with\n           another after %s\n",
        story->member.pid, demo_time(story->member.proof_ns),
        demo_time(story->member.return_ns));
}

/* A long sentence, indented, in lines of at most 79 characters. */
static void put_wrapped(const char *what, const char *text)
{
    int column = printf("           %s:", what);
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (column + 1 + len > 79)
            column = printf("\n            ") - 1;
        column += printf(" %.*s", len, text);
        text += len;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void report_stop(const struct demo_run *run)
{
    const struct demo_story *story = &run->story;
    printf("\nStopped    producer (pid %" PRId32 "), for ever: the others made "
           "%s lines/s before,\n           %s while it was stopped; archive's "
           "longest pause %s;\n           all others were done before it was "
           "buried: %s\n",
        story->producer.pid, demo_count(story->producer.rate_before),
        demo_count(story->producer.rate_during),
        demo_time(story->producer.silence_ns),
        story->producer.delayed_nobody ? "yes" : "NO");
    printf("           worker (pid %" PRId32 "): its line was with another "
           "after %s (lease 1 s);\n           late acks refused as STALE: %s\n",
        story->member.pid, demo_time(story->member.return_ns),
        demo_count(story->member.stale));
    printf("           reader of the full topic gate (pid %" PRId32 "):\n",
        story->block.pid);
    put_wrapped("error of the producer", story->block.holder);
    put_wrapped("stat", story->block.endpoint);
    put_wrapped("error of a second reader", story->block.busy);
    printf("           evicted: room again after %s; %s of %u lines delivered, "
           "%s again;\n           the evicted reader was told STALE: %s\n",
        demo_time(story->block.evict_ns), demo_count(story->block.delivered),
        DEMO_BLOCK_LINES, demo_count(story->block.redelivered),
        story->block.stale == 1 ? "yes" : "NO");
}

void demo_report(const struct demo_run *run)
{
    const struct demo_account *account = &run->account;
    uint64_t lost = account->lost[0] + account->lost[1];
    uint64_t torn = account->torn[0] + account->torn[1];
    uint64_t disorder = account->disorder[0] + account->disorder[1];
    report_input(run);
    if (run->options.stop)
        report_stop(run);
    else
        report_kill(run);
    report_speed(run);
    report_lines(account);
    printf("\n%s  published %s = delivered to each group; redelivered %s, "
           "lost %s,\n    torn %s, order violations %s, left in /dev/shm %u\n",
        account->ok ? "OK" : "FAILED", demo_count(account->published),
        demo_count(account->redelivered[0] + account->redelivered[1]),
        demo_count(lost), demo_count(torn), demo_count(disorder),
        account->left_behind);
}
