#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "service/service_log.h"

#define END \
    { \
        NULL, SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false, NULL \
    }
#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define FILE_MAX (4 * MIB)
#define RECORDS_MAX 16384u
#define BATCH_BYTES (256 * KIB)
#define ANSWERS_LEAST (4 * MIB)
#define FRAME_ROOM (64 * KIB) /* of a part beyond its payload */

static const struct shmqs_option options[] = {
    {"namespace", SHMQS_TEXT, "NS", "SHMQ_NAMESPACE", "default", 0, 0, false,
        "show the topics of namespace NS"},
    {"router", SHMQS_TEXT, "EP", NULL, "tcp://127.0.0.1:5570", 0, 0, false,
        "where reliable clients connect; several with\ncommas; none: nowhere"},
    {"pub", SHMQS_TEXT, "EP", NULL, "tcp://127.0.0.1:5571", 0, 0, false,
        "where plain SUB sockets get the live feed"},
    {"pull", SHMQS_TEXT, "EP", NULL, "tcp://127.0.0.1:5572", 0, 0, false,
        "where plain PUSH sockets publish, without any\nanswer"},
    {"server-key-file", SHMQS_TEXT, "F", "SHMQ_SERVER_KEY_FILE", NULL, 0, 0,
        false,
        "secret key (of `shmq keygen F`): encrypt, and ask\neverybody for a "
        "key"},
    {"access", SHMQS_TEXT, "F", "SHMQ_ACCESS", NULL, 0, 0, false,
        "who may come in and do what: docs/bridge.md; read\nagain on SIGHUP"},
    {"lease", SHMQS_DURATION, "D", NULL, "10s", 100 * MS, 24 * 3600 * SECOND,
        false,
        "a client that is silent for so long loses what it\nholds, unless it "
        "asks for another lease"},
    {"max-lease", SHMQS_DURATION, "D", NULL, "5m", 100 * MS, 24 * 3600 * SECOND,
        false, "longest lease that a client gets"},
    {"heartbeat", SHMQS_DURATION, "D", NULL, "2s", 100 * MS, 60 * SECOND, false,
        "connections silent for three of them are ended"},
    {"handshake-timeout", SHMQS_DURATION, "D", NULL, "5s", 100 * MS,
        60 * SECOND, false, "longest time a handshake may take"},
    {"max-sessions", SHMQS_NUMBER, "N", NULL, "1024", 1, 65536, false,
        "clients at a time"},
    {"max-user-sessions", SHMQS_NUMBER, "N", NULL, "256", 1, 65536, false,
        "clients of one user at a time"},
    {"max-streams", SHMQS_NUMBER, "N", NULL, "64", 1, 1024, false,
        "streams of one client"},
    {"max-subscriptions", SHMQS_NUMBER, "N", NULL, "65536", 1, 16777216, false,
        "subscriptions of the live feed, all together"},
    {"max-feed-topics", SHMQS_NUMBER, "N", NULL, "1024", 1, 65536, false,
        "topics that the live feed reads at a time"},
    {"max-message", SHMQS_SIZE, "SIZE", NULL, "4M", 64 * KIB, GIB, false,
        "largest payload of a message, both ways; larger\nrecords go alone"},
    {"credit", SHMQS_SIZE, "SIZE", NULL, "8M", 64 * KIB, GIB, false,
        "bytes under way to one client at most, besides\none message"},
    {"total-credit", SHMQS_SIZE, "SIZE", NULL, "512M", MIB, 1024 * GIB, false,
        "the same of all clients"},
    {"publish-window", SHMQS_SIZE, "SIZE", NULL, "8M", 64 * KIB, GIB, false,
        "unanswered bytes from one client at most, besides\none message"},
    {"publish-timeout", SHMQS_DURATION, "D", NULL, "30s", MS, 3600 * SECOND,
        false, "longest wait for room or for a level"},
    {"feed-messages", SHMQS_NUMBER, "N", NULL, "1000", 2, 1000000, false,
        "messages kept for a slow subscriber"},
    {"feed-buffer", SHMQS_SIZE, "SIZE", NULL, "64M", MIB, 1024 * GIB, false,
        "payload kept for slow subscribers, about"},
    {"feed-max-message", SHMQS_SIZE, "SIZE", NULL, "1M", KIB, GIB, false,
        "larger payloads are left out of the live feed"},
    {"max-memory", SHMQS_SIZE, "SIZE", NULL, "2G", 64 * MIB, 1024 * GIB, false,
        "beyond it what clients send is thrown away until it\nis less"},
    {"io-threads", SHMQS_NUMBER, "N", NULL, "1", 1, 16, false,
        "threads that move bytes"},
    {"no-sandbox", SHMQS_FLAG, NULL, NULL, NULL, 0, 0, false,
        "keep all system calls and capabilities"},
    SHMQS_COMMON_OPTIONS, END};

const struct shmqs_program shmqz_program = {
    "shmq-bridge",
    "Shows the topics of a namespace to other hosts over ZeroMQ: a live feed, "
    "and\nreliable reading and publishing.",
    "Without --server-key-file only endpoints that this host alone can reach "
    "are\nserved. SIGHUP reads the access list again. SIGTERM and SIGINT: "
    "answers what\nit can, ends with 0.",
    options,
    NULL,
};

/* -- endpoints --------------------------------------------------------------
 */

bool shmqz_endpoint_is_local(const char *endpoint)
{
    static const char *const local[] = {"ipc://", "inproc://", "tcp://127.",
        "tcp://localhost:", "tcp://[::1]:", "tcp://lo:"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0) {
            /* "tcp://127.evil.example:1" is a name, not an address. */
            const char *host = endpoint + strlen("tcp://");
            size_t n = strspn(host, "0123456789.");
            return strncmp(local[i], "tcp://127.", 10) != 0 || host[n] == ':';
        }
    return false;
}

static int check_endpoint(const struct shmqs_settings *settings,
    const char *name, const char *one, bool encrypted)
{
    const struct shmqs_values *values = shmqs_settings_values(settings);
    const char *place = shmqs_place(values, name);
    if (strncmp(one, "tcp://", 6) != 0 && strncmp(one, "ipc://", 6) != 0)
        return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
            "%s: not an endpoint; tcp://HOST:PORT or ipc://PATH", one);
    if (!encrypted && !shmqz_endpoint_is_local(one))
        return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
            "%s: other hosts can reach it and nothing would be encrypted; make "
            "a key with `shmq keygen F` and give --server-key-file F, or "
            "listen on tcp://127.0.0.1:PORT or ipc://PATH",
            one);
    return 0;
}

static int check_endpoints(const struct shmqs_settings *settings,
    const char *name, bool encrypted, const char **ret)
{
    const char *list = shmqs_text(shmqs_settings_values(settings), name);
    char one[256];
    *ret = strcmp(list, "none") == 0 ? NULL : list;
    for (const char *at = *ret; at && *at;) {
        size_t n = strcspn(at, ",");
        (void)snprintf(one, sizeof one, "%.*s", (int)n, at);
        int status = check_endpoint(settings, name, one, encrypted);
        if (status)
            return status;
        at += n + (at[n] == ',');
    }
    return 0;
}

/* -- files ------------------------------------------------------------------
 */

/* The whole of a small text file; the caller frees it. NULL with errno. */
static char *read_text(const char *path, bool secret)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    char *text = NULL;
    if (!f)
        return NULL;
    if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size <= FILE_MAX) {
        if (secret && (st.st_mode & 077)) {
            fclose(f);
            errno = EPERM;
            return NULL;
        }
        text = calloc(1, (size_t)st.st_size + 1);
        size_t n = text ? fread(text, 1, (size_t)st.st_size, f) : 0;
        if (text)
            text[n] = '\0';
    } else {
        errno = EFBIG;
    }
    fclose(f);
    return text;
}

static int read_key(
    const struct shmqs_settings *settings, const char *path, char *ret)
{
    const char *place =
        shmqs_place(shmqs_settings_values(settings), "server-key-file");
    char *text = read_text(path, true);
    if (!text && errno == EPERM)
        return shmqs_settings_fail(settings, SHMQS_EXIT_PERMISSION, place,
            "%s: others can read the secret key; chmod 600 it", path);
    if (!text)
        return shmqs_settings_fail(settings,
            errno == ENOENT ? SHMQS_EXIT_MISSING : SHMQS_EXIT_FAILED, place,
            "%s: %s; `shmq keygen F` makes a key", path, strerror(errno));
    size_t n = strcspn(text, " \r\n");
    char public_key[SHMQZ_KEY_TEXT];
    bool legal = n == SHMQZ_KEY_TEXT - 1;
    if (legal) {
        memcpy(ret, text, n);
        ret[n] = '\0';
        legal = shmqz_key_public(ret, public_key);
    }
    explicit_bzero(text, strlen(text));
    free(text);
    if (!legal)
        return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
            "%s: not a secret key; `shmq keygen F` makes one", path);
    return 0;
}

struct shmqz_access *shmqz_access_read(const char *path)
{
    struct shmqz_access *access = NULL;
    char error[128] = "";
    char *text = read_text(path, false);
    if (!text) {
        shmqs_log(SHMQS_ERROR, "%s: %s", path, strerror(errno));
        return NULL;
    }
    int line = shmqz_access_parse(text, &access, error, sizeof error);
    free(text);
    if (line == 0)
        return access;
    if (line < 0)
        shmqs_log(SHMQS_ERROR, "%s: no memory", path);
    else
        shmqs_log(SHMQS_ERROR, "%s:%d: %s", path, line, error);
    return NULL;
}

/* -- all together -----------------------------------------------------------
 */

static void read_limits(const struct shmqs_values *v, struct shmqz_limits *l)
{
    l->sessions = (uint32_t)shmqs_number(v, "max-sessions");
    l->user_sessions = (uint32_t)shmqs_number(v, "max-user-sessions");
    l->streams = (uint32_t)shmqs_number(v, "max-streams");
    l->subscriptions = (uint32_t)shmqs_number(v, "max-subscriptions");
    l->subscribed_topics = (uint32_t)shmqs_number(v, "max-feed-topics");
    l->credit_records = RECORDS_MAX;
    l->credit_bytes = shmqs_number(v, "credit");
    l->credit_total_bytes = shmqs_number(v, "total-credit");
    l->publish_msgs = 1024;
    l->publish_bytes = shmqs_number(v, "publish-window");
    l->answer_bytes =
        l->publish_bytes < ANSWERS_LEAST ? ANSWERS_LEAST : l->publish_bytes;
    l->max_payload = shmqs_number(v, "max-message");
    l->batch_bytes =
        l->max_payload < BATCH_BYTES ? l->max_payload : BATCH_BYTES;
    l->feed_max_bytes = shmqs_number(v, "feed-max-message");
    l->feed_buffer_bytes = shmqs_number(v, "feed-buffer");
    l->feed_hwm = (uint32_t)shmqs_number(v, "feed-messages");
    l->lease_ms = (uint32_t)(shmqs_number(v, "lease") / MS);
    l->lease_max_ms = (uint32_t)(shmqs_number(v, "max-lease") / MS);
    if (l->lease_max_ms < l->lease_ms)
        l->lease_max_ms = l->lease_ms;
    l->heartbeat_ms = (uint32_t)(shmqs_number(v, "heartbeat") / MS);
    l->memory_bytes = shmqs_number(v, "max-memory");
    l->publish_timeout_ms = (uint32_t)(shmqs_number(v, "publish-timeout") / MS);
}

static void read_net(const struct shmqs_values *v, struct shmqz_setup *setup)
{
    struct shmqz_net_options *n = &setup->net;
    const struct shmqz_limits *l = &setup->limits;
    n->secret_key = setup->secret_key[0] ? setup->secret_key : NULL;
    n->io_threads = (uint32_t)shmqs_number(v, "io-threads");
    n->handshake_ms = (uint32_t)(shmqs_number(v, "handshake-timeout") / MS);
    n->heartbeat_ms = l->heartbeat_ms;
    n->heartbeat_timeout_ms = 3 * l->heartbeat_ms;
    n->router_send_hwm = RECORDS_MAX + 4096;
    n->feed_send_hwm = l->feed_hwm;
    n->max_part_bytes = l->max_payload + FRAME_ROOM;
    n->max_subscription_bytes = 1024;
}

int shmqz_setup_read(
    const struct shmqs_settings *settings, struct shmqz_setup *ret)
{
    static const char *const names[3] = {"router", "pub", "pull"};
    const struct shmqs_values *v = shmqs_settings_values(settings);
    const char *key = shmqs_text(v, "server-key-file");
    int status = 0;
    memset(ret, 0, sizeof *ret);
    ret->settings = settings;
    ret->access_path = shmqs_text(v, "access");
    for (int i = 0; i < 3 && status == 0; i++)
        status = check_endpoints(
            settings, names[i], key != NULL, &ret->net.endpoints[i]);
    if (status == 0 && key)
        status = read_key(settings, key, ret->secret_key);
    if (status == 0 && key && !ret->access_path)
        status = shmqs_settings_fail(settings, SHMQS_EXIT_USAGE,
            shmqs_place(v, "server-key-file"),
            "nobody could come in; name the clients' keys and rights in a file "
            "and give --access F");
    if (status == 0 && ret->access_path) {
        ret->access = shmqz_access_read(ret->access_path);
        if (!ret->access)
            status = shmqs_settings_fail(settings, SHMQS_EXIT_USAGE,
                shmqs_place(v, "access"), "%s: cannot be used",
                ret->access_path);
    }
    if (status)
        return status;
    read_limits(v, &ret->limits);
    read_net(v, ret);
    return 0;
}

void shmqz_setup_free(struct shmqz_setup *setup)
{
    explicit_bzero(setup->secret_key, sizeof setup->secret_key);
    shmqz_access_free(setup->access);
}
