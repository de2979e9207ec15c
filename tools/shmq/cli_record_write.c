/* cli_record_write.c - writes records and gaps as lines of JSON. */
#include "cli_record.h"

#include <stdio.h>
#include <string.h>

#include "cli_utf8.h"

enum { KEY_MAX = 48 };

/* NAME: text, or NAME_base64 where it is not UTF-8. */
static void put_text(
    struct cli_json *json, const char *name, const void *data, uint64_t len)
{
    char key[KEY_MAX];
    if (cli_utf8_valid(data, len)) {
        cli_json_key(json, name);
        cli_json_bytes(json, data, len);
        return;
    }
    snprintf(key, sizeof(key), "%s_base64", name);
    cli_json_key(json, key);
    cli_json_base64(json, data, len);
}

static void put_attrs(struct cli_json *json, const struct shmq_message *msg)
{
    struct shmq_attr attr;
    for (const struct cli_attr_name *a = cli_attr_names; a->name != NULL; a++) {
        if (shmq_message_attr(msg, a->type, 0, &attr) == SHMQ_OK)
            put_text(json, a->name, attr.value, attr.value_bytes);
    }
}

static bool header_is_text(const struct shmq_attr *attr)
{
    return cli_utf8_valid(attr->name, strlen(attr->name)) &&
        cli_utf8_valid(attr->value, attr->value_bytes);
}

/* The next header of text from *nth on, which moves to it. */
static bool next_text_header(
    const struct shmq_message *msg, uint32_t *nth, struct shmq_attr *ret)
{
    for (;; (*nth)++) {
        if (shmq_message_attr(msg, SHMQ_ATTR_HEADER, *nth, ret) != SHMQ_OK)
            return false;
        if (header_is_text(ret))
            return true;
    }
}

/* Whether a header before the nth has the same name, or how many from it on
 * have: quadratic, but records with more than a few headers are rare. */
static bool name_came_before(
    const struct shmq_message *msg, uint32_t nth, const char *name)
{
    struct shmq_attr attr;
    for (uint32_t i = 0; next_text_header(msg, &i, &attr) && i < nth; i++) {
        if (strcmp(attr.name, name) == 0)
            return true;
    }
    return false;
}

static void put_header_values(
    struct cli_json *json, const struct shmq_message *msg, uint32_t nth)
{
    struct shmq_attr first, attr;
    uint32_t cnt = 0;
    (void)shmq_message_attr(msg, SHMQ_ATTR_HEADER, nth, &first);
    for (uint32_t i = nth; next_text_header(msg, &i, &attr); i++)
        cnt += strcmp(attr.name, first.name) == 0;
    cli_json_bytes(json, first.name, strlen(first.name));
    cli_out_char(json->out, ':');
    json->comma = false;
    if (cnt > 1)
        cli_json_begin(json, '[');
    for (uint32_t i = nth; next_text_header(msg, &i, &attr); i++) {
        if (strcmp(attr.name, first.name) == 0)
            cli_json_bytes(json, attr.value, attr.value_bytes);
    }
    if (cnt > 1)
        cli_json_end(json, ']');
}

static void put_text_headers(
    struct cli_json *json, const struct shmq_message *msg)
{
    struct shmq_attr attr;
    uint32_t nth = 0;
    if (!next_text_header(msg, &nth, &attr))
        return;
    cli_json_key(json, "headers");
    cli_json_begin(json, '{');
    for (; next_text_header(msg, &nth, &attr); nth++) {
        if (!name_came_before(msg, nth, attr.name))
            put_header_values(json, msg, nth);
    }
    cli_json_end(json, '}');
}

static void put_binary_headers(
    struct cli_json *json, const struct shmq_message *msg)
{
    struct shmq_attr attr;
    bool begun = false;
    for (uint32_t i = 0;
         shmq_message_attr(msg, SHMQ_ATTR_HEADER, i, &attr) == SHMQ_OK; i++) {
        if (header_is_text(&attr))
            continue;
        if (!begun) {
            cli_json_key(json, "headers_base64");
            cli_json_begin(json, '[');
            begun = true;
        }
        cli_json_begin(json, '[');
        cli_json_base64(json, attr.name, strlen(attr.name));
        cli_json_base64(json, attr.value, attr.value_bytes);
        cli_json_end(json, ']');
    }
    if (begun)
        cli_json_end(json, ']');
}

void cli_record_to_json(
    struct cli_json *json, const char *topic, const struct shmq_message *msg)
{
    cli_json_begin(json, '{');
    cli_json_key(json, "topic");
    cli_json_name(json, topic);
    cli_json_key(json, "position");
    cli_json_position(json, msg->position);
    cli_json_key(json, "time");
    cli_json_time(json, msg->time_ns);
    cli_json_key(json, "producer");
    cli_json_position(json, msg->producer);
    cli_json_key(json, "sequence");
    cli_json_u64(json, msg->sequence);
    if (msg->attr_bytes != 0) {
        put_attrs(json, msg);
        put_text_headers(json, msg);
        put_binary_headers(json, msg);
    }
    cli_json_key(json, "attempt");
    cli_json_u64(json, msg->attempt);
    cli_json_key(json, "redelivered");
    cli_json_bool(json, (msg->flags & SHMQ_MESSAGE_REDELIVERED) != 0);
    cli_json_key(json, "size");
    cli_json_u64(json, msg->size);
    put_text(json, "payload", msg->data, msg->size);
    cli_json_end(json, '}');
    cli_out_char(json->out, '\n');
    json->comma = false;
}

void cli_gap_to_json(
    struct cli_json *json, const char *topic, const struct shmq_gap *gap)
{
    cli_json_begin(json, '{');
    cli_json_key(json, "gap");
    cli_json_begin(json, '{');
    cli_json_key(json, "topic");
    cli_json_name(json, topic);
    cli_json_key(json, "from");
    cli_json_position(json, gap->from);
    cli_json_key(json, "to");
    cli_json_position(json, gap->to);
    cli_json_key(json, "frames");
    cli_json_u64(json, gap->frames);
    cli_json_key(json, "messages");
    if (gap->messages == UINT64_MAX)
        cli_json_null(json);
    else
        cli_json_u64(json, gap->messages);
    cli_json_key(json, "reason");
    cli_json_bytes(
        json, cli_gap_reason(gap->reason), strlen(cli_gap_reason(gap->reason)));
    cli_json_end(json, '}');
    cli_json_end(json, '}');
    cli_out_char(json->out, '\n');
    json->comma = false;
}
