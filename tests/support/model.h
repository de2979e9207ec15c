/* model.h - a plain list that knows what a topic and its groups must do.
 *
 * All handles live in one thread, so every outcome is determined: the model is
 * told what the library answered and fails the test when the library should
 * have answered otherwise. Tags of payloads are the numbers of the records. */
#ifndef SHMQ_TEST_MODEL_H
#define SHMQ_TEST_MODEL_H

#include "support/support.h"

#define MODEL_RECORDS 400000u
#define MODEL_FRAMES 200000u
#define MODEL_HELD 256u
#define MODEL_NOBODY 255u

struct model_record {
    uint64_t position;
    uint32_t frame;
    uint32_t size;
};

struct model_frame {
    uint32_t first; /* number of its first record */
    uint32_t cnt;
};

/* What was published, in order. */
struct model_log {
    struct model_record *records;
    struct model_frame *frames;
    uint32_t record_cnt;
    uint32_t frame_cnt;
};

struct model_held {
    struct shmq_message msg;
    uint32_t record;
    uint8_t member;
    bool is_void; /* given back by a nack of an earlier record */
};

struct model_group {
    bool shared;
    uint32_t prefetch;
    uint8_t *handed; /* per record: was handed out before */
    uint8_t *done; /* per record: was acknowledged */
    uint8_t *owner; /* per frame: member or MODEL_NOBODY */
    uint8_t *attempts; /* per frame: of its first record not done */
    uint16_t *next_in; /* per frame: index the owner gets next */
    uint32_t cursor; /* exclusive: number of the next record */
    uint32_t floor; /* first record not done */
    bool told; /* the floor was surely told to the producers */
    struct model_held held[MODEL_HELD];
    uint32_t held_cnt;
};

void model_log_init(struct model_log *log);
void model_log_free(struct model_log *log);
void model_group_init(
    struct model_group *group, bool shared, uint32_t prefetch);
void model_group_free(struct model_group *group);

/* One frame of `cnt` records was published. */
void model_published(struct model_log *log, const uint64_t *positions,
    const uint32_t *sizes, uint32_t cnt);
/* Frames that the group has not finished. */
uint32_t model_lag(
    const struct model_log *log, const struct model_group *group);

/* The group starts behind everything published. */
void model_start_latest(const struct model_log *log, struct model_group *group);
/* Member `member` called receive and got `rc` and, for 0, `msg`. */
void model_received(const struct model_log *log, struct model_group *group,
    uint8_t member, int rc, const struct shmq_message *msg);
/* The record held[idx] was released with `rc`. */
void model_released(const struct model_log *log, struct model_group *group,
    uint32_t idx, int rc);
/* True when held[idx] is the first record of its frame that is not done. */
bool model_may_nack(
    const struct model_log *log, const struct model_group *group, uint32_t idx);
void model_nacked(
    const struct model_log *log, struct model_group *group, uint32_t idx);
/* `counts`: closing counts an attempt for what it gives back (a copying member
 * of a group that hands out views). */
void model_closed(const struct model_log *log, struct model_group *group,
    uint8_t member, bool counts);

#endif
