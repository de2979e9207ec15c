#include "session.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "nearest.h"
#include "publish.h"
#include "service/service_log.h"
#include "stream.h"

#define MS UINT64_C(1000000)
#define LEASE_LEAST_MS 100u
#define CREDIT_LEAST (UINT64_C(64) << 10)
#define CREDIT_SHARE 16u /* of what is left goes to a new session at most */
#define NAME_TLV_BYTES 4u
#define ORIGIN_BYTES 28u /* of a record's attributes, for our own */
#define ATTRS_MAX 65535u

/* -- finding ----------------------------------------------------------------
 */

static int by_route(const void *a, const void *b)
{
    const struct shmqz_session *x = a, *y = b;
    if (x->route_bytes != y->route_bytes)
        return x->route_bytes < y->route_bytes ? -1 : 1;
    return memcmp(x->route, y->route, x->route_bytes);
}

static int by_id(const void *a, const void *b)
{
    const struct shmqz_session *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

struct shmqz_session *shmqz_session_of(
    struct shmqz_server *server, const struct shmqz_peer *peer)
{
    struct shmqz_session probe;
    if (peer->route_bytes > sizeof probe.route)
        return NULL;
    probe.route_bytes = (uint32_t)peer->route_bytes;
    memcpy(probe.route, peer->route, peer->route_bytes);
    struct shmqz_session **found =
        tfind(&probe, &server->sessions_by_route, by_route);
    return found ? *found : NULL;
}

struct shmqz_session *shmqz_session_by_id(
    struct shmqz_server *server, uint64_t id)
{
    struct shmqz_session probe;
    probe.id = id;
    struct shmqz_session **found =
        tfind(&probe, &server->sessions_by_id, by_id);
    return found ? *found : NULL;
}

struct shmqz_peer shmqz_session_peer(const struct shmqz_session *session)
{
    struct shmqz_peer peer = {session->route, session->route_bytes,
        session->delimiter, session->user, session->key, NULL};
    return peer;
}

bool shmqz_session_send(struct shmqz_session *session,
    struct shmqw_writer *writer, struct shmqz_part *payload)
{
    struct shmqz_peer peer = shmqz_session_peer(session);
    if (session->overrun) {
        if (payload)
            shmqz_part_close(payload);
        return false;
    }
    return shmqz_answer(session->server, &peer, writer, payload) == SHMQZ_SENT;
}

void shmqz_session_lost(struct shmqz_session *session, enum shmqz_sent why)
{
    if (!session)
        return;
    session->overrun = true;
    if (why != SHMQZ_GONE || session->gone)
        return;
    session->gone = true;
    session->gone_ns = shmqz_loop_now(session->server->loop);
}

/* -- beginning --------------------------------------------------------------
 */

static void choose_lease(struct shmqz_session *s, uint32_t wished_ms)
{
    const struct shmqz_limits *l = &s->server->limits;
    uint32_t ms = wished_ms ? wished_ms : l->lease_ms;
    if (ms < LEASE_LEAST_MS)
        ms = LEASE_LEAST_MS;
    if (ms > l->lease_max_ms)
        ms = l->lease_max_ms;
    s->lease_ns = ms * MS;
}

/* What a client lets no longer time pass without sending something. */
static uint32_t heartbeat_ms(const struct shmqz_session *s)
{
    uint32_t third = (uint32_t)(s->lease_ns / MS / 3);
    uint32_t most = s->server->limits.heartbeat_ms;
    return most < third ? most : third;
}

/* Each session that may still come has its least; of the rest a new one gets a
 * part, and a user with a name the less the more sessions he has. (A connection
 * that has not taken what an ended one left counts, too.) */
static uint64_t credit_of(
    struct shmqz_server *server, const struct shmqz_peer *peer)
{
    const struct shmqz_limits *l = &server->limits;
    uint64_t places = l->credit_total_bytes / CREDIT_LEAST;
    uint64_t most = l->credit_bytes, rest = server->credit_left;
    places = places < l->sessions ? places : l->sessions;
    uint64_t taken = 1 + shmqz_accounts_besides(server, peer, false);
    uint64_t others = (places > taken ? places - taken : 0) * CREDIT_LEAST;
    rest = rest > others + CREDIT_LEAST ? rest - others - CREDIT_LEAST : 0;
    uint64_t more = rest / CREDIT_SHARE;
    if (peer->user[0])
        more = (more < most ? more : most) /
            (shmqz_accounts_besides(server, peer, true) + 1);
    uint64_t credit = CREDIT_LEAST + more;
    return credit < most ? credit : most;
}

static struct shmqz_session *new_session(struct shmqz_server *server,
    const struct shmqz_peer *peer, const struct shmqw_hello *hello)
{
    struct shmqz_session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->server = server;
    s->route_bytes = (uint32_t)peer->route_bytes;
    memcpy(s->route, peer->route, peer->route_bytes);
    s->delimiter = peer->delimiter;
    memcpy(s->user, peer->user, strnlen(peer->user, sizeof s->user - 1));
    memcpy(s->key, peer->key, strnlen(peer->key, sizeof s->key - 1));
    s->id = shmqz_random();
    s->token = shmqz_random();
    s->seen_ns = shmqz_loop_now(server->loop);
    choose_lease(s, hello->lease_ms);
    s->account = shmqz_account_begin(server, peer);
    if (!s->account) {
        free(s);
        return NULL;
    }
    if (!tsearch(s, &server->sessions_by_route, by_route) ||
        !tsearch(s, &server->sessions_by_id, by_id)) {
        tdelete(s, &server->sessions_by_route, by_route);
        shmqz_account_end(s->account);
        free(s);
        return NULL;
    }
    shmqz_account_promise(s->account, 0); /* what it had */
    s->credit_bytes = credit_of(server, peer);
    shmqz_account_promise(s->account, s->credit_bytes);
    s->next = server->sessions;
    if (s->next)
        s->next->previous = s;
    server->sessions = s;
    server->session_cnt++;
    server->counters.sessions_begun++;
    return s;
}

/* Ends the session that the client says it had, and that of its connection. */
static void end_earlier(struct shmqz_server *server,
    const struct shmqz_peer *peer, const struct shmqw_hello *hello)
{
    struct shmqz_session *s = hello->session_id
        ? shmqz_session_by_id(server, hello->session_id)
        : NULL;
    if (s && s->token == hello->session_token &&
        strcmp(s->user, peer->user) == 0)
        shmqz_session_end(s, SHMQZ_END_LEFT);
    /* Of a gone one's name, but another: it only chose the same routing id. */
    s = shmqz_session_of(server, peer);
    if (s)
        shmqz_session_end(s, s->gone ? SHMQZ_END_FAILED : SHMQZ_END_LEFT);
}

static void welcome(struct shmqz_session *s, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct shmqz_server *server = s->server;
    const struct shmqz_limits *l = &server->limits;
    struct shmqw_welcome body = {0};
    char feed[256];
    struct shmqw_writer w;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    body.proto = SHMQW_VERSION;
    body.lease_ms = (uint32_t)(s->lease_ns / MS);
    body.session_id = s->id;
    body.session_token = s->token;
    body.boot_id = server->boot_id;
    body.server_time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    body.heartbeat_ms = heartbeat_ms(s);
    body.max_payload = (uint32_t)l->max_payload;
    body.max_streams = l->streams;
    body.max_attrs = ATTRS_MAX - ORIGIN_BYTES;
    body.max_credit_bytes = s->credit_bytes;
    body.max_credit_records = l->credit_records;
    body.publish_msgs = l->publish_msgs;
    body.publish_bytes = (uint32_t)l->publish_bytes;
    body.feed_max_bytes = (uint32_t)l->feed_max_bytes;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_WELCOME,
        SHMQW_FLAG_REPLY, SHMQW_OK, request->corr_id, 0);
    shmqw_put_fixed(&w, &body, sizeof body);
    shmqw_put_text(&w, SHMQW_TLV_NAME, "shmq-bridge");
    shmqw_put_text(&w, SHMQW_TLV_NAMESPACE, server->ns);
    if (shmqz_net_has(server->net, SHMQZ_FEED) &&
        shmqz_nearest(shmqz_net_endpoints(server->net, SHMQZ_FEED),
            peer->address, feed, sizeof feed))
        shmqw_put_text(&w, SHMQW_TLV_FEED, feed);
    (void)shmqz_answer(server, peer, &w, NULL);
}

void shmqz_hello(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct shmqw_hello hello;
    shmqw_fixed(request, &hello, sizeof hello);
    if (hello.proto_min > SHMQW_VERSION || hello.proto_max < SHMQW_VERSION) {
        shmqz_refuse(server, peer, request, SHMQW_UNSUPPORTED_VERSION, NULL);
        return;
    }
    if (server->leaving) {
        shmqz_refuse(server, peer, request, SHMQW_SHUTTING_DOWN, NULL);
        return;
    }
    /* Its connection is older than the present list. */
    if (!shmqz_is_known(server, peer->user, peer->key)) {
        shmqz_refuse(server, peer, request, SHMQW_UNAUTHENTICATED, NULL);
        return;
    }
    end_earlier(server, peer, &hello);
    if (shmqz_accounts_besides(server, peer, false) >=
            server->limits.sessions ||
        shmqz_accounts_besides(server, peer, true) >=
            server->limits.user_sessions ||
        server->credit_left < CREDIT_LEAST ||
        peer->route_bytes > SHMQZ_ROUTE_MAX) {
        shmqz_refuse(server, peer, request, SHMQW_LIMIT,
            "session: too many of them; close others or raise the limit");
        return;
    }
    struct shmqz_session *s = new_session(server, peer, &hello);
    if (!s) {
        shmqz_refuse(server, peer, request, SHMQW_NO_SPACE, NULL);
        return;
    }
    (void)shmqw_text(request, SHMQW_TLV_NAME, s->name, sizeof s->name);
    shmqs_log_about(SHMQS_DEBUG, "user", s->user[0] ? s->user : "-",
        "session begins: %s", s->name);
    welcome(s, peer, request);
}

/* -- ending -----------------------------------------------------------------
 */

void shmqz_session_end(struct shmqz_session *s, enum shmqz_end how)
{
    struct shmqz_server *server = s->server;
    while (s->streams)
        shmqz_stream_end(s->streams, how);
    tdelete(s, &server->sessions_by_route, by_route);
    tdelete(s, &server->sessions_by_id, by_id);
    if (s->previous)
        s->previous->next = s->next;
    else
        server->sessions = s->next;
    if (s->next)
        s->next->previous = s->previous;
    server->session_cnt--;
    shmqz_publishers_drop(server, s->id);
    shmqz_account_end(s->account);
    free(s);
}

/* A client whose connection broke speaks up within a heartbeat, is told that
 * nobody knows it, and comes again by its session's name; so long it is waited
 * for. One that has died does not come, and may have died of what it held. */
static uint64_t return_ns(const struct shmqz_session *s)
{
    return 2 * heartbeat_ms(s) * MS;
}

static void end_late(struct shmqz_session *s, bool late)
{
    struct shmqz_server *server = s->server;
    server->counters.leases_ended += late;
    server->counters.overruns += !late && !s->gone;
    shmqs_log_about(SHMQS_INFO, "user", s->user[0] ? s->user : "-",
        "session ends: %s: %s", s->name,
        s->gone     ? "its connection has ended"
            : !late ? "it does not read"
                    : "its lease is over");
    shmqz_session_end(s, SHMQZ_END_FAILED);
}

void shmqz_sessions_tick(struct shmqz_server *server)
{
    uint64_t now = shmqz_loop_now(server->loop);
    for (struct shmqz_session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        bool late = now - s->seen_ns > s->lease_ns;
        bool waits = s->gone && now - s->gone_ns <= return_ns(s);
        if (late || (s->overrun && !waits)) {
            end_late(s, late);
            continue;
        }
        for (struct shmqz_stream *t = s->streams; t && s->heard; t = t->next)
            shmqz_stream_extend(t);
        s->heard = false;
    }
}

void shmqz_sessions_check_access(struct shmqz_server *server)
{
    for (struct shmqz_session *s = server->sessions, *next; s; s = next) {
        next = s->next;
        if (!shmqz_is_known(server, s->user, s->key)) {
            shmqz_session_end(s, SHMQZ_END_LEFT);
            continue;
        }
        for (struct shmqz_stream *t = s->streams, *after; t; t = after) {
            after = t->next;
            if (!shmqz_allowed(server, s->user, SHMQZ_CONSUME, t->topic->name))
                shmqz_stream_revoke(t, SHMQW_FORBIDDEN, NULL);
        }
    }
}

void shmqz_sessions_close(struct shmqz_server *server)
{
    while (server->sessions) {
        struct shmqz_session *s = server->sessions;
        struct shmqw_bye body = {0, 0};
        struct shmqw_writer w;
        shmqw_begin(&w, server->control, sizeof server->control, SHMQW_BYE, 0,
            SHMQW_SHUTTING_DOWN, 0, 0);
        shmqw_put_fixed(&w, &body, sizeof body);
        (void)shmqz_session_send(s, &w, NULL);
        shmqz_session_end(s, SHMQZ_END_LEFT);
    }
}
