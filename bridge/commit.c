/* commit.c - COMMIT: what was acknowledged is so on disk, too. */
#include <stdlib.h>

#include "stream.h"

#define MS UINT64_C(1000000)
#define LOOK_NS (2 * MS)
#define PENDING_MAX 4096u /* of all clients */

struct shmqz_commit {
    uint64_t session_id;
    uint32_t stream_id, corr_id, level;
    uint64_t deadline_ns;
    struct shmqz_commit *next;
};

static struct shmqz_stream *stream_of(
    struct shmqz_session *session, uint32_t id)
{
    struct shmqz_stream *s = session->streams;
    while (s && s->id != id)
        s = s->next;
    return s;
}

/* True when it was answered, or nobody waits for the answer. */
static bool look(struct shmqz_server *server, const struct shmqz_commit *c)
{
    struct shmqz_session *session = shmqz_session_by_id(server, c->session_id);
    struct shmqz_stream *s = session ? stream_of(session, c->stream_id) : NULL;
    struct shmqw_message request = {0};
    struct shmqw_committed reply = {0};
    if (!session)
        return true;
    struct shmqz_peer peer = shmqz_session_peer(session);
    request.command = SHMQW_COMMIT;
    request.corr_id = c->corr_id;
    request.stream_id = c->stream_id;
    if (!s) { /* detached or revoked meanwhile */
        shmqz_refuse(server, &peer, &request, SHMQW_UNKNOWN_STREAM, NULL);
        return true;
    }
    int rc = shmq_consumer_commit_wait(s->consumer, 0, &reply.floor);
    if (rc == SHMQ_OK) {
        reply.level = (uint8_t)c->level;
        shmqz_reply(server, &peer, &request, SHMQW_COMMIT, c->stream_id, &reply,
            sizeof reply);
        return true;
    }
    bool waits = rc == SHMQ_ERR_TIMEOUT || rc == SHMQ_ERR_NODAEMON ||
        rc == SHMQ_ERR_INTR;
    if (waits && shmqz_loop_now(server->loop) < c->deadline_ns)
        return false;
    shmqz_refuse(
        server, &peer, &request, shmqz_status_of(rc), shmq_error_text());
    return true;
}

static void look_at_all(void *ctx)
{
    struct shmqz_server *server = ctx;
    struct shmqz_commit **at = &server->commits;
    while (*at) {
        struct shmqz_commit *c = *at;
        if (look(server, c)) {
            *at = c->next;
            server->commit_cnt--;
            free(c);
        } else {
            at = &c->next;
        }
    }
    if (server->commits)
        server->commit_timer.due_ns = shmqz_loop_now(server->loop) + LOOK_NS;
}

enum shmqw_status shmqz_commit_wait(struct shmqz_stream *s,
    const struct shmqw_message *request, const struct shmqw_commit *body)
{
    struct shmqz_server *server = s->session->server;
    uint32_t own = SHMQW_LEVEL_PUBLISHED + s->topic->attrs.durability;
    uint32_t ms = server->limits.publish_timeout_ms;
    if (body->level > own)
        return SHMQW_INVALID;
    struct shmqz_commit *c =
        server->commit_cnt < PENDING_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return SHMQW_OVERLOADED;
    if (body->timeout_ms && body->timeout_ms < ms)
        ms = body->timeout_ms;
    c->session_id = s->session->id;
    c->stream_id = s->id;
    c->corr_id = request->corr_id;
    c->level = own;
    c->deadline_ns = shmqz_loop_now(server->loop) + ms * MS;
    c->next = server->commits;
    server->commits = c;
    server->commit_cnt++;
    server->commit_timer.due_ns = 0;
    return SHMQW_OK;
}

void shmqz_commits_open(struct shmqz_server *server)
{
    server->commit_timer = (struct shmqz_timer){
        .due_ns = SHMQZ_NEVER, .expired = look_at_all, .ctx = server};
    shmqz_timer_add(server->loop, &server->commit_timer);
}

void shmqz_commits_close(struct shmqz_server *server)
{
    while (server->commits) {
        struct shmqz_commit *c = server->commits;
        server->commits = c->next;
        free(c);
    }
}
