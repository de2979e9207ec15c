/* check_topics.c - whether each topic of a namespace is well. */
#include "findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli_names.h"
#include "topic_view.h"

struct checked {
    struct findings *f;
    const char *ns;
    uint32_t topics;
    bool unserved;
};

static void check_holders(
    struct findings *f, const char *name, const struct topic_view *view)
{
    bool named = false;
    for (uint32_t i = 0; i < view->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &view->endpoints[i];
        if (e->block_cnt == 0)
            continue;
        named = true;
        findings_add(f,
            e->state == SHMQ_STATE_RUNNING || e->state == SHMQ_STATE_UNKNOWN
                ? FINDING_HINT
                : FINDING_BAD,
            "held-up",
            "make it go on, or shmq group evict TOPIC ENDPOINT [--kill]",
            "%s: %" PRIu32 " producers wait for pid %" PRId32
            ", %s (group %s, endpoint %" PRIu32 ")",
            name, e->block_cnt, e->pid, cli_state_name(e->state), e->group,
            e->id);
    }
    for (uint32_t i = 0;
         !named && view->stat.ring_full != 0 && i < view->group_cnt; i++) {
        const struct shmq_group_stat *g = &view->groups[i];
        if (g->gates != 0 && g->member_cnt == 0 &&
            g->floor_position <= view->stat.gate_position)
            findings_add(f, FINDING_BAD, "held-up",
                "start a reader of it, or shmq group rm TOPIC GROUP",
                "%s: is full, and group %s has no member to read on", name,
                g->name);
    }
}

static void check_endpoints(
    struct findings *f, const char *name, const struct topic_view *view)
{
    for (uint32_t i = 0; i < view->endpoint_cnt; i++) {
        const struct shmq_endpoint_stat *e = &view->endpoints[i];
        if (e->state == SHMQ_STATE_DEAD)
            findings_add(f, FINDING_HINT, "dead",
                "nothing: whoever attaches, or is held up by it, clears it "
                "away",
                "%s: pid %" PRId32 " died as %s (endpoint %" PRIu32 ")", name,
                e->pid, cli_role_name(e->role), e->id);
        else if (e->state == SHMQ_STATE_STOPPED && e->holds_frames > 0)
            findings_add(f, FINDING_BAD, "stopped",
                "kill -CONT it, or shmq group evict TOPIC ENDPOINT [--kill]",
                "%s: pid %" PRId32 " is stopped and holds %" PRIu64
                " frames of group %s (endpoint %" PRIu32 ")",
                name, e->pid, e->holds_frames, e->group, e->id);
    }
}

static void check_view(
    struct checked *c, const char *name, const struct topic_view *view)
{
    check_holders(c->f, name, view);
    check_endpoints(c->f, name, view);
    check_dead_letters(c->f, c->ns, name, view);
    if (view->attrs.durability == SHMQ_DURABILITY_NONE)
        return;
    const struct shmq_watermarks *m = &view->marks;
    if (!m->served) {
        c->unserved = true;
        findings_add(c->f, FINDING_BAD, "durable", "start shmqd",
            "%s: is durable, and shmqd is not there to write its records",
            name);
    }
    if (m->state == SHMQ_DURABLE_LOW_SPACE)
        findings_add(c->f, FINDING_HINT, "disk",
            "free space, or shmq set TOPIC retain-bytes=SIZE",
            "%s: its disk is nearly full", name);
    else if (m->state != SHMQ_DURABLE_OK)
        findings_add(c->f, FINDING_BAD, "disk",
            "look at shmqd's log; free space; shmq log verify tells damage",
            "%s: its state is %s", name, topic_view_state(m->state));
}

/* What shmqd says of itself: topics that it cannot serve, or leaves alone. */
static void check_daemon(struct findings *f, const char *ns)
{
    char status[1024];
    int rc = shmq_daemon_status(ns, 0, status, sizeof(status));
    if (rc == SHMQ_ERR_TIMEOUT)
        findings_add(f, FINDING_BAD, "shmqd",
            "look whether it is stopped (kill -CONT), or its disk hangs",
            "does not answer");
    if (rc != SHMQ_OK || strstr(status, "\"state\": \"ok\"") != NULL ||
        strstr(status, "\"state\":\"ok\"") != NULL)
        return;
    findings_add(
        f, FINDING_BAD, "shmqd", "look at shmqd's log", "says: %s", status);
}

/* The library's sentence without its advice, which we know better. */
static const char *what_happened(char *buf, size_t size)
{
    const char *text = shmq_error_text();
    const char *advice = strstr(text, "; ");
    snprintf(buf, size, "%.*s",
        (int)(advice != NULL ? (size_t)(advice - text) : strlen(text)), text);
    return buf;
}

static int check_topic(void *ctx, const char *name)
{
    struct checked *c = ctx;
    char why[512];
    struct topic_view view;
    int rc = topic_view_attach(c->ns, name, &view);
    if (rc == SHMQ_OK)
        rc = topic_view_look(&view);
    c->topics++;
    if (rc == SHMQ_OK)
        check_view(c, name, &view);
    else if (rc == SHMQ_ERR_PERM)
        findings_add(c->f, FINDING_HINT, "permission",
            "ask its owner, or list the owner's uid in SHMQ_TRUSTED_UIDS", "%s",
            what_happened(why, sizeof(why)));
    else if (rc != SHMQ_ERR_NOENT)
        findings_add(c->f, FINDING_BAD, "damaged",
            "shmq rm --force removes it; its records are lost", "%s",
            what_happened(why, sizeof(why)));
    topic_view_close(&view);
    return 0;
}

int check_topics(struct findings *f, const char *ns)
{
    struct checked c = {f, ns, 0, false};
    size_t before = f->cnt;
    int rc = shmq_topic_list(ns, check_topic, &c);
    check_daemon(f, ns);
    if (rc == SHMQ_ERR_INVAL)
        return cli_fail_rc(rc, "topics");
    if (rc < 0) {
        char why[512];
        findings_add(f, FINDING_BAD, "topics",
            "mount a tmpfs on /dev/shm that this user may read", "%s",
            what_happened(why, sizeof(why)));
    }
    if (f->cnt == before)
        findings_add(
            f, FINDING_OK, "topics", NULL, "%" PRIu32 ", all well", c.topics);
    return c.unserved ? CLI_NO_DAEMON : CLI_DONE;
}
