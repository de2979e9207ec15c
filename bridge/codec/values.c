/* values.c - values of TLVs: texts, ranges, positions, statistics. */
#include <string.h>

#include "message.h"

bool shmqw_text(
    const struct shmqw_message *msg, enum shmqw_tlv type, char *ret, size_t cap)
{
    const struct shmqw_view *v = &msg->tlv[type];
    if (!v->at || v->len >= cap)
        return false;
    memcpy(ret, v->at, v->len);
    ret[v->len] = 0;
    return true;
}

uint32_t shmqw_range_cnt(const struct shmqw_message *msg)
{
    return msg->tlv[SHMQW_TLV_RANGES].len /
        (uint32_t)sizeof(struct shmqw_range);
}

struct shmqw_range shmqw_range_at(const struct shmqw_message *msg, uint32_t n)
{
    struct shmqw_range range = {0, 0};
    if (n < shmqw_range_cnt(msg))
        memcpy(&range, msg->tlv[SHMQW_TLV_RANGES].at + n * sizeof range,
            sizeof range);
    return range;
}

uint32_t shmqw_position_cnt(const struct shmqw_message *msg)
{
    return msg->tlv[SHMQW_TLV_POSITIONS].len / (uint32_t)sizeof(uint64_t);
}

uint64_t shmqw_position_at(const struct shmqw_message *msg, uint32_t n)
{
    uint64_t position = SHMQW_NONE;
    if (n < shmqw_position_cnt(msg))
        memcpy(&position,
            msg->tlv[SHMQW_TLV_POSITIONS].at + n * sizeof position,
            sizeof position);
    return position;
}

/* A byte n and n bytes at *off. */
static bool take_short(
    const struct shmqw_view *v, uint32_t *off, struct shmqw_view *ret)
{
    if (*off >= v->len || v->at[*off] > v->len - *off - 1)
        return false;
    ret->at = v->at + *off + 1;
    ret->len = v->at[*off];
    *off += 1 + ret->len;
    return true;
}

bool shmqw_open_group_stat(const struct shmqw_view *value,
    struct shmqw_group_stat *ret_fixed, struct shmqw_view *ret_name,
    struct shmqw_view *ret_dead_letter)
{
    struct shmqw_view name, dead_letter;
    uint32_t off = sizeof *ret_fixed;
    if (!take_short(value, &off, &name) ||
        !take_short(value, &off, &dead_letter) ||
        !shmqw_group_legal(name.at, name.len) ||
        (dead_letter.len &&
            !shmqw_topic_legal(dead_letter.at, dead_letter.len)))
        return false;
    memcpy(ret_fixed, value->at, sizeof *ret_fixed);
    *ret_name = name;
    if (ret_dead_letter)
        *ret_dead_letter = dead_letter;
    return true;
}

bool shmqw_open_endpoint_stat(const struct shmqw_view *value,
    struct shmqw_endpoint_stat *ret_fixed, struct shmqw_view *ret_group)
{
    struct shmqw_view group;
    uint32_t off = sizeof *ret_fixed;
    if (!take_short(value, &off, &group) ||
        (group.len && !shmqw_group_legal(group.at, group.len)))
        return false;
    memcpy(ret_fixed, value->at, sizeof *ret_fixed);
    *ret_group = group;
    return true;
}
