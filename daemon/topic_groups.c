/* topic_groups.c - the places of a topic's groups: from shared memory to the
 * journal, and back into a ring that was made anew.
 *
 * Looked at every LOOK_NS, within WITH_FLUSH_NS after a flush, and at once when
 * somebody waits for a commit. What
 * changed is put into the journal; when that is on disk, whoever waits is
 * told. A floor never goes beyond what is durable: shmqi_drain_groups() cuts
 * it. */
#include "topic.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <shmq.h>

#include "journal.h"
#include "service/service_log.h"

#define LOOK_NS 50000000ull
#define WITH_FLUSH_NS 5000000ull
/* More than any power cut takes of a log. Members can scribble on what the
 * journal was told: a place further beyond the log's end is not believed. */
#define LOST_MAX (1ull << 40)

/* A group as the journal knows it. */
struct known {
    struct shmqi_group_place place;
    uint64_t ticket; /* of its last put; 0: told already */
    bool seen; /* in the running look */
    bool again; /* what was put is lost: it counts as changed */
};

struct shmqd_places {
    uint32_t cnt, room;
    bool passed_over; /* somebody moved while his last put was under way */
    struct shmqi_group_place *found; /* buffer of a look */
    struct known *known;
};

void shmqd_topic_places_free(struct shmqd_topic *topic)
{
    if (topic->places != NULL) {
        free(topic->places->found);
        free(topic->places->known);
    }
    free(topic->places);
    topic->places = NULL;
}

static struct known *find(struct shmqd_places *places, const char *name)
{
    for (uint32_t i = 0; i < places->cnt; i++) {
        if (strcmp(places->known[i].place.name, name) == 0)
            return &places->known[i];
    }
    return NULL;
}

static struct known *add(
    struct shmqd_places *places, const struct shmqi_group_place *place)
{
    if (places->cnt == places->room)
        return NULL;
    struct known *known = &places->known[places->cnt++];
    memset(known, 0, sizeof(*known));
    known->place = *place;
    return known;
}

static void take_known(void *ctx, const struct shmqi_group_place *place)
{
    struct shmqd_topic *topic = ctx;
    (void)add(topic->places, place);
}

bool shmqd_topic_places_open(struct shmqd_topic *topic)
{
    /* Names of groups that were removed may come on top of the living. */
    uint32_t room = 2 * shmqi_drain_groups_max(topic->drain) + 64;
    struct shmqd_places *places = calloc(1, sizeof(*places));
    shmqd_topic_places_free(topic);
    if (places == NULL)
        return false;
    topic->places = places;
    places->room = room;
    places->found = calloc(room, sizeof(*places->found));
    places->known = calloc(room, sizeof(*places->known));
    if (places->found == NULL || places->known == NULL)
        return false;
    shmqd_journal_each(topic->daemon->journal, topic->uuid, take_known, topic);
    return true;
}

bool shmqd_topic_each_group(struct shmqd_topic *topic,
    void (*each)(void *ctx, const struct shmqi_group_place *place), void *ctx)
{
    bool all = true;
    if (topic->drain == NULL || shmqi_drain_making(topic->drain)) {
        shmqd_journal_each(topic->daemon->journal, topic->uuid, each, ctx);
        return true;
    }
    if (topic->places == NULL)
        return false;
    uint32_t cnt = shmqi_drain_groups(
        topic->drain, topic->places->found, topic->places->room, &all);
    for (uint32_t i = 0; i < cnt; i++)
        each(ctx, &topic->places->found[i]);
    return all;
}

struct reach {
    uint64_t most, pos;
};

static void take_reach(void *ctx, const struct shmqi_group_place *place)
{
    struct reach *reach = ctx;
    const uint64_t seen[] = {place->floor, place->next};
    for (int i = 0; i < 2; i++) {
        if (seen[i] > reach->pos && seen[i] <= reach->most)
            reach->pos = seen[i];
    }
}

uint64_t shmqd_topic_reached(const struct shmqd_topic *topic, uint64_t end_pos)
{
    struct reach reach = {
        end_pos < UINT64_MAX - LOST_MAX ? end_pos + LOST_MAX : end_pos,
        end_pos,
    };
    shmqd_journal_each(topic->daemon->journal, topic->uuid, take_reach, &reach);
    return reach.pos;
}

void shmqd_topic_restore_groups(struct shmqd_topic *topic, uint64_t handed_pos)
{
    struct shmqd_places *places = topic->places;
    const uint64_t start = shmqi_drain_start(topic->drain);
    for (uint32_t i = 0; i < places->cnt; i++) {
        struct shmqi_group_place *place = &places->known[i].place;
        if (place->next < handed_pos)
            place->next = handed_pos;
        if (place->floor > start) { /* would pass over records to come */
            shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
                "group %s stood at %" PRIu64
                ", where nothing can have been; it goes on at %" PRIu64,
                place->name, place->floor, start);
            place->floor = place->next = start;
        }
        int rc = shmqi_drain_restore(topic->drain, place);
        if (rc != 0 && rc != SHMQ_ERR_EXISTS)
            shmqs_log_about(SHMQS_ERROR, "topic", topic->name,
                "group %s cannot be made anew at its place: %s", place->name,
                shmq_error_text());
    }
}

static bool same(
    const struct shmqi_group_place *a, const struct shmqi_group_place *b)
{
    return a->floor == b->floor && a->next == b->next &&
        a->internal == b->internal && a->kind == b->kind &&
        a->absent == b->absent && a->max_attempts == b->max_attempts &&
        a->lease_ns == b->lease_ns &&
        strcmp(a->dead_letter, b->dead_letter) == 0;
}

/* Puts one group's place, if it changed. False: the journal has no room. While
 * its last put is under way there is no next one: who moves all the time would
 * never be told of any. */
static bool put(
    struct shmqd_topic *topic, const struct shmqi_group_place *place, bool last)
{
    struct known *known = find(topic->places, place->name);
    bool is_new = known == NULL;
    if (is_new)
        known = add(topic->places, place);
    if (known == NULL)
        return true; /* more groups than there can be: not ours to keep */
    known->seen = true;
    if (!is_new && !known->again && same(&known->place, place))
        return true;
    if (known->ticket != 0 && !last) {
        topic->places->passed_over = true;
        return true;
    }
    uint64_t ticket =
        shmqd_journal_put(topic->daemon->journal, topic->uuid, place);
    if (ticket == 0) {
        if (is_new)
            topic->places->cnt--;
        return false;
    }
    known->place = *place;
    known->ticket = ticket;
    known->again = false;
    return true;
}

void shmqd_topic_put_again(struct shmqd_topic *topic)
{
    if (topic->places == NULL)
        return;
    for (uint32_t i = 0; i < topic->places->cnt; i++) {
        topic->places->known[i].ticket = 0;
        topic->places->known[i].again = true;
    }
    topic->groups_ns = 0;
}

/* `last`: nobody looks after us. Who is attached may go on reading. */
static bool look(struct shmqd_topic *topic, bool last)
{
    struct shmqd_places *places = topic->places;
    bool all = true, complete;
    uint32_t cnt = shmqi_drain_groups(
        topic->drain, places->found, places->room, &complete);
    for (uint32_t i = 0; i < places->cnt; i++)
        places->known[i].seen = false;
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmqi_group_place *place = &places->found[i];
        if (last)
            place->next = shmqi_drain_group_reach(topic->drain, place);
        all &= put(topic, place, last);
    }
    if (!complete)
        return false; /* nobody is known to be gone */
    for (uint32_t i = 0; all && i < places->cnt; i++) {
        struct known *known = &places->known[i];
        if (known->seen)
            continue;
        if (shmqd_journal_remove(
                topic->daemon->journal, topic->uuid, known->place.name) == 0)
            return false;
        places->known[i--] = places->known[--places->cnt];
    }
    return all;
}

/* Tells who waits for a commit. */
static bool tell(struct shmqd_topic *topic)
{
    struct shmqd_places *places = topic->places;
    uint64_t done = shmqd_journal_done(topic->daemon->journal);
    bool told = false;
    for (uint32_t i = 0; i < places->cnt; i++) {
        struct known *known = &places->known[i];
        if (known->ticket == 0 || known->ticket >= done)
            continue;
        known->ticket = 0;
        shmqi_drain_journaled(topic->drain, &known->place, 1);
        told = true;
    }
    return told;
}

bool shmqd_topic_note_groups(struct shmqd_topic *topic)
{
    return topic->drain == NULL || look(topic, true);
}

bool shmqd_topic_groups(
    struct shmqd_topic *topic, uint64_t now_ns, bool flushed)
{
    uint64_t commits = shmqi_drain_commits(topic->drain);
    if (flushed && topic->groups_ns > now_ns + WITH_FLUSH_NS)
        topic->groups_ns = now_ns + WITH_FLUSH_NS;
    if (commits != topic->commits || now_ns >= topic->groups_ns) {
        topic->groups_ns = now_ns + LOOK_NS;
        if (look(topic, false))
            topic->commits = commits;
    }
    bool told = tell(topic);
    if (told && topic->places->passed_over) {
        topic->places->passed_over = false;
        topic->groups_ns = now_ns;
    }
    return told;
}
