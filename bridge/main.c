/* main.c - shmq-bridge: from the command line to serving, and to the end.
 *
 * Order: settings and keys, the sandbox, endpoints, then the loop. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "account.h"
#include "auth.h"
#include "confine.h"
#include "feed.h"
#include "maker.h"
#include "options.h"
#include "pool.h"
#include "publish.h"
#include "service/service_log.h"
#include "service/service_notify.h"
#include "service/service_signals.h"
#include "session.h"
#include "stream.h"
#include "topics.h"

#define MS UINT64_C(1000000)
#define TICK_NS (100 * MS)
#define MESSAGES_A_RUN 64u
#define SHED_A_RUN 16384u
#define RELIEF_TICKS 10u /* of shedding that did not help */
#define NS_CHARS \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/* A socket's task: some messages a run. */
struct port {
    struct bridge *bridge;
    enum shmqz_port port;
    void (*message)(struct shmqz_server *, struct shmqz_message *);
    struct shmqz_task task;
    struct shmqz_source source;
    bool down; /* its socket has to be opened again */
};

struct bridge {
    struct shmqz_server server;
    struct shmqz_setup setup;
    struct port ports[SHMQZ_PORT_CNT];
    struct shmqz_task signal_task, told_task;
    struct shmqz_source signal_source;
    struct shmqz_timer tick;
    uint8_t welcome[16]; /* the feed's first message */
    uint32_t ticks;
    int statm_fd;
    uint64_t watchdog_ns, watched_ns;
    uint32_t over_ticks; /* since too much memory is in use */
    bool ends;
};

/* -- tasks ------------------------------------------------------------------
 */

/* Throwing away is quicker than any peer sends. Clients get no answer: those
 * that publish ask again, what was not acknowledged comes again. */
static bool shed_port(struct port *port)
{
    struct shmqz_server *server = &port->bridge->server;
    struct shmqz_message message;
    for (uint32_t i = 0; i < SHED_A_RUN; i++) {
        if (!shmqz_net_receive(server->net, port->port, &message))
            return false;
        shmqz_message_close(&message);
        server->counters.shed++;
    }
    return true;
}

static bool run_port(void *ctx)
{
    struct port *port = ctx;
    struct shmqz_server *server = &port->bridge->server;
    struct shmqz_message message;
    if (server->shedding &&
        (port->port == SHMQZ_ROUTER || port->port == SHMQZ_PULL))
        return shed_port(port);
    for (uint32_t i = 0; i < MESSAGES_A_RUN; i++) {
        if (!shmqz_net_receive(server->net, port->port, &message))
            return false;
        port->message(server, &message);
        shmqz_message_close(&message);
    }
    return true;
}

/* Sending on a socket may take notice of what arrived on it, which then is
 * told by no descriptor any more: so each is looked at once after a turn in
 * which something may have been sent. */
static void look_again(struct bridge *bridge)
{
    for (int i = 0; i < SHMQZ_PORT_CNT; i++)
        if (bridge->ports[i].source.watched &&
            shmqz_net_sent(bridge->server.net, (enum shmqz_port)i))
            shmqz_task_wake(bridge->server.loop, &bridge->ports[i].task);
}

static void open_port_again(struct port *port)
{
    struct bridge *bridge = port->bridge;
    char error[SHMQZ_ERROR_ROOM];
    if (shmqz_net_open_port(
            bridge->server.net, port->port, &bridge->setup.net, error))
        return; /* the next tick tries again */
    port->down = false;
    port->source.fd = shmqz_net_fd(bridge->server.net, port->port);
    (void)shmqz_source_watch(bridge->server.loop, &port->source);
    shmqz_task_wake(bridge->server.loop, &port->task);
}

/* Ends all connections of a port, and what they had. Peers come again by
 * themselves. */
static void end_connections(struct bridge *bridge, enum shmqz_port which)
{
    struct port *port = &bridge->ports[which];
    struct shmqz_server *server = &bridge->server;
    if (!port->message)
        return; /* there is no such port */
    if (!port->down) {
        shmqz_task_drop(server->loop, &port->task);
        shmqz_source_drop(server->loop, &port->source);
        shmqz_net_close_port(server->net, which);
        if (which == SHMQZ_FEED)
            shmqz_feed_forget(server);
        while (which == SHMQZ_ROUTER && server->sessions)
            shmqz_session_end(server->sessions, SHMQZ_END_LEFT);
    }
    port->down = true;
    open_port_again(port);
}

static void reload(struct bridge *bridge)
{
    struct shmqz_server *server = &bridge->server;
    if (!bridge->setup.access_path)
        return;
    struct shmqz_access *access = shmqz_access_read(bridge->setup.access_path);
    if (!access) {
        shmqs_log(SHMQS_ERROR, "the access list stays as it was");
        return;
    }
    shmqz_access_free(server->access);
    server->access = bridge->setup.access = access;
    shmqz_sessions_check_access(server);
    /* Which subscription is whose is not known, so all of them have to come
     * again and be admitted by the new list. Subscribers see what they missed.
     */
    if (server->feed)
        end_connections(bridge, SHMQZ_FEED);
    shmqs_log(SHMQS_INFO, "access list read: %u keys, %u rules",
        shmqz_access_key_cnt(access), shmqz_access_rule_cnt(access));
}

static bool run_signals(void *ctx)
{
    struct bridge *bridge = ctx;
    for (int n; (n = shmqs_signals_take(bridge->signal_source.fd)) != 0;) {
        if (n == SIGHUP)
            reload(bridge);
        else
            bridge->ends = true;
    }
    return false;
}

/* Resident memory now; 0 when it cannot be told. Pages of rings, which are
 * shared, do not count. */
static uint64_t memory_now(int fd)
{
    char text[128];
    char *at;
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
    if (n <= 0)
        return 0;
    text[n] = '\0';
    (void)strtoull(text, &at, 10);
    uint64_t pages = strtoull(at, &at, 10);
    uint64_t shared = strtoull(at, NULL, 10);
    return (pages - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What is thrown away does not help: ZeroMQ keeps what nobody can take from it
 * (subscriptions, input of a peer that uses another's routing id, endless
 * multipart messages). It goes with its connections. */
static void relieve(struct bridge *bridge)
{
    uint32_t ticks = bridge->over_ticks % (2 * RELIEF_TICKS);
    if (bridge->over_ticks == 0 || ticks % RELIEF_TICKS != 0)
        return;
    shmqs_log(SHMQS_WARNING,
        "memory: still too much of it is in use: all connections of the %s "
        "are ended",
        ticks ? "live feed" : "reliable clients and of pull");
    if (ticks) {
        end_connections(bridge, SHMQZ_FEED);
    } else {
        end_connections(bridge, SHMQZ_ROUTER);
        end_connections(bridge, SHMQZ_PULL);
    }
}

static void watch_memory(struct bridge *bridge)
{
    struct shmqz_server *server = &bridge->server;
    uint64_t now = memory_now(bridge->statm_fd);
    bool shedding = now > server->limits.memory_bytes;
    if (shedding && !server->shedding)
        shmqs_log(SHMQS_WARNING,
            "memory: %llu MiB in use, more than --max-memory: what clients "
            "send "
            "is thrown away for now",
            (unsigned long long)(now >> 20));
    server->shedding = shedding;
    bridge->over_ticks = shedding ? bridge->over_ticks + 1 : 0;
    relieve(bridge);
}

static void tick(void *ctx)
{
    struct bridge *bridge = ctx;
    struct shmqz_server *server = &bridge->server;
    uint64_t now = shmqz_loop_now(server->loop);
    bridge->tick.due_ns = now + TICK_NS;
    watch_memory(bridge);
    shmqz_sessions_tick(server);
    shmqz_accounts_tick(server);
    for (int i = 0; i < SHMQZ_PORT_CNT; i++)
        if (bridge->ports[i].down)
            open_port_again(&bridge->ports[i]);
    if (++bridge->ticks % 10 == 0) {
        shmqz_feed_second(server);
        shmqz_topics_check(server);
        shmqz_pool_trim();
    }
    if (bridge->watchdog_ns &&
        now - bridge->watched_ns >= bridge->watchdog_ns) {
        bridge->watched_ns = now;
        shmqs_notify("WATCHDOG=1");
    }
}

/* -- start ------------------------------------------------------------------
 */

/* Each connection is a descriptor, and each remote reader some. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int fail(struct bridge *bridge, int status, const char *what)
{
    return shmqs_settings_fail(
        bridge->setup.settings, status, "start", "%s", what);
}

static int open_net(struct bridge *bridge)
{
    struct shmqz_net_options *o = &bridge->setup.net;
    char error[SHMQZ_ERROR_ROOM];
    uint8_t welcome[3 + sizeof bridge->server.boot_id] = {
        0, 'W', SHMQW_VERSION};
    memcpy(welcome + 3, &bridge->server.boot_id, sizeof bridge->server.boot_id);
    memcpy(bridge->welcome, welcome, sizeof welcome);
    o->welcome = bridge->welcome;
    o->welcome_bytes = sizeof welcome;
    if (shmqz_net_open(o, &bridge->server.net, error) == 0)
        return 0;
    int status = errno == EADDRINUSE ? SHMQS_EXIT_OWNED : SHMQS_EXIT_FAILED;
    return fail(bridge, status, error);
}

static int open_ports(struct bridge *bridge)
{
    static void (*const handlers[SHMQZ_PORT_CNT])(
        struct shmqz_server *, struct shmqz_message *) = {shmqz_router_message,
        shmqz_feed_message, shmqz_pull_message, shmqz_auth_message};
    struct shmqz_server *server = &bridge->server;
    for (int i = 0; i < SHMQZ_PORT_CNT; i++) {
        struct port *p = &bridge->ports[i];
        if (!shmqz_net_has(server->net, (enum shmqz_port)i))
            continue;
        p->bridge = bridge;
        p->port = (enum shmqz_port)i;
        p->message = handlers[i];
        p->task = (struct shmqz_task){.run = run_port, .ctx = p};
        p->source = (struct shmqz_source){
            .fd = shmqz_net_fd(server->net, (enum shmqz_port)i),
            .task = &p->task};
        if (shmqz_source_watch(server->loop, &p->source))
            return fail(bridge, SHMQS_EXIT_FAILED, strerror(errno));
        shmqz_task_wake(server->loop, &p->task);
    }
    return 0;
}

static int open_rest(struct bridge *bridge)
{
    struct shmqz_server *server = &bridge->server;
    bridge->signal_task =
        (struct shmqz_task){.run = run_signals, .ctx = bridge};
    bridge->signal_source.task = &bridge->signal_task;
    bridge->tick =
        (struct shmqz_timer){.due_ns = 0, .expired = tick, .ctx = bridge};
    if (shmqz_source_watch(server->loop, &bridge->signal_source))
        return fail(bridge, SHMQS_EXIT_FAILED, strerror(errno));
    shmqz_timer_add(server->loop, &bridge->tick);
    bridge->watchdog_ns = shmqs_notify_watchdog_ns();
    shmqz_publishers_open(server);
    shmqz_commits_open(server);
    if (shmqz_net_has(server->net, SHMQZ_FEED) && shmqz_feed_open(server))
        return fail(bridge, SHMQS_EXIT_FAILED, "live feed: cannot be set up");
    return 0;
}

static int confine(struct bridge *bridge)
{
    const char *step;
    if (shmqs_number(
            shmqs_settings_values(bridge->setup.settings), "no-sandbox"))
        return 0;
    if (!shmqs_sandbox_possible()) {
        shmqs_log(SHMQS_WARNING, "no sandbox: this build cannot have one");
        return 0;
    }
    if (shmqs_sandbox_enter(shmqz_calls, &step) != 0)
        return shmqs_settings_fail(bridge->setup.settings, SHMQS_EXIT_FAILED,
            "sandbox", "%s: %s; --no-sandbox goes without", step,
            strerror(errno));
    return 0;
}

static int open_all(struct bridge *bridge)
{
    struct shmqz_server *server = &bridge->server;
    raise_descriptors();
    bridge->signal_source.fd = shmqs_signals_open();
    server->loop = shmqz_loop_open();
    if (bridge->signal_source.fd < 0 || !server->loop)
        return fail(bridge, SHMQS_EXIT_FAILED, strerror(errno));
    bridge->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    server->limits = bridge->setup.limits;
    server->access = bridge->setup.access;
    server->boot_id = shmqz_random();
    /* Generations of an earlier run must not fit. */
    server->generations = shmqz_random() >> 1;
    server->credit_left = server->limits.credit_total_bytes;
    if (shmqz_accounts_open(server))
        return fail(bridge, SHMQS_EXIT_FAILED, strerror(errno));
    shmqs_notify_open();
    /* Before the first thread of ZeroMQ: all of them are confined. */
    int status = confine(bridge);
    if (status == 0)
        status = open_net(bridge);
    if (status == 0)
        status = open_ports(bridge);
    return status ? status : open_rest(bridge);
}

/* -- serving ----------------------------------------------------------------
 */

static void tell_start(const struct bridge *bridge)
{
    static const char *const names[3] = {"reliable", "live feed", "pull"};
    const struct shmqz_server *server = &bridge->server;
    for (int i = 0; i < 3; i++)
        if (shmqz_net_has(server->net, (enum shmqz_port)i))
            shmqs_log_about(SHMQS_INFO, "endpoint",
                shmqz_net_endpoints(server->net, (enum shmqz_port)i), "%s, %s",
                names[i],
                bridge->setup.net.secret_key ? "encrypted" : "this host only");
    shmqs_log(SHMQS_INFO, "shows namespace %s by ZeroMQ %s", server->ns,
        shmqz_net_version());
    shmqs_notify("READY=1");
}

static void tell_end(const struct shmqz_counters *c)
{
    shmqs_log(SHMQS_INFO,
        "ends: %llu sessions, %llu records delivered, %llu published (%llu "
        "repeated), %llu fed, %llu pulled (%llu refused), %llu leases ended",
        (unsigned long long)c->sessions_begun,
        (unsigned long long)c->delivered_records,
        (unsigned long long)c->published_records,
        (unsigned long long)c->published_dups,
        (unsigned long long)c->feed_records, (unsigned long long)c->pulled,
        (unsigned long long)c->pull_refused,
        (unsigned long long)c->leases_ended);
    shmqs_log(SHMQS_INFO,
        "refused: %llu keys, %llu commands, %llu subscriptions, %llu bad "
        "messages, %llu publishes; %llu messages thrown away",
        (unsigned long long)c->denied_keys,
        (unsigned long long)c->denied_commands,
        (unsigned long long)c->denied_subscriptions,
        (unsigned long long)c->bad_messages,
        (unsigned long long)c->publish_refused, (unsigned long long)c->shed);
}

static void close_all(struct bridge *bridge)
{
    struct shmqz_server *server = &bridge->server;
    if (server->net) {
        server->leaving = true;
        /* Answers go before the streams: topics first. */
        shmqz_publishers_close(server);
        shmqz_sessions_close(server);
        shmqz_commits_close(server);
        shmqz_maker_close(server);
        shmqz_feed_close(server);
        shmqz_topics_close(server);
    }
    shmqz_net_close(server->net);
    /* What was counted has been given back by then. */
    free(server->feed);
    shmqz_accounts_close(server);
    shmqz_records_free(&server->records);
    shmqz_pool_give(server->scratch);
    shmqz_loop_close(server->loop);
}

static int run(struct bridge *bridge)
{
    int status = open_all(bridge);
    if (status == 0) {
        tell_start(bridge);
        while (!bridge->ends) {
            shmqz_loop_turn(bridge->server.loop);
            look_again(bridge);
        }
        shmqs_notify("STOPPING=1");
        tell_end(&bridge->server.counters);
    }
    close_all(bridge);
    return status;
}

/* As the library has it, said before anything is begun. */
static int check_namespace(struct bridge *bridge)
{
    const struct shmqs_values *v =
        shmqs_settings_values(bridge->setup.settings);
    const char *ns = shmqs_text(v, "namespace");
    size_t n = strlen(ns);
    if (n < 1 || n > SHMQ_NAMESPACE_MAX || strspn(ns, NS_CHARS) != n)
        return shmqs_settings_fail(bridge->setup.settings, SHMQS_EXIT_USAGE,
            shmqs_place(v, "namespace"),
            "%s: a namespace is 1 to %d of A-Z a-z 0-9 _ -", ns,
            SHMQ_NAMESPACE_MAX);
    bridge->server.ns = ns;
    return 0;
}

/* jemalloc reads this: what is free goes back to the system at once, so that
 * the bridge's memory is what it holds. Large payloads do not ask it: pool.h.
 */
const char *malloc_conf;
const char *malloc_conf = "narenas:2,dirty_decay_ms:0,muzzy_decay_ms:0";

int main(int argc, char **argv)
{
    static struct bridge bridge;
    struct shmqs_settings *settings;
    int status;
    if (!shmqs_settings_load(&shmqz_program, argc, argv, &settings, &status))
        return status;
    const struct shmqs_values *values = shmqs_settings_values(settings);
    shmqs_log_open("shmq-bridge", shmqs_number(values, "log-format") == 1,
        (enum shmqs_level)shmqs_number(values, "log-level"));
    status = shmqz_setup_read(settings, &bridge.setup);
    if (status == 0)
        status = check_namespace(&bridge);
    if (status == 0 && shmqs_number(values, "check-config") == 0)
        status = run(&bridge);
    shmqz_access_free(bridge.setup.access);
    bridge.setup.access = NULL;
    explicit_bzero(bridge.setup.secret_key, sizeof bridge.setup.secret_key);
    shmqs_settings_free(settings);
    return status;
}
