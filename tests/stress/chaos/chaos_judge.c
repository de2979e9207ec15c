/* chaos_judge.c - what was published, what was handed out, and whether the
 * topic is as good as new. */
#include "chaos.h"

#include <inttypes.h>
#include <stdio.h>

#include "support/support.h"

struct verdict {
    uint64_t published, lost, foreign, split;
    uint64_t unacked[CHAOS_GROUP_MAX];
    uint64_t dropped[CHAOS_GROUP_MAX];
    bool clean;
};

static unsigned mark_of(
    const struct chaos_run *run, uint32_t group, uint32_t life, uint64_t seq)
{
    return atomic_load(&run->marks[group][chaos_index(life, seq)]);
}

static bool was_handed(unsigned mark)
{
    return (mark & (CHAOS_HANDED | CHAOS_HANDED_AGAIN)) != 0;
}

/* The ephemeral reader said that it had missed this position. There is one
 * such reader, so its gaps are in order. */
static bool in_gap(const struct chaos_run *run, uint64_t position)
{
    uint32_t low = 0;
    uint32_t high = atomic_load(&run->books->gap_cnt);
    if (high > CHAOS_GAP_MAX)
        high = CHAOS_GAP_MAX;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (position >= run->books->gap[mid].to)
            low = mid + 1;
        else
            high = mid;
    }
    return low < CHAOS_GAP_MAX && position >= run->books->gap[low].from &&
        position < run->books->gap[low].to;
}

static void judge_certain(
    struct chaos_run *run, struct verdict *v, uint32_t life, uint64_t seq)
{
    for (uint32_t g = 0; g < run->scene->group_cnt; g++) {
        unsigned mark = mark_of(run, g, life, seq);
        bool handed = was_handed(mark);
        v->unacked[g] += handed && (mark & CHAOS_ACKED) == 0;
        if (handed)
            continue;
        bool may_drop = run->positions != NULL;
        v->dropped[g]++;
        if (may_drop && run->scene->groups[g].immortal)
            may_drop = in_gap(run, run->positions[chaos_index(life, seq)]);
        if (may_drop)
            continue;
        v->lost++;
        chaos_complain(
            run, "lost: group %u life %u seq %" PRIu64, g, life, seq);
    }
}

/* The publish that was under way at the kill: all of it, or nothing, and the
 * same for every group that cannot lose records. */
static void judge_uncertain(struct chaos_run *run, struct verdict *v,
    uint32_t life, uint64_t acked, uint64_t cnt)
{
    uint64_t handed[CHAOS_GROUP_MAX] = {0};
    uint64_t most = 0;
    bool all = true;
    for (uint32_t g = 0; g < run->scene->group_cnt; g++) {
        for (uint64_t i = 0; i < cnt && acked + i < CHAOS_LIFE_RECORDS; i++)
            handed[g] += was_handed(mark_of(run, g, life, acked + i));
        if (handed[g] > most)
            most = handed[g];
    }
    for (uint32_t g = 0; g < run->scene->group_cnt; g++)
        all = all && (handed[g] == most || run->positions != NULL);
    v->published += most;
    if (all && (most == 0 || most == cnt || run->positions != NULL))
        return;
    v->split++;
    chaos_complain(run,
        "split: life %u after %" PRIu64 ", of %" PRIu64
        " records groups got %" PRIu64 " %" PRIu64 " %" PRIu64,
        life, acked, cnt, handed[0], handed[1], handed[2]);
}

static void judge_life(struct chaos_run *run, struct verdict *v, uint32_t life)
{
    struct chaos_life *books = &run->books->lives[life];
    uint64_t acked = atomic_load(&books->acked);
    uint64_t cnt = atomic_load(&books->intent);
    for (uint64_t seq = 0; seq < acked; seq++)
        judge_certain(run, v, life, seq);
    v->published += acked;
    judge_uncertain(run, v, life, acked, cnt);
    for (uint32_t g = 0; g < run->scene->group_cnt; g++) {
        uint64_t high = atomic_load(&run->books->high[g][life]);
        if (high <= acked + cnt)
            continue;
        v->foreign++;
        chaos_complain(run,
            "never published: group %u life %u seq %" PRIu64
            ", acknowledged %" PRIu64 ", under way %" PRIu64,
            g, life, high - 1, acked, cnt);
    }
}

static void expect_none(struct chaos_run *run, const char *what, uint64_t value)
{
    if (value != 0)
        chaos_complain(run, "left behind: %s: %" PRIu64, what, value);
}

/* A full new crew finds room. */
static void check_room(struct chaos_run *run, struct shmq_topic *topic)
{
    struct shmq_producer *producers[64];
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs)};
    uint32_t cnt = 0;
    int rc = shmq_topic_attrs(topic, &attrs);
    while (rc == 0 && cnt < attrs.max_producers && cnt < 64) {
        rc = shmq_producer_open(topic, NULL, &producers[cnt]);
        if (rc == 0)
            rc = shmq_producer_publish(producers[cnt++], "new", 3, NULL);
    }
    if (rc != 0)
        chaos_complain(run, "new producer: %s", shmq_error_text());
    while (cnt > 0)
        shmq_producer_close(producers[--cnt]);
    expect_none(run, "producers", t_stat(topic).producer_cnt);
}

/* Nothing of the dead is left after one attach. */
static void check_topic(struct chaos_run *run)
{
    struct shmq_topic *topic = t_open("chaos");
    struct shmq_endpoint_stat endpoint;
    uint32_t cnt = 0;
    shmq_producer_close(t_producer(topic));
    T_OK(shmq_topic_endpoints(topic, &endpoint, 1, &cnt));
    expect_none(run, "endpoints", cnt);
    struct shmq_topic_stat stat = t_stat(topic);
    expect_none(run, "producers", stat.producer_cnt);
    expect_none(run, "members", stat.member_cnt);
    expect_none(run, "leaked loan bytes", stat.leaked_loan_bytes);
    for (uint32_t g = 0; g < run->scene->group_cnt; g++) {
        struct shmq_group_stat group;
        const char *name = run->scene->groups[g].name;
        if (name == NULL)
            continue;
        T_TRUE(t_group_stat(topic, name, &group));
        expect_none(run, "members of a group", group.member_cnt);
        expect_none(run, "claims", group.claimed);
        expect_none(run, "lag", group.lag_messages);
        expect_none(run, "dead letters", group.dead_lettered);
    }
    check_room(run, topic);
    shmq_topic_close(topic);
}

/* Each kill of a reader may hide one acknowledgement: between the library's
 * and the note of it. Under drop-old what was handed out is done with. */
static bool too_many_unacked(
    const struct chaos_run *run, const struct verdict *v)
{
    for (uint32_t g = 0; g < run->scene->group_cnt; g++)
        if (run->positions == NULL && v->unacked[g] > run->reader_kills[g])
            return true;
    return false;
}

static void print_dropped(const struct chaos_run *run, const struct verdict *v)
{
    printf("  dropped by policy:");
    for (uint32_t g = 0; g < run->scene->group_cnt; g++)
        printf(" %s %" PRIu64,
            run->scene->groups[g].name == NULL ? "(ephemeral)"
                                               : run->scene->groups[g].name,
            v->dropped[g]);
    printf("; ephemeral gaps %u, %" PRIu64 " frames\n",
        atomic_load(&run->books->gap_cnt),
        atomic_load(&run->books->gap_frames));
}

/* A run that had to be broken off is not counted out. */
int chaos_judge(struct chaos_run *run)
{
    struct chaos_books *books = run->books;
    struct verdict v = {.published = 0};
    uint32_t lives = atomic_load(&books->life_cnt);
    chaos_history_close(run);
    bool ended = atomic_load(&books->complaints) == 0;
    for (uint32_t life = 0; life < lives && ended; life++)
        judge_life(run, &v, life);
    if (too_many_unacked(run, &v)) {
        v.lost++;
        chaos_complain(run, "handed out but never done");
    }
    if (atomic_load(&books->complaints) == 0)
        check_topic(run);
    uint64_t torn = atomic_load(&books->torn) + v.split;
    bool pass = atomic_load(&books->complaints) == 0;
    printf("CHAOS ring=%s kills=%" PRIu64 " stops=%" PRIu64
           " published=%" PRIu64 " delivered=%" PRIu64 " redelivered=%" PRIu64
           " stale=%" PRIu64 " nacked=%" PRIu64 " lost=%" PRIu64
           " torn=%" PRIu64 " unflagged_duplicates=%" PRIu64 " order=%" PRIu64
           " unpublished=%" PRIu64 " history=%" PRIu64 " faults=%" PRIu64
           " %s\n",
        run->scene->name, run->kills, run->stops, v.published,
        atomic_load(&books->handed), atomic_load(&books->again),
        atomic_load(&books->stale), atomic_load(&books->nacks), v.lost, torn,
        atomic_load(&books->unflagged), atomic_load(&books->disorder),
        atomic_load(&books->foreign) + v.foreign, run->stream->verdict.ops,
        run->stream->verdict.fault_cnt, pass ? "PASS" : "FAIL");
    if (run->positions != NULL)
        print_dropped(run, &v);
    if (!pass)
        printf("  %u complaints, the first: %s\n",
            atomic_load(&books->complaints), books->complaint);
    return pass ? 0 : 1;
}
