/* topic.c - handles of topics. */
#define _GNU_SOURCE
#include "topic_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "error.h"
#include "process.h"
#include "watermarks.h"

#define HALF_MADE_NAP_NS 2000000
#define HALF_MADE_NAPS 500

/* shmqd has named the ring and is about to put the groups into it, which takes
 * it some ms: whoever came between would make them anew, at another place. */
static bool half_made(const struct shmqi_segment *s)
{
    struct timespec nap = {0, HALF_MADE_NAP_NS};
    if (!s->ring.marks)
        return false;
    for (uint32_t i = 0; i < HALF_MADE_NAPS; i++) {
        if (shm_ld(M3, &s->ring.marks->state) != SHMQI_MARKS_MAKING)
            return false;
        (void)nanosleep(&nap, NULL);
    }
    return true;
}

int shmq_topic_open(const char *ns, const char *topic, struct shmq_topic **ret)
{
    struct shmqi_segment *s = NULL;
    if (!ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "topic: no place for the handle");
    uint32_t generation = shmqi_generation();
    struct shmq_topic *t = calloc(1, sizeof *t);
    if (!t || !generation) {
        free(t);
        return shmqi_fail(SHMQ_ERR_NOMEM, "no memory");
    }
    shmqi_sigbus_unblock();
    int rc = shmqi_segment_open(ns, topic, &s);
    bool deleted = rc == SHMQ_OK && shmqi_segment_deleted(s);
    if (rc == SHMQ_OK && shmqi_segment_broken(s)) {
        rc = shmqi_segment_fail_broken(s);
        shmqi_segment_unref(s);
    } else if (deleted || (rc == SHMQ_OK && half_made(s))) {
        /* Its remover has not come to take the names away; or shmqd died while
         * it made the ring anew, and its successor goes on with that. */
        rc = shmqi_fail(SHMQ_ERR_NOENT,
            "%s: no such topic in namespace %s; "
            "make it with shmq create",
            s->topic, s->ns);
        shmqi_segment_unref(s);
    }
    if (rc) {
        free(t);
        return rc;
    }
    t->segment = s;
    t->generation = generation;
    *ret = t;
    return SHMQ_OK;
}

int shmq_topic_open_schema(const char *ns, const char *topic,
    const char *schema, struct shmq_topic **ret)
{
    struct shmq_topic *t;
    const char *why = schema ? shmqi_schema_why_not(schema) : "no schema given";
    if (why || !ret)
        return shmqi_fail(
            SHMQ_ERR_INVAL, "topic: %s", why ? why : "no place for the handle");
    int rc = shmq_topic_open(ns, topic, &t);
    if (rc)
        return rc;
    const char *has = t->segment->schema;
    if (strcmp(has, schema) != 0) {
        rc = shmqi_fail(SHMQ_ERR_LAYOUT,
            "%s: its records are of schema %s, not %s; use the right topic, or "
            "the other version of the program",
            topic, has[0] ? has : "(none)", schema);
        shmq_topic_close(t);
        return rc;
    }
    *ret = t;
    return SHMQ_OK;
}

void shmq_topic_close(struct shmq_topic *t)
{
    if (!t)
        return;
    if (shmqi_same_process(t->generation))
        shmqi_segment_unref(t->segment);
    free(t);
}

int shmqi_topic_look(struct shmq_topic *t, struct shmqi_segment **ret)
{
    if (!t)
        return shmqi_fail(SHMQ_ERR_INVAL, "topic: no handle");
    if (!shmqi_same_process(t->generation))
        return shmqi_fail(SHMQ_ERR_FORKED,
            "topic: the handle belongs to the "
            "parent process; open it in the child");
    *ret = t->segment;
    return shmqi_segment_result(t->segment, SHMQ_OK);
}

int shmqi_topic_use(struct shmq_topic *t, struct shmqi_segment **ret)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(t, &s);
    if (rc)
        return rc;
    if (shmqi_segment_deleted(s))
        return shmqi_fail(SHMQ_ERR_CLOSED,
            "%s: the topic was removed; open "
            "it again",
            s->topic);
    *ret = s;
    return shmqi_segment_result(s, SHMQ_OK);
}

int shmq_topic_check(struct shmq_topic *t)
{
    struct shmqi_segment *s = NULL;
    struct stat st;
    int rc = shmqi_topic_use(t, &s);
    if (rc)
        return rc;
    /* Removed by rm(1), a cleaner of /dev/shm, or logind's RemoveIPC. */
    if (shmqi_segment_data_fd(s) >= 0 && fstat(s->data_fd, &st) == 0 &&
        st.st_nlink == 0)
        return shmqi_fail(SHMQ_ERR_CLOSED,
            "%s: its files were removed; open "
            "it again",
            s->topic);
    return SHMQ_OK;
}

int shmq_topic_attrs(struct shmq_topic *t, struct shmq_topic_attrs *ret)
{
    struct shmqi_segment *s = NULL;
    int rc = shmqi_topic_look(t, &s);
    if (rc)
        return rc;
    if (!ret || ret->struct_bytes != sizeof *ret)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "attributes: struct_bytes is not "
            "sizeof(struct shmq_topic_attrs)");
    const struct shmqi_constants_shm *c = &s->constants;
    ret->ring = c->ring;
    ret->on_full = c->on_full;
    ret->durability = c->durability;
    ret->capacity_frames = c->ring == SHMQ_RING_MPMC ? 1ull << c->cap_lg2 : 0;
    ret->arena_bytes = c->arena_bytes;
    ret->max_message_bytes = c->max_message_bytes;
    ret->max_producers = c->max_producers;
    ret->max_groups = c->max_groups;
    ret->max_members = c->max_members;
    ret->mode = c->mode;
    ret->data_mode = c->data_mode;
    ret->flags = c->flags & SHMQI_TOPIC_KNOWN_FLAGS;
    ret->ttl_ns = c->ttl_ns;
    ret->timestamps = shmqi_stamps(c->flags);
    struct stat st;
    if (shmqi_segment_data_fd(s) >= 0 && fstat(s->data_fd, &st) == 0) {
        ret->owner = st.st_uid;
        ret->group_owner = st.st_gid;
    }
    ret->schema = s->schema[0] ? s->schema : NULL;
    return SHMQ_OK;
}

const char *shmq_topic_name(const struct shmq_topic *t)
{
    return t->segment->topic;
}

const char *shmq_topic_namespace(const struct shmq_topic *t)
{
    return t->segment->ns;
}

void shmq_topic_uuid(const struct shmq_topic *t, uint64_t ret_uuid[2])
{
    const struct shmqi_segment *s = t->segment;
    const uint64_t *uuid = s->ring.marks ? s->topic_uuid : s->constants.uuid;
    ret_uuid[0] = uuid[0];
    ret_uuid[1] = uuid[1];
}
