/* demo_events.c - the story: one producer and one member of the shared group
 * are killed, or stopped for ever, in the middle. */
#include "demo.h"

#include <signal.h>

/* The last producer and the last worker are the victims. */
static uint32_t victim_stream(const struct demo_run *run)
{
    return run->options.producers - 1;
}

static uint32_t victim_member(const struct demo_run *run)
{
    return run->options.workers;
}

static uint64_t acked_percent(const struct demo_run *run, uint32_t stream)
{
    return atomic_load(&run->board->producers[stream].acked) * 100 /
        run->streams[stream].line_cnt;
}

static bool victim_at_quarter(struct demo_run *run)
{
    return acked_percent(run, victim_stream(run)) >= 25;
}

static bool others_at_half(struct demo_run *run)
{
    return acked_percent(run, 0) >= 50;
}

static bool victim_resumed(struct demo_run *run)
{
    return atomic_load(&run->board->producers[victim_stream(run)].resumed_ns) !=
        0;
}

static bool victim_lingers(struct demo_run *run)
{
    return atomic_load(&run->board->members[victim_member(run)].lingering) != 0;
}

static bool victim_refused(struct demo_run *run)
{
    return atomic_load(&run->board->members[victim_member(run)].stale) != 0;
}

/* Enough was seen of the others while the producer is stopped. */
static bool others_seen(struct demo_run *run)
{
    return acked_percent(run, 0) >= 58 ||
        demo_now_ns() - run->start_ns - run->story.producer.at_ns >
        300 * DEMO_MS;
}

bool demo_producers_done(struct demo_run *run)
{
    for (uint32_t i = 0; i <= run->options.producers; i++) {
        bool away = run->options.stop && i == victim_stream(run) &&
            run->story.producer.delayed_nobody == false;
        if (run->producer_pids[i] != 0 && !away)
            return false;
    }
    return true;
}

static bool groups_have_all(struct demo_run *run)
{
    struct shmq_group_stat groups[DEMO_GROUP_CNT];
    uint32_t cnt = 0;
    if (shmq_topic_groups(run->topic, groups, DEMO_GROUP_CNT, &cnt) != 0)
        return false;
    for (uint32_t i = 0; i < cnt && i < DEMO_GROUP_CNT; i++)
        if (groups[i].lag_messages != 0)
            return false;
    return cnt == DEMO_GROUP_CNT;
}

static uint64_t others_acked(const struct demo_run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i + 1 < run->options.producers; i++)
        sum += atomic_load(&run->board->producers[i].acked);
    return sum;
}

static uint64_t per_second(uint64_t cnt, uint64_t ns)
{
    return ns == 0 ? 0 : (uint64_t)((double)cnt * 1e9 / (double)ns);
}

static int replace_producer(struct demo_run *run, uint64_t sent_ns)
{
    uint32_t stream = victim_stream(run);
    struct demo_producer_page *page = &run->board->producers[stream];
    pid_t pid = demo_spawn_producer(run, stream, true);
    if (pid < 0 || demo_wait(run, victim_resumed) != 0)
        return -1;
    run->story.producer.resumed_ns = atomic_load(&page->resumed_ns) - sent_ns;
    demo_say(run, "its replacement (pid %d) %s and goes on at line %s\n",
        (int)pid,
        atomic_load(&page->resume) == DEMO_RESUME_RING
            ? "reads back the ring"
            : "asks what the archive has",
        demo_count(atomic_load(&page->resumed_from)));
    return 0;
}

static int kill_producer(struct demo_run *run)
{
    uint32_t stream = victim_stream(run);
    uint64_t sent_ns = 0, proof_ns = 0;
    pid_t pid = run->producer_pids[stream];
    run->producer_pids[stream] = 0;
    if (demo_kill(pid, &sent_ns, &proof_ns) != 0)
        return -1;
    run->story.producer.pid = pid;
    run->story.producer.proof_ns = proof_ns - sent_ns;
    run->story.producer.line =
        atomic_load(&run->board->producers[stream].acked);
    demo_say(run, "producer %u (pid %d) is killed, %s lines are certain\n",
        stream + 1, (int)pid, demo_count(run->story.producer.line));
    return replace_producer(run, sent_ns);
}

static int stop_producer(struct demo_run *run)
{
    uint32_t stream = victim_stream(run);
    uint64_t sent_ns = 0;
    pid_t pid = run->producer_pids[stream];
    if (demo_stop(pid, &sent_ns) != 0)
        return -1;
    uint64_t before = others_acked(run);
    run->story.producer.pid = pid;
    run->story.producer.line =
        atomic_load(&run->board->producers[stream].acked);
    demo_say(run, "producer %u (pid %d) is stopped, %s lines are certain\n",
        stream + 1, (int)pid, demo_count(run->story.producer.line));
    if (demo_wait(run, others_seen) != 0)
        return -1;
    run->story.producer.rate_during =
        per_second(others_acked(run) - before, demo_now_ns() - sent_ns);
    return 0;
}

int demo_hit_producer(struct demo_run *run)
{
    struct demo_board *board = run->board;
    if (demo_wait(run, victim_at_quarter) != 0)
        return -1;
    uint64_t now_ns = demo_now_ns();
    run->story.producer.at_ns = now_ns - run->start_ns;
    run->story.producer.rate_before = per_second(
        others_acked(run), now_ns - atomic_load(&board->producers[0].first_ns));
    atomic_store(&board->members[0].silence_ns, 0);
    atomic_store(&board->stage, DEMO_PRODUCER_HIT);
    int rc = run->options.stop ? stop_producer(run) : kill_producer(run);
    run->story.producer.silence_ns = atomic_load(&board->members[0].silence_ns);
    return rc;
}

/* The held line has reached another member. */
static bool line_returned(struct demo_run *run)
{
    uint32_t victim = run->story.member.member;
    uint64_t held = atomic_load(&run->board->members[victim].held);
    for (uint32_t i = 1; i <= run->options.workers; i++) {
        const struct demo_member_page *page = &run->board->members[i];
        uint32_t cnt = i == victim ? 0 : atomic_load(&page->return_cnt);
        for (uint32_t j = 0; j < cnt; j++)
            if (page->returns[j].line + 1 == held) {
                run->story.member.return_ns = page->returns[j].when_ns -
                    run->start_ns - run->story.member.at_ns;
                return true;
            }
    }
    return false;
}

static int kill_member(struct demo_run *run, uint32_t member)
{
    uint64_t sent_ns = 0, proof_ns = 0;
    pid_t pid = run->member_pids[member];
    run->member_pids[member] = 0;
    if (demo_kill(pid, &sent_ns, &proof_ns) != 0)
        return -1;
    atomic_store(&run->board->linger, 0);
    run->story.member.at_ns = sent_ns - run->start_ns;
    run->story.member.proof_ns = proof_ns - sent_ns;
    demo_say(run, "worker %u (pid %d) is killed with a line in hand\n", member,
        (int)pid);
    if (demo_wait(run, line_returned) != 0)
        return -1;
    demo_say(run, "another worker got that line %s after the kill\n",
        demo_time(run->story.member.return_ns));
    return 0;
}

static int stop_member(struct demo_run *run, uint32_t member)
{
    uint64_t sent_ns = 0;
    pid_t pid = run->member_pids[member];
    if (demo_stop(pid, &sent_ns) != 0)
        return -1;
    atomic_store(&run->board->linger, 0);
    run->story.member.at_ns = sent_ns - run->start_ns;
    demo_say(run, "worker %u (pid %d) is stopped with a line in hand\n", member,
        (int)pid);
    if (demo_wait(run, line_returned) != 0)
        return -1;
    demo_say(run,
        "its lease of 1 s ended: another worker got the line after "
        "%s\n",
        demo_time(run->story.member.return_ns));
    kill(pid, SIGCONT);
    if (demo_wait(run, victim_refused) != 0)
        return -1;
    demo_say(
        run, "worker %u goes on: its late ack is refused as STALE\n", member);
    return 0;
}

int demo_hit_member(struct demo_run *run)
{
    uint32_t member = victim_member(run);
    if (demo_wait(run, others_at_half) != 0)
        return -1;
    atomic_store(&run->board->linger, member + 1);
    atomic_store(&run->board->stage, DEMO_MEMBER_ARMED);
    if (demo_wait(run, victim_lingers) != 0)
        return -1;
    run->story.member.member = member;
    run->story.member.pid = run->member_pids[member];
    int rc =
        run->options.stop ? stop_member(run, member) : kill_member(run, member);
    run->story.member.stale = atomic_load(&run->board->members[member].stale);
    atomic_store(&run->board->stage, DEMO_MEMBER_HIT);
    return rc;
}

/* The stopped producer has been stopped until all the others were done. */
int demo_bury_producer(struct demo_run *run)
{
    uint64_t sent_ns = 0, proof_ns = 0;
    uint32_t stream = victim_stream(run);
    pid_t pid = run->producer_pids[stream];
    if (demo_wait(run, groups_have_all) != 0)
        return -1;
    run->story.producer.delayed_nobody = true;
    run->producer_pids[stream] = 0;
    demo_say(run,
        "all others are done and delivered; producer %u, stopped "
        "for %s, is buried\n",
        stream + 1,
        demo_time(demo_now_ns() - run->start_ns - run->story.producer.at_ns));
    if (demo_kill(pid, &sent_ns, &proof_ns) != 0)
        return -1;
    run->story.producer.proof_ns = proof_ns - sent_ns;
    return replace_producer(run, sent_ns);
}
