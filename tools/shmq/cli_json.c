/* cli_json.c - JSON writer. */
#include "cli_json.h"

#include <inttypes.h>
#include <string.h>

#include "cli_base64.h"
#include "cli_mem.h"
#include "cli_rfc3339.h"
#include "cli_utf8.h"

static void before_value(struct cli_json *json)
{
    if (json->comma)
        cli_out_char(json->out, ',');
    json->comma = true;
}

void cli_json_begin(struct cli_json *json, char bracket)
{
    before_value(json);
    cli_out_char(json->out, bracket);
    json->comma = false;
}

void cli_json_end(struct cli_json *json, char bracket)
{
    cli_out_char(json->out, bracket);
    json->comma = true;
}

void cli_json_key(struct cli_json *json, const char *key)
{
    before_value(json);
    cli_out_char(json->out, '"');
    cli_out_text(json->out, key);
    cli_out_bytes(json->out, "\":", 2);
    json->comma = false;
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

/* DEL may stand as it is, but does no good on a terminal. */
static void put_escape(struct cli_out *out, unsigned char c)
{
    static const char names[] = "btnvfr"; /* 0x08 to 0x0d */
    if (c == '"' || c == '\\') {
        cli_out_char(out, '\\');
        cli_out_char(out, (char)c);
    } else if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
        cli_out_char(out, '\\');
        cli_out_char(out, names[c - 0x08]);
    } else {
        cli_out_format(out, "\\u%04x", c);
    }
}

static void put_string(struct cli_out *out, const char *p, size_t len)
{
    size_t i = 0;
    cli_out_char(out, '"');
    while (i < len) {
        size_t from = i;
        while (i < len && !needs_escape((unsigned char)p[i]))
            i++;
        cli_out_bytes(out, p + from, i - from);
        if (i < len)
            put_escape(out, (unsigned char)p[i++]);
    }
    cli_out_char(out, '"');
}

void cli_json_bytes(struct cli_json *json, const void *data, size_t len)
{
    before_value(json);
    put_string(json->out, data, len);
}

void cli_json_name(struct cli_json *json, const char *text)
{
    size_t len = strlen(text);
    before_value(json);
    if (cli_utf8_valid(text, len)) {
        put_string(json->out, text, len);
        return;
    }
    cli_out_char(json->out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x80)
            cli_out_text(json->out, "\\ufffd");
        else if (needs_escape(c))
            put_escape(json->out, c);
        else
            cli_out_char(json->out, (char)c);
    }
    cli_out_char(json->out, '"');
}

void cli_json_base64(struct cli_json *json, const void *data, size_t len)
{
    struct cli_out *out = json->out;
    size_t coded = cli_base64_len(len);
    before_value(json);
    cli_out_char(out, '"');
    cli_grow(&out->data, &out->cap, out->len + coded, 1);
    cli_base64_encode(data, len, out->data + out->len);
    out->len += coded;
    cli_out_char(out, '"');
}

void cli_json_u64(struct cli_json *json, uint64_t value)
{
    before_value(json);
    cli_out_u64(json->out, value);
}

void cli_json_bool(struct cli_json *json, bool value)
{
    before_value(json);
    cli_out_text(json->out, value ? "true" : "false");
}

void cli_json_null(struct cli_json *json)
{
    before_value(json);
    cli_out_text(json->out, "null");
}

void cli_json_position(struct cli_json *json, uint64_t position)
{
    before_value(json);
    cli_out_char(json->out, '"');
    cli_out_u64(json->out, position);
    cli_out_char(json->out, '"');
}

void cli_json_time(struct cli_json *json, int64_t time_ns)
{
    char text[CLI_RFC3339_BYTES];
    size_t len = cli_rfc3339_format(time_ns, text);
    before_value(json);
    cli_out_char(json->out, '"');
    cli_out_bytes(json->out, text, len);
    cli_out_char(json->out, '"');
}

void cli_json_seconds(struct cli_json *json, uint64_t ns)
{
    before_value(json);
    cli_out_format(
        json->out, "%" PRIu64 ".%09" PRIu64, ns / 1000000000, ns % 1000000000);
}
