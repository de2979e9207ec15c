/* router.c - what reliable clients send, taken apart and passed on. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "account.h"
#include "denials.h"
#include "publish.h"
#include "server.h"
#include "session.h"
#include "stream.h"

#define RETRY_AFTER_MS 100u

uint64_t shmqz_random(void)
{
    uint64_t bits;
    do {
        if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
            abort();
    } while (bits == 0);
    return bits;
}

bool shmqz_is_known(
    const struct shmqz_server *server, const char *user, const char *key)
{
    return !user[0] || !server->access ||
        shmqz_access_holds(server->access, key, user);
}

bool shmqz_allowed(struct shmqz_server *server, const char *user,
    enum shmqz_verb verb, const char *topic)
{
    if (!server->access ||
        shmqz_access_allows(server->access, user, verb, topic))
        return true;
    server->counters.denied_commands++;
    shmqz_denied(user,
        verb == SHMQZ_PUBLISH       ? "publishing to"
            : verb == SHMQZ_CONSUME ? "consuming"
                                    : "administering",
        topic);
    return false;
}

enum shmqw_status shmqz_status_of(int rc)
{
    static const struct {
        int rc;
        enum shmqw_status status;
    } known[] = {
        {SHMQ_OK, SHMQW_OK},
        {SHMQ_ERR_FULL, SHMQW_FULL},
        {SHMQ_ERR_TIMEOUT, SHMQW_TIMEOUT_LEVEL},
        {SHMQ_ERR_CLOSED, SHMQW_CLOSED},
        {SHMQ_ERR_INVAL, SHMQW_INVALID},
        {SHMQ_ERR_NOENT, SHMQW_NO_SUCH_TOPIC},
        {SHMQ_ERR_EXISTS, SHMQW_TOPIC_EXISTS},
        {SHMQ_ERR_BUSY, SHMQW_GROUP_BUSY},
        {SHMQ_ERR_PERM, SHMQW_FORBIDDEN},
        {SHMQ_ERR_TOO_LARGE, SHMQW_TOO_LARGE},
        {SHMQ_ERR_NOSPACE, SHMQW_NO_SPACE},
        {SHMQ_ERR_LAYOUT, SHMQW_DATA_CORRUPT},
        {SHMQ_ERR_CORRUPT, SHMQW_DATA_CORRUPT},
        {SHMQ_ERR_STALE, SHMQW_STALE},
        {SHMQ_ERR_NODAEMON, SHMQW_NO_DAEMON},
        {SHMQ_ERR_READ_ONLY, SHMQW_READ_ONLY},
        {SHMQ_ERR_DURABILITY_FAILED, SHMQW_DURABILITY_FAILED},
        {SHMQ_ERR_LIMIT, SHMQW_LIMIT},
        {SHMQ_ERR_NOMEM, SHMQW_NO_SPACE},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].rc == rc)
            return known[i].status;
    return SHMQW_INTERNAL;
}

/* -- answering --------------------------------------------------------------
 */

enum shmqz_sent shmqz_answer(struct shmqz_server *server,
    const struct shmqz_peer *peer, struct shmqw_writer *writer,
    struct shmqz_part *payload)
{
    struct shmqz_part parts[4];
    uint32_t n = 0;
    size_t bytes = shmqw_end(writer);
    bool made = bytes > 0 &&
        shmqz_part_copy(&parts[n], peer->route, peer->route_bytes) && ++n;
    if (made && peer->delimiter)
        made = shmqz_part_copy(&parts[n], NULL, 0) && ++n;
    struct shmqz_account *account = bytes < SHMQZ_COUNTED_LEAST
        ? NULL
        : shmqz_account_of(server, peer->route, peer->route_bytes);
    made = made &&
        shmqz_account_copy(
            account, SHMQZ_ANSWERS, &parts[n], writer->at, bytes) &&
        ++n;
    if (!made) {
        while (n > 0)
            shmqz_part_close(&parts[--n]);
        if (payload)
            shmqz_part_close(payload);
        return SHMQZ_BROKEN;
    }
    if (payload)
        shmqz_part_move(&parts[n++], payload);
    enum shmqz_sent sent = shmqz_net_send(server->net, SHMQZ_ROUTER, parts, n);
    if (sent != SHMQZ_SENT)
        shmqz_session_lost(shmqz_session_of(server, peer), sent);
    return sent;
}

void shmqz_refuse(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request, enum shmqw_status status,
    const char *text)
{
    struct shmqw_error body = {0};
    struct shmqw_writer w;
    body.command = request->command;
    if (status == SHMQW_OVERLOADED)
        body.retry_after_ms = RETRY_AFTER_MS;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_ERROR,
        SHMQW_FLAG_REPLY, status, request->corr_id, request->stream_id);
    shmqw_put_fixed(&w, &body, sizeof body);
    shmqw_put_text(&w, SHMQW_TLV_TEXT, text);
    (void)shmqz_answer(server, peer, &w, NULL);
}

void shmqz_reply(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request, enum shmqw_command command,
    uint32_t stream_id, const void *fixed, size_t bytes)
{
    struct shmqw_writer w;
    if (request->corr_id == 0)
        return;
    shmqw_begin(&w, server->control, sizeof server->control, command,
        SHMQW_FLAG_REPLY, SHMQW_OK, request->corr_id, stream_id);
    shmqw_put_fixed(&w, fixed, bytes);
    (void)shmqz_answer(server, peer, &w, NULL);
}

/* -- taking apart -----------------------------------------------------------
 */

static void ping(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    struct shmqw_ping body;
    struct shmqw_pong reply = {0};
    struct shmqw_writer w;
    struct timespec now;
    shmqw_fixed(request, &body, sizeof body);
    clock_gettime(CLOCK_REALTIME, &now);
    reply.nonce = body.nonce;
    reply.time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    shmqw_begin(&w, server->control, sizeof server->control, SHMQW_PONG,
        SHMQW_FLAG_REPLY, SHMQW_OK, request->corr_id, 0);
    shmqw_put_fixed(&w, &reply, sizeof reply);
    (void)shmqz_answer(server, peer, &w, NULL);
}

static void bye(struct shmqz_session *session, const struct shmqz_peer *peer,
    const struct shmqw_message *request)
{
    static const struct shmqw_bye reply;
    struct shmqz_server *server = session->server;
    shmqz_session_end(session, SHMQZ_END_LEFT);
    shmqz_reply(server, peer, request, SHMQW_BYE, 0, &reply, sizeof reply);
}

static void dispatch(struct shmqz_session *session,
    const struct shmqz_peer *peer, const struct shmqw_message *request,
    struct shmqz_part *payload)
{
    struct shmqz_server *server = session->server;
    switch (request->command) {
    case SHMQW_LIST:
        shmqz_list(server, peer, request);
        break;
    case SHMQW_DESCRIBE:
        shmqz_describe(server, peer, request);
        break;
    case SHMQW_CREATE:
        shmqz_create(session, peer, request);
        break;
    case SHMQW_ATTACH:
        shmqz_attach(session, peer, request);
        break;
    case SHMQW_CREDIT:
    case SHMQW_ACK:
    case SHMQW_NACK:
    case SHMQW_COMMIT:
    case SHMQW_SEEK:
    case SHMQW_DETACH:
    case SHMQW_CHECK:
        shmqz_stream_command(session, peer, request);
        break;
    case SHMQW_PUBLISH:
        shmqz_publish(session, request, payload);
        break;
    case SHMQW_PING:
        ping(server, peer, request);
        break;
    case SHMQW_PONG:
        break;
    case SHMQW_BYE:
        bye(session, peer, request);
        break;
    default: /* what only the bridge sends */
        shmqz_refuse(server, peer, request, SHMQW_UNKNOWN_COMMAND, NULL);
    }
}

static void opened(struct shmqz_server *server, const struct shmqz_peer *peer,
    const struct shmqw_message *request, struct shmqz_part *payload)
{
    if (request->command == SHMQW_HELLO) {
        shmqz_hello(server, peer, request);
        return;
    }
    struct shmqz_session *session = shmqz_session_of(server, peer);
    if (!session || strcmp(session->user, peer->user) != 0) {
        shmqz_refuse(server, peer, request, SHMQW_UNKNOWN_SESSION, NULL);
        return;
    }
    session->seen_ns = shmqz_loop_now(server->loop);
    session->heard = true;
    /* It asks and asks, and does not read. */
    if (shmqz_account_unsent(session->account, SHMQZ_ANSWERS) >
        server->limits.answer_bytes)
        shmqz_session_lost(session, SHMQZ_AGAIN);
    /* Of one that is gone, the last it said may still be to come. */
    if (!session->overrun || session->gone)
        dispatch(session, peer, request, payload);
}

void shmqz_router_message(
    struct shmqz_server *server, struct shmqz_message *message)
{
    struct shmqz_peer peer = {0};
    struct shmqw_message request = {0};
    uint32_t at = 1;
    server->counters.messages_in++;
    peer.route = shmqz_part_data(&message->parts[0]);
    peer.route_bytes = shmqz_part_bytes(&message->parts[0]);
    peer.user = message->user;
    peer.key = message->key;
    if (message->part_cnt > 1 && shmqz_part_bytes(&message->parts[1]) == 0) {
        peer.delimiter = true;
        at = 2;
    }
    uint32_t left = message->part_cnt - at;
    enum shmqw_status status = SHMQW_BAD_FRAME;
    if (message->part_cnt > at && left <= 2 && !message->cut)
        status = shmqw_open(shmqz_part_data(&message->parts[at]),
            shmqz_part_bytes(&message->parts[at]), left == 2, &request);
    if (status != SHMQW_OK) {
        server->counters.bad_messages++;
        shmqz_refuse(server, &peer, &request, status, NULL);
        return;
    }
    struct shmqz_part *payload = left == 2 ? &message->parts[at + 1] : NULL;
    if (request.command == SHMQW_HELLO)
        peer.address = shmqz_part_address(&message->parts[at]);
    opened(server, &peer, &request, payload);
}
