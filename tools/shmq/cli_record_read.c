/* cli_record_read.c - reads a record from a line of JSON. */
#include "cli_record.h"

#include <string.h>

#include "cli_base64.h"
#include "cli_json_scan.h"
#include "cli_utf8.h"

static const char base64_suffix[] = "_base64";

struct reading {
    struct cli_json_scan scan;
    struct cli_record *record;
    const char *reason;
    bool has_payload;
    bool has_gap;
};

static bool refuse(struct reading *in, const char *reason)
{
    if (in->reason == NULL)
        in->reason = reason;
    return false;
}

static bool take_text(
    struct reading *in, bool base64, struct cli_json_string *ret)
{
    if (cli_json_peek(&in->scan) != '"')
        return refuse(in, "a key that must hold a string does not");
    if (!cli_json_take_string(&in->scan, ret))
        return false;
    if (!base64)
        return true;
    if (!cli_base64_decode(ret->data, ret->len, ret->data, &ret->len))
        return refuse(in, "what should be base64 is not");
    ret->data[ret->len] = '\0';
    return true;
}

static bool add_header(struct reading *in, const struct cli_json_string *name,
    const struct cli_json_string *value)
{
    if (name->len == 0 || name->len > 255 ||
        memchr(name->data, '\0', name->len) != NULL)
        return refuse(in, "a header's name needs 1 to 255 bytes without NUL");
    cli_record_add_attr(
        in->record, SHMQ_ATTR_HEADER, name->data, value->data, value->len);
    return true;
}

/* One value of a header, or an array of them. */
static bool read_header_values(
    struct reading *in, const struct cli_json_string *name)
{
    struct cli_json_string value;
    if (!cli_json_take(&in->scan, '['))
        return take_text(in, false, &value) && add_header(in, name, &value);
    if (cli_json_take(&in->scan, ']'))
        return true;
    do {
        if (!take_text(in, false, &value) || !add_header(in, name, &value))
            return false;
    } while (cli_json_take(&in->scan, ','));
    return cli_json_take(&in->scan, ']');
}

static bool read_headers(struct reading *in)
{
    struct cli_json_string name;
    if (!cli_json_take(&in->scan, '{'))
        return refuse(in, "headers is not an object");
    if (cli_json_take(&in->scan, '}'))
        return true;
    do {
        if (!cli_json_take_key(&in->scan, &name) ||
            !read_header_values(in, &name))
            return false;
    } while (cli_json_take(&in->scan, ','));
    return cli_json_take(&in->scan, '}');
}

static bool read_headers_base64(struct reading *in)
{
    struct cli_json_string name, value;
    if (!cli_json_take(&in->scan, '['))
        return refuse(in, "headers_base64 is not an array");
    if (cli_json_take(&in->scan, ']'))
        return true;
    do {
        if (!cli_json_take(&in->scan, '[') || !take_text(in, true, &name) ||
            !cli_json_take(&in->scan, ',') || !take_text(in, true, &value) ||
            !cli_json_take(&in->scan, ']') || !add_header(in, &name, &value))
            return refuse(
                in, "headers_base64 holds something else than [name, value]");
    } while (cli_json_take(&in->scan, ','));
    return cli_json_take(&in->scan, ']');
}

static bool read_payload(struct reading *in, bool base64)
{
    struct cli_json_string payload;
    if (in->has_payload)
        return refuse(in, "it has two payloads");
    if (!take_text(in, base64, &payload))
        return false;
    in->has_payload = true;
    in->record->data = payload.data;
    in->record->size = payload.len;
    return true;
}

/* The type of the attribute that a key names, or 0. */
static uint32_t attr_type_of(const char *key)
{
    for (const struct cli_attr_name *a = cli_attr_names; a->name != NULL; a++) {
        if (strcmp(a->name, key) == 0)
            return a->type;
    }
    return 0;
}

static bool read_attr(struct reading *in, uint32_t type, bool base64)
{
    struct cli_json_string value;
    if (!take_text(in, base64, &value))
        return false;
    for (uint32_t i = 0; i < in->record->attr_cnt; i++) {
        if (in->record->attrs[i].type == type)
            return refuse(in, "it has two of one attribute");
    }
    cli_record_add_attr(in->record, type, NULL, value.data, value.len);
    return true;
}

/* Cuts _base64 off a key and tells whether it was there. */
static bool cut_suffix(struct cli_json_string *key)
{
    size_t len = sizeof(base64_suffix) - 1;
    if (key->len <= len ||
        memcmp(key->data + key->len - len, base64_suffix, len) != 0)
        return false;
    key->len -= len;
    key->data[key->len] = '\0';
    return true;
}

static bool read_member(struct reading *in)
{
    struct cli_json_string key;
    if (!cli_json_take_key(&in->scan, &key))
        return false;
    bool base64 = cut_suffix(&key);
    uint32_t type = attr_type_of(key.data);
    if (strcmp(key.data, "payload") == 0)
        return read_payload(in, base64);
    if (strcmp(key.data, "gap") == 0 && !base64)
        in->has_gap = true;
    /* null stands for "none": programs that make JSON like to write it. */
    else if (cli_json_peek(&in->scan) == 'n')
        return cli_json_skip(&in->scan);
    else if (strcmp(key.data, "headers") == 0)
        return base64 ? read_headers_base64(in) : read_headers(in);
    else if (type != 0 && type != SHMQ_ATTR_DEAD_LETTER)
        return read_attr(in, type, base64);
    return cli_json_skip(&in->scan);
}

static bool read_object(struct reading *in)
{
    if (!cli_json_take(&in->scan, '{'))
        return refuse(in, "it is no JSON object");
    if (!cli_json_take(&in->scan, '}')) {
        do {
            if (!read_member(in))
                return false;
        } while (cli_json_take(&in->scan, ','));
        if (!cli_json_take(&in->scan, '}'))
            return false;
    }
    cli_json_peek(&in->scan);
    if (in->scan.at != in->scan.end)
        return refuse(in, "something stands behind the object");
    return in->has_payload || in->has_gap ||
        refuse(in, "it has neither payload nor payload_base64");
}

enum cli_record_read cli_record_from_json(
    char *line, size_t len, struct cli_record *ret, const char **ret_reason)
{
    struct reading in = {{line, line + len}, ret, NULL, false, false};
    cli_record_clear(ret);
    if (!cli_utf8_valid(line, len)) {
        *ret_reason = "it is not UTF-8";
        return CLI_RECORD_BAD;
    }
    if (!read_object(&in)) {
        *ret_reason = in.reason != NULL ? in.reason : "it is not JSON";
        return CLI_RECORD_BAD;
    }
    return in.has_payload ? CLI_RECORD_OK : CLI_RECORD_GAP;
}
