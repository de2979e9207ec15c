/* driver.c - the C client by commands, one a line, each answered by a line; for
 * test_remote_verbs.py, which has driver.py do the same. ENDPOINT [SERVER_KEY
 * SECRET_KEY] are the arguments. "! STATUS" says that a call failed. */
#define _GNU_SOURCE
#include <shmq/remote.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDLES 8
#define HELD 256

struct handle {
    char name[16];
    struct shmq_remote_consumer *consumer;
    struct shmq_remote_live *live;
    struct shmq_message held[HELD];
    uint32_t held_cnt;
};

static struct shmq_remote *remote;
static struct handle handles[HANDLES];
static uint64_t patience_ns = UINT64_C(10000000000);

static uint64_t soon(void)
{
    return shmq_remote_deadline(patience_ns);
}

static void tell(int rc)
{
    uint32_t status = shmq_remote_error_status();

    if (rc >= 0)
        puts("ok");
    else if (rc == SHMQ_ERR_TIMEOUT && status == 0)
        puts("! TIMEOUT");
    else
        printf("! %s\n",
            status ? shmq_remote_status_name(status)
                   : shmq_remote_err_name(rc));
}

static uint32_t level_of(const char *name)
{
    static const char *const names[] = {
        "default", "published", "written", "durable"};

    for (uint32_t i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    abort();
}

static struct shmq_start start_of(const char *text)
{
    struct shmq_start start = {.kind = SHMQ_START_POSITION};

    if (strcmp(text, "earliest") == 0)
        start.kind = SHMQ_START_EARLIEST;
    else if (strcmp(text, "latest") == 0)
        start.kind = SHMQ_START_LATEST;
    else
        start.value = strtoull(text, NULL, 10);
    return start;
}

static struct handle *handle_of(const char *name)
{
    for (int i = 0; i < HANDLES; i++)
        if (strcmp(handles[i].name, name) == 0)
            return &handles[i];
    abort();
}

static struct handle *new_handle(const char *name)
{
    struct handle *h = handle_of("");

    memset(h, 0, sizeof(*h));
    snprintf(h->name, sizeof(h->name), "%s", name);
    return h;
}

/* -- commands ----------------------------------------------------------------
 */

static void create(char **arg)
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs)};

    attrs.durability = (uint32_t)strtoul(arg[1], NULL, 10);
    tell(shmq_remote_topic_create_wait(remote, arg[0], &attrs, soon()));
}

/* TOPIC LEVEL TIMEOUT_MS TEXT -> POSITION LEVEL */
static void publish(char **arg)
{
    struct shmq_remote_producer_options o = {.struct_bytes = sizeof(o)};
    struct shmq_record record = {.data = arg[3], .size = strlen(arg[3])};
    struct shmq_remote_producer *p;
    struct shmq_remote_result result;
    int rc;

    o.level = level_of(arg[1]);
    o.level_timeout_ms = (uint32_t)strtoul(arg[2], NULL, 10);
    rc = shmq_remote_producer_open_wait(remote, arg[0], &o, soon(), &p);
    if (rc) {
        tell(rc);
        return;
    }
    rc = shmq_remote_producer_publish(p, &record, 1, NULL);
    if (rc == 0)
        rc = shmq_remote_producer_result_wait(p, soon(), &result);
    if (rc == 0 && result.rc == 0)
        printf("%llu %u\n", (unsigned long long)result.position, result.level);
    else if (rc == 0 && result.rc == SHMQ_ERR_TIMEOUT)
        puts("! TIMEOUT_LEVEL");
    else
        tell(rc ? rc : result.rc);
    shmq_remote_producer_close(p);
}

/* HANDLE TOPIC GROUP|- KIND LEVEL START */
static void open_consumer(char **arg)
{
    struct shmq_remote_consumer_options o = {.struct_bytes = sizeof(o)};
    struct handle *h = new_handle(arg[0]);
    int rc;

    o.group = strcmp(arg[2], "-") == 0 ? NULL : arg[2];
    o.attrs.kind = (uint32_t)strtoul(arg[3], NULL, 10);
    o.read_level = level_of(arg[4]);
    o.start = start_of(arg[5]);
    rc = shmq_remote_consumer_open_wait(
        remote, arg[1], &o, soon(), &h->consumer);
    if (rc)
        h->name[0] = '\0';
    tell(rc);
}

/* HANDLE TIMEOUT_MS -> POSITION ATTEMPT REDELIVERED TEXT */
static void receive(char **arg)
{
    struct handle *h = handle_of(arg[0]);
    struct shmq_message msg;
    uint64_t deadline =
        shmq_remote_deadline(strtoull(arg[1], NULL, 10) * 1000000);
    int rc = h->live
        ? shmq_remote_live_receive_wait(h->live, deadline, &msg)
        : shmq_remote_consumer_receive_wait(h->consumer, deadline, &msg);

    if (rc == SHMQ_ERR_GAP) {
        struct shmq_gap gap;
        if (h->live)
            (void)shmq_remote_live_gap(h->live, &gap);
        else
            (void)shmq_remote_consumer_gap(h->consumer, &gap);
        printf("gap %llu %llu %u\n", (unsigned long long)gap.from,
            (unsigned long long)gap.to, gap.reason);
        return;
    }
    if (rc) {
        tell(rc);
        return;
    }
    printf("%llu %u %d %.*s\n", (unsigned long long)msg.position, msg.attempt,
        (msg.flags & SHMQ_MESSAGE_REDELIVERED) != 0, (int)msg.size,
        (const char *)msg.data);
    if (!h->live && h->held_cnt < HELD)
        h->held[h->held_cnt++] = msg;
}

static struct shmq_message take(struct handle *h, const char *position)
{
    uint64_t want = strtoull(position, NULL, 10);

    for (uint32_t i = h->held_cnt; i-- > 0;) {
        struct shmq_message msg = h->held[i];
        if (msg.position != want)
            continue;
        memmove(
            h->held + i, h->held + i + 1, (h->held_cnt - i - 1) * sizeof(msg));
        h->held_cnt--;
        return msg;
    }
    abort();
}

/* HANDLE POSITION; waits until it has been carried out */
static void ack(char **arg)
{
    struct handle *h = handle_of(arg[0]);
    struct shmq_message msg = take(h, arg[1]);
    int rc = shmq_remote_consumer_release(h->consumer, &msg);

    tell(rc ? rc : shmq_remote_consumer_flush_wait(h->consumer, soon()));
}

/* HANDLE POSITION; nothing is sent yet */
static void done(char **arg)
{
    struct handle *h = handle_of(arg[0]);
    struct shmq_message msg = take(h, arg[1]);

    tell(shmq_remote_consumer_release(h->consumer, &msg));
}

/* HANDLE POSITION DELAY_MS */
static void nack(char **arg)
{
    struct handle *h = handle_of(arg[0]);
    struct shmq_message msg = take(h, arg[1]);

    tell(shmq_remote_consumer_nack_wait(
        h->consumer, &msg, strtoull(arg[2], NULL, 10) * 1000000, soon()));
}

/* HANDLE POSITION LEVEL -> FLOOR */
static void commit(char **arg)
{
    uint64_t floor = 0;
    int rc = shmq_remote_consumer_commit_wait(handle_of(arg[0])->consumer,
        strtoull(arg[1], NULL, 10), level_of(arg[2]), soon(), &floor);

    if (rc)
        tell(rc);
    else
        printf("%llu\n", (unsigned long long)floor);
}

static void seek(char **arg)
{
    struct shmq_start start = start_of(arg[1]);
    struct handle *h = handle_of(arg[0]);

    h->held_cnt = 0;
    tell(shmq_remote_consumer_seek_wait(h->consumer, &start, soon()));
}

static void drained(char **arg)
{
    int rc =
        shmq_remote_consumer_drained_wait(handle_of(arg[0])->consumer, soon());

    if (rc < 0)
        tell(rc);
    else
        printf("%d\n", rc);
}

/* HANDLE TOPIC START */
static void open_live(char **arg)
{
    struct shmq_start start = start_of(arg[2]);
    struct handle *h = new_handle(arg[0]);
    int rc =
        shmq_remote_live_open_wait(remote, arg[1], &start, soon(), &h->live);

    if (rc)
        h->name[0] = '\0';
    tell(rc);
}

static void close_one(char **arg)
{
    struct handle *h = handle_of(arg[0]);

    shmq_remote_live_close(h->live);
    shmq_remote_consumer_close(h->consumer);
    memset(h, 0, sizeof(*h));
    puts("ok");
}

static void connect_now(char **arg)
{
    (void)arg;
    tell(shmq_remote_connect_wait(remote, shmq_remote_deadline(1500000000)));
}

/* MS: how long calls wait */
static void patience(char **arg)
{
    patience_ns = strtoull(arg[0], NULL, 10) * 1000000;
    puts("ok");
}

/* MS: lets the client do what is due */
static void idle(char **arg)
{
    uint64_t end = shmq_remote_deadline(strtoull(arg[0], NULL, 10) * 1000000);

    while (shmq_remote_deadline(0) < end)
        (void)shmq_remote_wait(remote, end);
    puts("ok");
}

static const struct {
    const char *name;
    void (*run)(char **arg);
    int args;
} commands[] = {{"connect", connect_now, 0}, {"create", create, 2},
    {"pub", publish, 4}, {"open", open_consumer, 6}, {"recv", receive, 2},
    {"ack", ack, 2}, {"nack", nack, 3}, {"commit", commit, 3},
    {"seek", seek, 2}, {"drained", drained, 1}, {"live", open_live, 3},
    {"close", close_one, 1}, {"done", done, 2}, {"patience", patience, 1},
    {"idle", idle, 1}};

int main(int argc, char **argv)
{
    struct shmq_remote_options options = {.struct_bytes = sizeof(options)};
    char *line = NULL;
    size_t room = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 3) {
        options.server_key = argv[2];
        options.secret_key = argv[3];
    }
    if (argc < 2 || shmq_remote_open(argv[1], &options, &remote))
        return 2;
    while (getline(&line, &room, stdin) > 0) {
        char *at, *name = strtok_r(line, " \n", &at), *arg[6];
        bool known = false;

        for (size_t i = 0; name && i < sizeof(commands) / sizeof(*commands);
             i++) {
            if (strcmp(name, commands[i].name) != 0)
                continue;
            for (int k = 0; k < commands[i].args; k++) {
                arg[k] = strtok_r(NULL,
                    k == 3 && commands[i].run == publish ? "\n" : " \n", &at);
                if (!arg[k])
                    return 2;
            }
            commands[i].run(arg);
            known = true;
        }
        if (!known)
            return 2;
    }
    free(line);
    shmq_remote_close(remote);
    return 0;
}
