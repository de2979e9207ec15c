/* lib.c - here or from afar. */
#include "lib.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_options.h"
#include "cli_optval.h"
#include "lib_remote.h"

static bool is_remote;

bool lib_is_remote(void)
{
    return is_remote;
}

#ifdef SHMQ_HAVE_REMOTE

enum { KEY_BYTES = 40 };

/* A key as it is, or the first 40 bytes of a file that holds one. */
static int read_key(const char *given, bool is_file, char ret[KEY_BYTES + 1])
{
    if (!is_file && strlen(given) == KEY_BYTES) {
        memcpy(ret, given, KEY_BYTES + 1);
        return CLI_DONE;
    }
    FILE *file = fopen(given, "re");
    if (file == NULL)
        return cli_fail_errno(errno, given,
            is_file ? "name a file of shmq keygen"
                    : "give a key of 40 characters, or a file that holds it");
    size_t len = fread(ret, 1, KEY_BYTES, file);
    fclose(file);
    ret[len] = '\0';
    if (len == KEY_BYTES)
        return CLI_DONE;
    return cli_fail(
        CLI_DAMAGED, "%s: holds no key; name a file of shmq keygen", given);
}

static int connect_to(const struct cli_args *args, const char *endpoint)
{
    const char *key_file = cli_opt_value(args, CLI_OPT_KEY_FILE);
    const char *server = cli_opt_value(args, CLI_OPT_SERVER_KEY);
    char key[KEY_BYTES + 1] = "", server_key[KEY_BYTES + 1] = "";
    uint64_t wait_ns = FAR_ANSWER_NS;
    int status = cli_optval_duration(args, CLI_OPT_CONNECT_TIMEOUT, &wait_ns);
    if (status != CLI_DONE)
        return status;
    if (key_file != NULL && server == NULL)
        return cli_fail(CLI_USAGE,
            "--key-file: needs --server-key K, the bridge's public key");
    if (key_file != NULL)
        status = read_key(key_file, true, key);
    if (status == CLI_DONE && server != NULL)
        status = read_key(server, false, server_key);
    if (status != CLI_DONE)
        return status;
    is_remote = true;
    int rc = far_begin(endpoint, key_file != NULL ? key : NULL,
        server != NULL ? server_key : NULL, wait_ns);
    explicit_bzero(key, sizeof(key));
    if (rc == SHMQ_ERR_INVAL)
        return cli_fail(CLI_USAGE, "--remote: %s", lib_error_text());
    if (rc != SHMQ_OK)
        return cli_fail_rc(rc, endpoint);
    const char *ns = cli_opt_value(args, CLI_OPT_NAMESPACE);
    const char *shown = shmq_remote_namespace(far_connection());
    if (ns != NULL && strcmp(ns, shown) != 0)
        return cli_fail(CLI_MISSING,
            "%s: shows namespace %s; leave --namespace out, or connect to the "
            "bridge of %s",
            endpoint, shown, ns);
    return CLI_DONE;
}

void lib_end(void)
{
    if (is_remote)
        far_end();
    is_remote = false;
}

const char *lib_error_text(void)
{
    return is_remote && !far_is_near() ? shmq_remote_error_text()
                                       : shmq_error_text();
}

int lib_error_errno(void)
{
    return is_remote ? 0 : shmq_error_errno();
}

int lib_consumer_settle(struct shmq_consumer *consumer)
{
    return is_remote ? far_consumer_settle(consumer) : SHMQ_OK;
}

int lib_topic_list(
    const char *ns, int (*visit)(void *ctx, const char *topic), void *ctx)
{
    return is_remote ? far_topic_list(visit, ctx)
                     : shmq_topic_list(ns, visit, ctx);
}

int lib_topic_create(
    const char *ns, const char *topic, const struct shmq_topic_attrs *attrs)
{
    return is_remote ? far_topic_create(topic, attrs)
                     : shmq_topic_create(ns, topic, attrs);
}

int lib_topic_open(const char *ns, const char *topic, struct shmq_topic **ret)
{
    return is_remote ? far_topic_open(topic, NULL, ret)
                     : shmq_topic_open(ns, topic, ret);
}

int lib_topic_open_schema(const char *ns, const char *topic, const char *schema,
    struct shmq_topic **ret)
{
    return is_remote ? far_topic_open(topic, schema, ret)
                     : shmq_topic_open_schema(ns, topic, schema, ret);
}

void lib_topic_close(struct shmq_topic *topic)
{
    if (is_remote)
        far_topic_close(topic);
    else
        shmq_topic_close(topic);
}

int lib_topic_attrs(struct shmq_topic *topic, struct shmq_topic_attrs *ret)
{
    return is_remote ? far_topic_attrs(topic, ret)
                     : shmq_topic_attrs(topic, ret);
}

int lib_topic_stat(struct shmq_topic *topic, struct shmq_topic_stat *ret)
{
    return is_remote ? far_topic_stat(topic, ret) : shmq_topic_stat(topic, ret);
}

int lib_topic_groups(struct shmq_topic *topic, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt)
{
    return is_remote ? far_topic_groups(topic, buf, cap, ret_cnt)
                     : shmq_topic_groups(topic, buf, cap, ret_cnt);
}

int lib_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt)
{
    return is_remote ? far_topic_endpoints(topic, buf, cap, ret_cnt)
                     : shmq_topic_endpoints(topic, buf, cap, ret_cnt);
}

int lib_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret)
{
    return is_remote ? far_consumer_open(topic, options, ret)
                     : shmq_consumer_open(topic, options, ret);
}

void lib_consumer_close(struct shmq_consumer *consumer)
{
    if (is_remote)
        far_consumer_close(consumer);
    else
        shmq_consumer_close(consumer);
}

int lib_consumer_release(
    struct shmq_consumer *consumer, struct shmq_message *msg)
{
    return is_remote ? far_consumer_release(consumer, msg)
                     : shmq_consumer_release(consumer, msg);
}

int lib_consumer_gap(const struct shmq_consumer *consumer, struct shmq_gap *ret)
{
    return is_remote ? far_consumer_gap(consumer, ret)
                     : shmq_consumer_gap(consumer, ret);
}

int lib_consumer_drained(struct shmq_consumer *consumer)
{
    return is_remote ? far_consumer_drained(consumer)
                     : shmq_consumer_drained(consumer);
}

int lib_consumer_created_group(const struct shmq_consumer *consumer)
{
    return is_remote ? far_consumer_created_group(consumer)
                     : shmq_consumer_created_group(consumer);
}

int lib_waitset_open(
    const struct shmq_waitset_options *options, struct shmq_waitset **ret)
{
    return is_remote ? far_waitset_open(ret) : shmq_waitset_open(options, ret);
}

void lib_waitset_close(struct shmq_waitset *set)
{
    if (is_remote)
        far_waitset_close(set);
    else
        shmq_waitset_close(set);
}

int lib_waitset_add(struct shmq_waitset *set, struct shmq_consumer *consumer)
{
    return is_remote ? far_waitset_add(set, consumer)
                     : shmq_waitset_add(set, consumer);
}

int lib_waitset_remove(struct shmq_waitset *set, struct shmq_consumer *consumer)
{
    return is_remote ? far_waitset_remove(set, consumer)
                     : shmq_waitset_remove(set, consumer);
}

int lib_waitset_receive(struct shmq_waitset *set, struct shmq_message *ret,
    struct shmq_consumer **ret_from)
{
    return is_remote ? far_waitset_receive(set, ret, ret_from)
                     : shmq_waitset_receive(set, ret, ret_from);
}

int lib_waitset_receive_wait(struct shmq_waitset *set, uint64_t deadline_ns,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    return is_remote
        ? far_waitset_receive_wait(set, deadline_ns, ret, ret_from)
        : shmq_waitset_receive_wait(set, deadline_ns, ret, ret_from);
}

int lib_watch_open(const char *ns, const char *pattern, struct shmq_watch **ret)
{
    return is_remote ? far_watch_open(pattern, ret)
                     : shmq_watch_open(ns, pattern, ret);
}

void lib_watch_close(struct shmq_watch *watch)
{
    if (is_remote)
        far_watch_close(watch);
    else
        shmq_watch_close(watch);
}

int lib_watch_next(struct shmq_watch *watch, struct shmq_watch_event *ret)
{
    return is_remote ? far_watch_next(watch, ret) : shmq_watch_next(watch, ret);
}

const char *lib_topic_name(const struct shmq_topic *topic)
{
    return is_remote ? far_topic_name(topic) : shmq_topic_name(topic);
}

const char *lib_topic_namespace(const struct shmq_topic *topic)
{
    return is_remote ? shmq_remote_namespace(far_connection())
                     : shmq_topic_namespace(topic);
}

void lib_watch_forget(struct shmq_watch *watch, const char *topic)
{
    if (is_remote)
        far_watch_forget(watch, topic);
}

int lib_topic_marks(
    struct shmq_topic *topic, uint64_t *ret_written, uint64_t *ret_durable)
{
    return is_remote ? far_topic_marks(topic, ret_written, ret_durable)
                     : SHMQ_ERR_INVAL;
}

#else /* built without libzmq: everything is done here */

static int connect_to(const struct cli_args *args, const char *endpoint)
{
    (void)args;
    return cli_fail(CLI_NO_DAEMON,
        "%s: this shmq was built without libzmq; install libzmq3-dev and build "
        "it again",
        endpoint);
}

void lib_end(void) {}

const char *lib_error_text(void)
{
    return shmq_error_text();
}

int lib_error_errno(void)
{
    return shmq_error_errno();
}

int lib_consumer_settle(struct shmq_consumer *consumer)
{
    (void)consumer;
    return SHMQ_OK;
}

int lib_topic_list(
    const char *ns, int (*visit)(void *ctx, const char *topic), void *ctx)
{
    return shmq_topic_list(ns, visit, ctx);
}

int lib_topic_create(
    const char *ns, const char *topic, const struct shmq_topic_attrs *attrs)
{
    return shmq_topic_create(ns, topic, attrs);
}

int lib_topic_open(const char *ns, const char *topic, struct shmq_topic **ret)
{
    return shmq_topic_open(ns, topic, ret);
}

int lib_topic_open_schema(const char *ns, const char *topic, const char *schema,
    struct shmq_topic **ret)
{
    return shmq_topic_open_schema(ns, topic, schema, ret);
}

void lib_topic_close(struct shmq_topic *topic)
{
    shmq_topic_close(topic);
}

int lib_topic_attrs(struct shmq_topic *topic, struct shmq_topic_attrs *ret)
{
    return shmq_topic_attrs(topic, ret);
}

int lib_topic_stat(struct shmq_topic *topic, struct shmq_topic_stat *ret)
{
    return shmq_topic_stat(topic, ret);
}

int lib_topic_groups(struct shmq_topic *topic, struct shmq_group_stat *buf,
    uint32_t cap, uint32_t *ret_cnt)
{
    return shmq_topic_groups(topic, buf, cap, ret_cnt);
}

int lib_topic_endpoints(struct shmq_topic *topic,
    struct shmq_endpoint_stat *buf, uint32_t cap, uint32_t *ret_cnt)
{
    return shmq_topic_endpoints(topic, buf, cap, ret_cnt);
}

int lib_consumer_open(struct shmq_topic *topic,
    const struct shmq_consumer_options *options, struct shmq_consumer **ret)
{
    return shmq_consumer_open(topic, options, ret);
}

void lib_consumer_close(struct shmq_consumer *consumer)
{
    shmq_consumer_close(consumer);
}

int lib_consumer_release(
    struct shmq_consumer *consumer, struct shmq_message *msg)
{
    return shmq_consumer_release(consumer, msg);
}

int lib_consumer_gap(const struct shmq_consumer *consumer, struct shmq_gap *ret)
{
    return shmq_consumer_gap(consumer, ret);
}

int lib_consumer_drained(struct shmq_consumer *consumer)
{
    return shmq_consumer_drained(consumer);
}

int lib_consumer_created_group(const struct shmq_consumer *consumer)
{
    return shmq_consumer_created_group(consumer);
}

int lib_waitset_open(
    const struct shmq_waitset_options *options, struct shmq_waitset **ret)
{
    return shmq_waitset_open(options, ret);
}

void lib_waitset_close(struct shmq_waitset *set)
{
    shmq_waitset_close(set);
}

int lib_waitset_add(struct shmq_waitset *set, struct shmq_consumer *consumer)
{
    return shmq_waitset_add(set, consumer);
}

int lib_waitset_remove(struct shmq_waitset *set, struct shmq_consumer *consumer)
{
    return shmq_waitset_remove(set, consumer);
}

int lib_waitset_receive(struct shmq_waitset *set, struct shmq_message *ret,
    struct shmq_consumer **ret_from)
{
    return shmq_waitset_receive(set, ret, ret_from);
}

int lib_waitset_receive_wait(struct shmq_waitset *set, uint64_t deadline_ns,
    struct shmq_message *ret, struct shmq_consumer **ret_from)
{
    return shmq_waitset_receive_wait(set, deadline_ns, ret, ret_from);
}

int lib_watch_open(const char *ns, const char *pattern, struct shmq_watch **ret)
{
    return shmq_watch_open(ns, pattern, ret);
}

void lib_watch_close(struct shmq_watch *watch)
{
    shmq_watch_close(watch);
}

int lib_watch_next(struct shmq_watch *watch, struct shmq_watch_event *ret)
{
    return shmq_watch_next(watch, ret);
}

const char *lib_topic_name(const struct shmq_topic *topic)
{
    return shmq_topic_name(topic);
}

const char *lib_topic_namespace(const struct shmq_topic *topic)
{
    return shmq_topic_namespace(topic);
}

void lib_watch_forget(struct shmq_watch *watch, const char *topic)
{
    (void)watch;
    (void)topic;
}

int lib_topic_marks(
    struct shmq_topic *topic, uint64_t *ret_written, uint64_t *ret_durable)
{
    (void)topic;
    (void)ret_written;
    (void)ret_durable;
    return SHMQ_ERR_INVAL;
}

#endif

int lib_begin(const struct cli_args *args)
{
    const char *endpoint = cli_opt_value(args, CLI_OPT_REMOTE);
    if (endpoint == NULL)
        endpoint = getenv("SHMQ_REMOTE");
    bool keys = cli_opt_given(args, CLI_OPT_KEY_FILE) ||
        cli_opt_given(args, CLI_OPT_SERVER_KEY) ||
        cli_opt_given(args, CLI_OPT_CONNECT_TIMEOUT);
    if (endpoint != NULL && *endpoint != '\0')
        return connect_to(args, endpoint);
    if (keys)
        return cli_fail(CLI_USAGE,
            "--key-file, --server-key and --connect-timeout: are for --remote "
            "EP; give it too");
    return CLI_DONE;
}
