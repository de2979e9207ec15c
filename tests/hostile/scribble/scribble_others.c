/* scribble_others.c - those who look at a game's topic, and those who manage.
 */
#include "game.h"

void scribble_look(struct game *g)
{
    static struct shmq_group_stat groups[64];
    static struct shmq_endpoint_stat ends[128];
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof attrs};
    uint32_t cnt = 0;
    switch (dice(g, 4)) {
    case 0:
        ONLY(CALL(shmq_topic_stat(g->topic, &st)), SHMQ_ERR_CORRUPT);
        break;
    case 1:
        ONLY(CALL(shmq_topic_groups(g->topic, groups, 64, &cnt)),
            SHMQ_ERR_CORRUPT);
        for (uint32_t i = 0; i < cnt && i < 64; i++) {
            T_TRUE(strnlen(groups[i].name, sizeof groups[i].name) <
                sizeof groups[i].name);
            T_TRUE(
                strnlen(groups[i].dead_letter, sizeof groups[i].dead_letter) <
                sizeof groups[i].dead_letter);
        }
        break;
    case 2:
        ONLY(CALL(shmq_topic_endpoints(g->topic, ends, 128, &cnt)),
            SHMQ_ERR_CORRUPT);
        for (uint32_t i = 0; i < cnt && i < 128; i++) {
            T_TRUE(strnlen(ends[i].comm, 16) < 16);
            T_TRUE(strnlen(ends[i].group, sizeof ends[i].group) <
                sizeof ends[i].group);
        }
        break;
    default:
        T_OK(CALL(shmq_topic_attrs(g->topic, &attrs)));
        T_TRUE(attrs.arena_bytes == g->attrs.arena_bytes);
        (void)CALL(shmq_topic_check(g->topic));
        break;
    }
}

void scribble_manage(struct game *g)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const char *name = names[dice(g, 4)];
    struct shmq_start start = {(uint32_t)dice(g, 5), 0, dice(g, 1u << 20)};
    uint32_t force = dice(g, 2) ? SHMQ_GROUP_FORCE : 0;
    switch (dice(g, 5)) {
    case 0:
        (void)CALL(shmq_group_create(g->topic, name, NULL, &start));
        break;
    case 1:
        (void)CALL(shmq_group_remove(g->topic, name, force));
        break;
    case 2:
        (void)CALL(shmq_group_reset(g->topic, name, &start, force));
        break;
    case 3:
        (void)CALL(shmq_group_evict(
            g->topic, (uint32_t)dice(g, g->segment->ring.endpoint_cnt), 0));
        break;
    default: {
        struct shmq_topic *again = NULL;
        if (CALL(shmq_topic_open(t_ns, "victim", &again)) == SHMQ_OK)
            CALL((shmq_topic_close(again), 0));
        break;
    }
    }
}
