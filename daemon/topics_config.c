/* topics_config.c - the [topic NAME] sections of the settings. */
#include "topics.h"

#include <stdlib.h>

#include <shmq.h>

#include "options.h"
#include "service/service_log.h"

int shmqd_topics_check(const struct shmqs_settings *settings)
{
    const struct shmqs_values *section;
    for (uint32_t i = 0;
         (section = shmqs_settings_section(settings, i)) != NULL; i++) {
        struct shmqd_meta meta;
        shmqd_options_topic(section, &meta);
        if (shmqd_meta_complete(shmqs_section_name(section), &meta) != 0)
            return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE,
                shmqs_section_place(section), "%s", shmq_error_text());
    }
    return 0;
}

/* The first attribute that was given and differs, or NULL. */
static const char *difference(const struct shmqs_values *section,
    const struct shmq_topic_attrs *is, const struct shmq_topic_attrs *wanted)
{
    const struct {
        const char *key;
        uint64_t is, wanted;
    } all[] = {
        {"ring", is->ring, wanted->ring},
        {"capacity", is->capacity_frames, wanted->capacity_frames},
        {"arena", is->arena_bytes, wanted->arena_bytes},
        {"max-message", is->max_message_bytes, wanted->max_message_bytes},
        {"on-full", is->on_full, wanted->on_full},
        {"durability", is->durability, wanted->durability},
        {"mode", is->mode, wanted->mode},
        {"data-mode", is->data_mode, wanted->data_mode},
        {"max-producers", is->max_producers, wanted->max_producers},
        {"max-groups", is->max_groups, wanted->max_groups},
        {"max-members", is->max_members, wanted->max_members},
        {"ttl", is->ttl_ns, wanted->ttl_ns},
        {"timestamps", is->timestamps, wanted->timestamps},
        {"expired", is->flags & SHMQ_TOPIC_TTL_DEAD_LETTER,
            wanted->flags & SHMQ_TOPIC_TTL_DEAD_LETTER},
        {"asymmetric", is->flags & SHMQ_TOPIC_ASYMMETRIC,
            wanted->flags & SHMQ_TOPIC_ASYMMETRIC},
        {"prefault", is->flags & SHMQ_TOPIC_PREFAULT,
            wanted->flags & SHMQ_TOPIC_PREFAULT},
        {"mlock", is->flags & SHMQ_TOPIC_MLOCK,
            wanted->flags & SHMQ_TOPIC_MLOCK},
        {"huge", is->flags & SHMQ_TOPIC_HUGE, wanted->flags & SHMQ_TOPIC_HUGE},
        {"owner", is->owner, wanted->owner},
        {"group-owner", is->group_owner, wanted->group_owner},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (shmqs_given(section, all[i].key) && all[i].is != all[i].wanted)
            return all[i].key;
    }
    return NULL;
}

static void set_unmade(struct shmqd *daemon, const char *name)
{
    const char **more = realloc(
        daemon->unmade, (daemon->unmade_cnt + 1) * sizeof(const char *));
    if (more == NULL)
        return;
    daemon->unmade = more;
    daemon->unmade[daemon->unmade_cnt++] = name;
}

const char *shmqd_topics_unmade(struct shmqd *daemon, uint32_t i)
{
    const char *name = daemon->unmade[i];
    return shmqd_topics_find(daemon, name) == NULL ? name : NULL;
}

static void configure(struct shmqd *daemon, const struct shmqs_values *section)
{
    const char *name = shmqs_section_name(section);
    struct shmqd_topic *topic = shmqd_topics_find(daemon, name);
    struct shmqd_meta meta;
    char text[512];
    shmqd_options_topic(section, &meta);
    if (topic == NULL) {
        if (shmqd_topics_make(daemon, name, &meta, text, sizeof(text)) == 0)
            return;
        shmqs_log_about(SHMQS_ERROR, "topic", name,
            "%s: not made: %s; put that right and restart",
            shmqs_section_place(section), text);
        set_unmade(daemon, name);
        return;
    }
    if (!shmqd_topic_is_known(topic))
        return; /* which was said when it was set aside */
    const char *key = shmqd_meta_complete(name, &meta) == 0
        ? difference(section, &topic->meta.attrs, &meta.attrs)
        : NULL;
    if (key != NULL)
        shmqs_log_about(SHMQS_WARNING, "topic", name,
            "%s: %s differs from what the topic was made with, and has no "
            "effect",
            shmqs_section_place(section), key);
    if (meta.retain.flags != 0 &&
        shmqd_topic_set_retention(topic, &meta.retain, text, sizeof(text)) != 0)
        shmqs_log_about(SHMQS_ERROR, "topic", name,
            "%s: its retention stays what it was: %s",
            shmqs_section_place(section), text);
}

void shmqd_topics_configure(struct shmqd *daemon)
{
    const struct shmqs_values *section;
    for (uint32_t i = 0;
         (section = shmqs_settings_section(daemon->settings, i)) != NULL; i++)
        configure(daemon, section);
}
