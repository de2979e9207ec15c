/* model.c - see model.h. */
#include "support/model.h"

#include <stdlib.h>

static void *zeroed(size_t cnt, size_t size)
{
    void *memory = calloc(cnt, size);

    T_TRUE(memory != NULL);
    return memory;
}

void model_log_init(struct model_log *log)
{
    log->records = zeroed(MODEL_RECORDS, sizeof(*log->records));
    log->frames = zeroed(MODEL_FRAMES, sizeof(*log->frames));
    log->record_cnt = 0;
    log->frame_cnt = 0;
}

void model_log_free(struct model_log *log)
{
    free(log->records);
    free(log->frames);
}

void model_group_init(struct model_group *group, bool shared, uint32_t prefetch)
{
    memset(group, 0, sizeof(*group));
    group->shared = shared;
    group->prefetch = prefetch;
    group->handed = zeroed(MODEL_RECORDS, 1);
    group->done = zeroed(MODEL_RECORDS, 1);
    group->owner = zeroed(MODEL_FRAMES, 1);
    group->attempts = zeroed(MODEL_FRAMES, 1);
    group->next_in = zeroed(MODEL_FRAMES, sizeof(*group->next_in));
    memset(group->owner, MODEL_NOBODY, MODEL_FRAMES);
}

void model_group_free(struct model_group *group)
{
    free(group->handed);
    free(group->done);
    free(group->owner);
    free(group->attempts);
    free(group->next_in);
}

void model_published(struct model_log *log, const uint64_t *positions,
    const uint32_t *sizes, uint32_t cnt)
{
    struct model_frame *frame = &log->frames[log->frame_cnt];

    T_TRUE(log->record_cnt + cnt <= MODEL_RECORDS);
    T_TRUE(log->frame_cnt < MODEL_FRAMES);
    frame->first = log->record_cnt;
    frame->cnt = cnt;
    for (uint32_t i = 0; i < cnt; i++) {
        struct model_record *record = &log->records[log->record_cnt];
        T_TRUE(log->record_cnt == 0 || positions[i] > record[-1].position);
        record->position = positions[i];
        record->size = sizes[i];
        record->frame = log->frame_cnt;
        log->record_cnt++;
    }
    log->frame_cnt++;
}

static void advance_floor(
    const struct model_log *log, struct model_group *group)
{
    while (group->floor < log->record_cnt && group->done[group->floor])
        group->floor++;
}

uint32_t model_lag(const struct model_log *log, const struct model_group *group)
{
    if (group->floor == log->record_cnt)
        return 0;
    return log->frame_cnt - log->records[group->floor].frame;
}

void model_start_latest(const struct model_log *log, struct model_group *group)
{
    memset(group->done, 1, log->record_cnt);
    memset(group->owner, MODEL_NOBODY, MODEL_FRAMES);
    group->cursor = log->record_cnt;
    group->floor = log->record_cnt;
    group->held_cnt = 0;
}

/* Index of the frame's first record that is not done. */
static uint32_t prefix_of(const struct model_log *log,
    const struct model_group *group, uint32_t frame)
{
    const struct model_frame *at = &log->frames[frame];
    uint32_t idx = 0;

    while (idx < at->cnt && group->done[at->first + idx])
        idx++;
    return idx;
}

static uint32_t owned_by(const struct model_log *log,
    const struct model_group *group, uint8_t member)
{
    uint32_t cnt = 0;

    if (group->floor == log->record_cnt)
        return 0;
    for (uint32_t f = log->records[group->floor].frame; f < log->frame_cnt; f++)
        cnt += group->owner[f] == member;
    return cnt;
}

static bool holds_void(const struct model_group *group, uint8_t member)
{
    for (uint32_t i = 0; i < group->held_cnt; i++)
        if (group->held[i].member == member && group->held[i].is_void)
            return true;
    return false;
}

/* Nothing that `member` could have been given may be there. */
static void check_nothing_there(
    const struct model_log *log, struct model_group *group, uint8_t member)
{
    if (!group->shared) {
        T_EQ(group->cursor, log->record_cnt);
        group->told = true;
        return;
    }
    if (group->floor == log->record_cnt)
        return;
    for (uint32_t f = log->records[group->floor].frame; f < log->frame_cnt;
         f++) {
        const struct model_frame *at = &log->frames[f];
        if (group->owner[f] == MODEL_NOBODY)
            T_EQ(prefix_of(log, group, f), at->cnt);
        else if (group->owner[f] == member && group->attempts[f] == 0)
            T_EQ(group->next_in[f], at->cnt);
    }
}

static uint32_t find_record(const struct model_log *log, uint64_t position)
{
    uint32_t low = 0;
    uint32_t high = log->record_cnt;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (log->records[mid].position < position)
            low = mid + 1;
        else
            high = mid;
    }
    T_TRUE(low < log->record_cnt && log->records[low].position == position);
    return low;
}

static void check_shared(const struct model_log *log, struct model_group *group,
    uint8_t member, uint32_t record, const struct shmq_message *msg)
{
    uint32_t f = log->records[record].frame;
    uint32_t idx = record - log->frames[f].first;
    uint32_t prefix = prefix_of(log, group, f);

    if (group->owner[f] == MODEL_NOBODY) {
        T_EQ(idx, prefix);
        group->owner[f] = member;
        group->next_in[f] = (uint16_t)idx;
        T_TRUE(owned_by(log, group, member) <= group->prefetch);
    }
    T_EQ(group->owner[f], member);
    T_EQ(idx, group->next_in[f]);
    T_EQ(msg->attempt, idx == prefix ? group->attempts[f] : 0);
    group->next_in[f]++;
}

void model_received(const struct model_log *log, struct model_group *group,
    uint8_t member, int rc, const struct shmq_message *msg)
{
    struct model_held *held = &group->held[group->held_cnt];
    uint32_t record;

    if (rc == SHMQ_ERR_EMPTY) {
        check_nothing_there(log, group, member);
        return;
    }
    if (rc == SHMQ_ERR_LIMIT) {
        T_TRUE(group->held_cnt > 0);
        T_TRUE(!group->shared || holds_void(group, member) ||
            owned_by(log, group, member) >= group->prefetch);
        return;
    }
    T_OK(rc);
    record = find_record(log, msg->position);
    T_CARRIES(msg, record, log->records[record].size);
    T_EQ(group->done[record], 0);
    if (group->handed[record])
        T_TRUE(msg->flags & SHMQ_MESSAGE_REDELIVERED);
    if (group->shared)
        check_shared(log, group, member, record, msg);
    else
        T_EQ(record, group->cursor++);
    group->handed[record] = 1;
    group->told = false;
    T_TRUE(group->held_cnt < MODEL_HELD);
    held->msg = *msg;
    held->record = record;
    held->member = member;
    held->is_void = false;
    group->held_cnt++;
}

static void forget_held(struct model_group *group, uint32_t idx)
{
    group->held[idx] = group->held[--group->held_cnt];
}

void model_released(const struct model_log *log, struct model_group *group,
    uint32_t idx, int rc)
{
    struct model_held *held = &group->held[idx];
    uint32_t f = log->records[held->record].frame;

    if (held->is_void) {
        T_TRUE(rc == SHMQ_ERR_STALE || rc == SHMQ_ERR_INVAL);
        forget_held(group, idx);
        return;
    }
    T_OK(rc);
    if (prefix_of(log, group, f) == held->record - log->frames[f].first)
        group->attempts[f] = 0;
    group->done[held->record] = 1;
    group->told = false;
    if (prefix_of(log, group, f) == log->frames[f].cnt)
        group->owner[f] = MODEL_NOBODY;
    forget_held(group, idx);
    advance_floor(log, group);
}

bool model_may_nack(
    const struct model_log *log, const struct model_group *group, uint32_t idx)
{
    const struct model_held *held = &group->held[idx];
    uint32_t f = log->records[held->record].frame;

    if (held->is_void)
        return false;
    if (!group->shared)
        return true;
    return log->frames[f].first + prefix_of(log, group, f) == held->record &&
        group->attempts[f] < 90;
}

/* The frame is free again; acknowledgements behind a record that was not
 * acknowledged are forgotten. */
static void free_frame(
    const struct model_log *log, struct model_group *group, uint32_t f)
{
    const struct model_frame *at = &log->frames[f];

    for (uint32_t i = prefix_of(log, group, f); i < at->cnt; i++)
        group->done[at->first + i] = 0;
    group->owner[f] = MODEL_NOBODY;
}

static void void_held_from(
    const struct model_log *log, struct model_group *group, uint32_t record)
{
    uint32_t f = log->records[record].frame;

    for (uint32_t i = 0; i < group->held_cnt; i++) {
        uint32_t other = group->held[i].record;
        if (group->shared ? log->records[other].frame == f : other >= record)
            group->held[i].is_void = true;
    }
}

void model_nacked(
    const struct model_log *log, struct model_group *group, uint32_t idx)
{
    uint32_t record = group->held[idx].record;

    forget_held(group, idx);
    void_held_from(log, group, record);
    if (group->shared) {
        free_frame(log, group, log->records[record].frame);
        group->attempts[log->records[record].frame]++;
    } else {
        for (uint32_t i = record; i < group->cursor; i++)
            group->done[i] = 0;
        group->cursor = record;
    }
}

void model_closed(const struct model_log *log, struct model_group *group,
    uint8_t member, bool counts)
{
    for (uint32_t i = 0; i < group->held_cnt;) {
        if (group->held[i].member == member)
            forget_held(group, i);
        else
            i++;
    }
    group->told = false;
    if (!group->shared) {
        for (uint32_t i = group->floor; i < group->cursor; i++)
            group->done[i] = 0;
        group->cursor = group->floor;
        return;
    }
    if (group->floor == log->record_cnt)
        return;
    for (uint32_t f = log->records[group->floor].frame; f < log->frame_cnt; f++)
        if (group->owner[f] == member) {
            free_frame(log, group, f);
            group->attempts[f] = (uint8_t)(group->attempts[f] + counts);
        }
}
