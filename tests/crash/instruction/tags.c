/* tags.c - who published what, by numbers in the payload. */
#include <string.h>

#include "proof.h"
#include "support/support.h"

const char *const group_names[GROUPS] = {"audit", "work"};
const char *const fill_names[FILLS] = {"empty", "one", "full-1", "full"};
const char *const warm_names[WARMS] = {"fresh", "lap boundary", "wrapped"};
const char *const origin_names[ORIGINS] = {
    "0", "claim laps wrap", "slot laps wrap", "sequences wrap"};

void tags_add(struct tags *t, uint32_t tag)
{
    if (t->cnt < TAGS_MAX)
        t->tag[t->cnt++] = tag;
}

bool tags_have(const struct tags *t, uint32_t tag)
{
    for (uint32_t i = 0; i < t->cnt; i++)
        if (t->tag[i] == tag)
            return true;
    return false;
}

void tags_remove(struct tags *t, uint32_t tag)
{
    uint32_t to = 0;
    for (uint32_t i = 0; i < t->cnt; i++)
        if (t->tag[i] != tag)
            t->tag[to++] = t->tag[i];
    t->cnt = to;
}

uint64_t tag_bytes(const struct config *config, uint32_t tag)
{
    if (tag >= TAG_PROBE)
        return config->ring == SHMQ_RING_SPSC ? fill_bytes(config)
                                              : PROBE_BYTES;
    if (tag >= TAG_OTHERS)
        return OTHERS_BYTES;
    if (tag >= TAG_OP + 1 ||
        (tag == TAG_OP && (config->first->flags & OP_BATCH)))
        return BATCH_BYTES;
    return tag >= TAG_OP ? op_bytes(config->first) : fill_bytes(config);
}

void fill_payload(void *data, uint64_t size, uint32_t tag)
{
    t_fill(data, size, tag);
}

/* Records of the operation that are too small for a tag are known by that. */
uint32_t tag_of(const struct config *config, const struct shmq_message *msg)
{
    uint64_t tag = TAG_OP;
    if (msg->size >= 8)
        memcpy(&tag, msg->data, 8);
    if (tag > TAG_PROBE + TAGS_MAX ||
        tag_bytes(config, (uint32_t)tag) != msg->size ||
        !t_matches(msg->data, msg->size, tag))
        return 0;
    return (uint32_t)tag;
}
