/* demo_account.c - every line accounted for, and nothing left behind. */
#include "demo.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

uint64_t demo_published(const struct demo_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= run->options.producers; i++)
        sum += atomic_load(&run->board->producers[i].acked);
    return sum;
}

static bool is_in(uint32_t member, enum demo_group group)
{
    return (member == 0) == (group == DEMO_ARCHIVE);
}

uint64_t demo_received(const struct demo_run *run, enum demo_group group)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= run->options.workers; i++)
        if (is_in(i, group))
            sum += atomic_load(&run->board->members[i].received);
    return sum;
}

static void add_member(struct demo_account *account, enum demo_group group,
    const struct demo_member_page *page)
{
    account->redelivered[group] += atomic_load(&page->redelivered);
    account->torn[group] += atomic_load(&page->torn);
    account->disorder[group] += atomic_load(&page->disorder);
    account->unflagged[group] += atomic_load(&page->unflagged);
    account->lost[group] += atomic_load(&page->gaps);
    account->stale += atomic_load(&page->stale);
    for (uint32_t phase = 0; phase < DEMO_PHASE_CNT; phase++)
        demo_hist_merge(&account->latency[phase], &page->latency[phase]);
}

/* Time from the first publish to the last one at full speed. */
static uint64_t elapsed_ns(const struct demo_run *run)
{
    uint64_t first_ns = UINT64_MAX, last_ns = 0;
    for (uint32_t i = 0; i < run->options.producers; i++) {
        const struct demo_producer_page *page = &run->board->producers[i];
        uint64_t from = atomic_load(&page->first_ns);
        uint64_t to = atomic_load(&page->last_ns);
        if (from != 0 && from < first_ns)
            first_ns = from;
        if (to > last_ns)
            last_ns = to;
    }
    return last_ns > first_ns ? last_ns - first_ns : 0;
}

static void add_stream(struct demo_run *run, uint32_t stream)
{
    struct demo_account *account = &run->account;
    const struct demo_stream *s = &run->streams[stream];
    uint64_t acked = atomic_load(&run->board->producers[stream].acked);
    account->published += acked;
    for (uint64_t line = 0; line < s->line_cnt; line++) {
        for (uint32_t group = 0; group < DEMO_GROUP_CNT; group++) {
            bool here =
                atomic_load(&run->marks[group][s->mark_base + line]) != 0;
            account->delivered[group] += here;
            account->lost[group] += line < acked && !here;
        }
        if (line < acked)
            account->bytes += demo_stream_line(run, stream, line)->size;
    }
}

void demo_account_all(struct demo_run *run)
{
    struct demo_account *account = &run->account;
    uint64_t expected = 0;
    for (uint32_t i = 0; i <= run->options.producers; i++) {
        add_stream(run, i);
        expected += run->streams[i].line_cnt;
    }
    account->ok = account->published == expected;
    for (uint32_t i = 0; i <= run->options.workers; i++)
        add_member(account, i == 0 ? DEMO_ARCHIVE : DEMO_WORKERS,
            &run->board->members[i]);
    account->elapsed_ns = elapsed_ns(run);
    for (uint32_t group = 0; group < DEMO_GROUP_CNT; group++)
        account->ok = account->ok && account->lost[group] == 0 &&
            account->torn[group] == 0 && account->disorder[group] == 0 &&
            account->unflagged[group] == 0 &&
            account->delivered[group] == account->published;
    if (run->options.stop)
        account->ok = account->ok && run->story.block.ok &&
            run->story.producer.delayed_nobody && run->story.member.stale > 0;
    account->ok = account->ok && run->board->complaint[0] == '\0';
}

static int unlink_topic(void *ctx, const char *topic)
{
    struct demo_run *run = ctx;
    shmq_topic_unlink(run->ns, topic, SHMQ_UNLINK_FORCE);
    return 0;
}

/* The namespace is this run's alone, so its lock file goes as well. */
void demo_clean_up(struct demo_run *run)
{
    char path[128];
    char prefix[64];
    demo_kill_all(run);
    shmq_topic_close(run->topic);
    run->topic = NULL;
    shmq_topic_list(run->ns, unlink_topic, run);
    snprintf(path, sizeof(path), "/dev/shm/shmq.%s.lock.%u", run->ns,
        (unsigned)geteuid());
    unlink(path);
    snprintf(prefix, sizeof(prefix), "shmq.%s.", run->ns);
    DIR *dir = opendir("/dev/shm");
    struct dirent *entry;
    run->account.left_behind = 0;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        run->account.left_behind +=
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (dir != NULL)
        closedir(dir);
}
