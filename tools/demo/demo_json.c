/* demo_json.c - the report for programs: one object on standard output. */
#include "demo.h"

#include <inttypes.h>

static void put_string(const char *key, const char *text)
{
    printf(",\"%s\":\"", key);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_seconds(const char *key, uint64_t ns)
{
    printf(",\"%s_seconds\":%.9f", key, (double)ns / 1e9);
}

static void put_count(const char *key, uint64_t value)
{
    printf(",\"%s\":%" PRIu64, key, value);
}

static void put_input(const struct demo_run *run)
{
    const struct demo_input *in = &run->input;
    printf(",\"input\":{\"files\":%" PRIu64, in->file_cnt);
    put_count("lines", in->line_cnt);
    put_count("input_bytes", in->bytes);
    put_count("longest_bytes", in->longest);
    put_count("crlf", in->crlf);
    put_count("stray_cr", in->stray_cr);
    put_count("empty", in->empty);
    put_count("not_utf8", in->not_utf8);
    put_count("files_without_final_newline", in->no_final_lf);
    put_count("rounds", run->rounds);
    printf("}");
}

static void put_group(
    const struct demo_account *account, const char *name, enum demo_group group)
{
    printf("%s{\"group\":\"%s\"", group == 0 ? "" : ",", name);
    put_count("delivered", account->delivered[group]);
    put_count("redelivered", account->redelivered[group]);
    put_count("lost", account->lost[group]);
    put_count("torn", account->torn[group]);
    put_count("order_violations", account->disorder[group]);
    put_count("unflagged_duplicates", account->unflagged[group]);
    printf("}");
}

static void put_latency(const char *key, const struct demo_hist *hist)
{
    printf(",\"latency_%s\":{\"lines\":%" PRIu64, key, hist->cnt);
    put_seconds("p50", demo_hist_ns(hist, 500));
    put_seconds("p90", demo_hist_ns(hist, 900));
    put_seconds("p99", demo_hist_ns(hist, 990));
    put_seconds("p999", demo_hist_ns(hist, 999));
    put_seconds("max", hist->max_ns);
    printf("}");
}

static void put_story(const struct demo_run *run)
{
    const struct demo_story *story = &run->story;
    printf(",\"producer_hit\":{\"pid\":%" PRId32, story->producer.pid);
    put_seconds("at", story->producer.at_ns);
    put_seconds("proof", story->producer.proof_ns);
    put_seconds("resumed", story->producer.resumed_ns);
    put_seconds("longest_silence", story->producer.silence_ns);
    put_count("lines_certain", story->producer.line);
    if (run->options.stop)
        printf(",\"delayed_nobody\":%s",
            story->producer.delayed_nobody ? "true" : "false");
    printf("},\"member_hit\":{\"pid\":%" PRId32, story->member.pid);
    put_seconds("at", story->member.at_ns);
    put_seconds("proof", story->member.proof_ns);
    put_seconds("returned", story->member.return_ns);
    put_count("stale", story->member.stale);
    printf("}");
    if (!run->options.stop)
        return;
    printf(",\"blocked\":{\"pid\":%" PRId32, story->block.pid);
    put_string("held_up_by", story->block.holder);
    put_string("endpoint", story->block.endpoint);
    put_string("second_reader", story->block.busy);
    put_seconds("evict_to_room", story->block.evict_ns);
    put_count("lines_delivered", story->block.delivered);
    put_count("lines_again", story->block.redelivered);
    put_count("told_stale", story->block.stale);
    printf("}");
}

void demo_json(const struct demo_run *run)
{
    const struct demo_account *account = &run->account;
    uint64_t ns = account->elapsed_ns == 0 ? 1 : account->elapsed_ns;
    printf("{\"ok\":%s", account->ok ? "true" : "false");
    put_string("variant", run->options.stop ? "stop" : "kill");
    put_string("version", shmq_version());
    put_input(run);
    put_count("producers", run->options.producers);
    put_count("workers", run->options.workers);
    put_count("published", account->published);
    put_count("published_bytes", account->bytes);
    put_seconds("full_speed", account->elapsed_ns);
    printf(
        ",\"lines_per_second\":%.0f", (double)run->line_cnt * 1e9 / (double)ns);
    printf(",\"groups\":[");
    put_group(account, "archive", DEMO_ARCHIVE);
    put_group(account, "workers", DEMO_WORKERS);
    printf("]");
    put_latency("full_speed", &account->latency[DEMO_FULL_SPEED]);
    put_latency("paced", &account->latency[DEMO_PACED]);
    put_story(run);
    put_count("stale", account->stale);
    put_count("left_behind", account->left_behind);
    if (run->board->complaint[0] != '\0')
        put_string("complaint", run->board->complaint);
    printf("}\n");
}
