/* check_dead_letters.c - whether the dead-letter topics of a topic's groups
 * take what they are to take. */
#include "findings.h"

#include <inttypes.h>

#include "topic_view.h"

/* False: there is none yet, or it may not be looked at. */
static bool durability_of(const char *ns, const char *topic, uint32_t *ret)
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs)};
    struct shmq_topic *handle = NULL;
    bool known = shmq_topic_open(ns, topic, &handle) == SHMQ_OK &&
        shmq_topic_attrs(handle, &attrs) == SHMQ_OK;
    shmq_topic_close(handle);
    *ret = attrs.durability;
    return known;
}

void check_dead_letters(struct findings *f, const char *ns, const char *name,
    const struct topic_view *view)
{
    for (uint32_t i = 0; i < view->group_cnt; i++) {
        const struct shmq_group_stat *g = &view->groups[i];
        uint32_t has = 0;
        if (view->attrs.durability != SHMQ_DURABILITY_NONE &&
            durability_of(ns, g->dead_letter, &has) &&
            has < view->attrs.durability)
            findings_add(f, FINDING_BAD, "dead-letters",
                "shmq rm it, and it is made anew; or give the group another "
                "--dead-letter",
                "%s: %s, to which group %s sends dead letters, is less durable "
                "and takes none",
                name, g->dead_letter, g->name);
        else if (g->dead_waits != 0)
            findings_add(f, FINDING_HINT, "dead-letters",
                "look whether shmqd runs, whether its disk is full, and "
                "whether anybody reads that topic",
                "%s: records of group %s have waited for %s, %" PRIu64
                " s in sum",
                name, g->name, g->dead_letter, g->dead_waits);
    }
}
