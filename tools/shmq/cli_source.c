/* cli_source.c - splits input into records. */
#include "cli_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum {
    PREFIX_BYTES = 4,
    /* A byte of payload takes up to six in JSON (\u0000), and an object has
     * room for all the attributes a record can have besides. */
    JSON_FACTOR = 6,
    JSON_EXTRA_BYTES = 1024 * 1024
};

int cli_source_open(struct cli_source *source, const char *path)
{
    source->line = 0;
    source->searched = 0;
    source->status = CLI_DONE;
    return cli_input_open(&source->in, path);
}

void cli_source_close(struct cli_source *source)
{
    cli_input_close(&source->in);
}

static enum cli_next next_of_fill(struct cli_source *source, enum cli_fill fill)
{
    switch (fill) {
    case CLI_FILL_EOF:
        return CLI_NEXT_END;
    case CLI_FILL_BLOCKED:
        return CLI_NEXT_BLOCKED;
    case CLI_FILL_SIGNAL:
        return CLI_NEXT_SIGNAL;
    default:
        source->status = CLI_FAILED;
        snprintf(source->reason, sizeof(source->reason),
            "reading failed: %s; give a file or a pipe that can be read",
            strerror(source->in.err));
        return CLI_NEXT_FAILED;
    }
}

static enum cli_next refuse_long(struct cli_source *source)
{
    source->line++;
    source->status = CLI_NO_ROOM;
    snprintf(source->reason, sizeof(source->reason),
        "the record is longer than the topic's %" PRIu64
        " bytes; make the topic with a larger --max-message",
        source->max_bytes);
    return CLI_NEXT_FAILED;
}

static enum cli_next refuse_form(struct cli_source *source, const char *why)
{
    source->status = CLI_DAMAGED;
    snprintf(source->reason, sizeof(source->reason),
        "the record is not as --format wants it: %s; mend the input, or give "
        "its --format",
        why);
    return CLI_NEXT_FAILED;
}

static uint64_t line_max(const struct cli_source *source)
{
    if (source->format == CLI_LINES)
        return source->max_bytes;
    if (source->max_bytes > (UINT64_MAX - JSON_EXTRA_BYTES) / JSON_FACTOR)
        return UINT64_MAX;
    return source->max_bytes * JSON_FACTOR + JSON_EXTRA_BYTES;
}

/* Finds the next line: *ret_len bytes from in.data + the old in.start on. */
static enum cli_next next_line(
    struct cli_source *source, bool block, char **ret, size_t *ret_len)
{
    struct cli_input *in = &source->in;
    for (;;) {
        size_t held = in->end - in->start;
        size_t left = held - source->searched;
        char *from = in->data + in->start;
        const char *lf =
            left == 0 ? NULL : memchr(from + source->searched, '\n', left);
        size_t len = lf != NULL ? (size_t)(lf - from) : held;
        if (len > line_max(source))
            return refuse_long(source);
        if (lf != NULL || (in->is_eof && held > 0)) {
            in->start += len + (lf != NULL);
            source->searched = 0;
            source->line++;
            *ret = from;
            *ret_len = len;
            return CLI_NEXT_RECORD;
        }
        source->searched = held;
        enum cli_fill fill = cli_input_fill(in, block);
        if (fill == CLI_FILL_EOF && held > 0)
            continue; /* the line without LF */
        if (fill != CLI_FILL_DATA)
            return next_of_fill(source, fill);
    }
}

static enum cli_next next_text(
    struct cli_source *source, bool block, struct cli_record *ret)
{
    char *line;
    size_t len;
    cli_record_clear(ret);
    enum cli_next next = next_line(source, block, &line, &len);
    if (next == CLI_NEXT_RECORD) {
        ret->data = line;
        ret->size = len;
    }
    return next;
}

static bool is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

static enum cli_next next_json(
    struct cli_source *source, bool block, struct cli_record *ret)
{
    for (;;) {
        char *line;
        size_t len;
        const char *why;
        enum cli_next next = next_line(source, block, &line, &len);
        if (next != CLI_NEXT_RECORD)
            return next;
        if (is_blank(line, len))
            continue;
        switch (cli_record_from_json(line, len, ret, &why)) {
        case CLI_RECORD_OK:
            return CLI_NEXT_RECORD;
        case CLI_RECORD_BAD:
            return refuse_form(source, why);
        case CLI_RECORD_GAP:
            break;
        }
    }
}

static uint32_t read_prefix(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
        (uint32_t)b[3] << 24;
}

static enum cli_next next_prefixed(
    struct cli_source *source, bool block, struct cli_record *ret)
{
    struct cli_input *in = &source->in;
    cli_record_clear(ret);
    for (;;) {
        size_t held = in->end - in->start;
        uint32_t size = 0;
        if (held >= PREFIX_BYTES) {
            size = read_prefix(in->data + in->start);
            if (size > source->max_bytes)
                return refuse_long(source);
        }
        if (held >= PREFIX_BYTES && held - PREFIX_BYTES >= size) {
            ret->data = in->data + in->start + PREFIX_BYTES;
            ret->size = size;
            in->start += PREFIX_BYTES + (size_t)size;
            source->line++;
            return CLI_NEXT_RECORD;
        }
        enum cli_fill fill = cli_input_fill(in, block);
        if (fill == CLI_FILL_EOF && held > 0) {
            source->line++;
            return refuse_form(source, "the input ends inside of it");
        }
        if (fill != CLI_FILL_DATA)
            return next_of_fill(source, fill);
    }
}

enum cli_next cli_source_next(
    struct cli_source *source, bool block, struct cli_record *ret)
{
    switch (source->format) {
    case CLI_JSON:
        return next_json(source, block, ret);
    case CLI_LENGTH_PREFIXED:
        return next_prefixed(source, block, ret);
    default:
        return next_text(source, block, ret);
    }
}
