/* findings.c - a list of what was found out. */
#include "findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_mem.h"
#include "topic_view.h"

static char *copy(const char *text)
{
    size_t len = strlen(text) + 1;
    char *to = cli_alloc(len, 1);
    return memcpy(to, text, len);
}

void findings_add(struct findings *f, enum finding_level level,
    const char *check, const char *advice, const char *what, ...)
{
    char raw[1024], clean[1024];
    va_list va;
    va_start(va, what);
    vsnprintf(raw, sizeof(raw), what, va);
    va_end(va);
    cli_grow(&f->all, &f->cap, f->cnt + 1, sizeof(*f->all));
    struct finding *one = &f->all[f->cnt++];
    one->level = level;
    one->check = check;
    one->what = copy(topic_view_printable(raw, clean, sizeof(clean)));
    one->advice = advice != NULL ? copy(advice) : NULL;
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->cnt; i++) {
        free(f->all[i].what);
        free(f->all[i].advice);
    }
    free(f->all);
    memset(f, 0, sizeof(*f));
}

bool findings_any(const struct findings *f, enum finding_level level)
{
    for (size_t i = 0; i < f->cnt; i++) {
        if (f->all[i].level == level)
            return true;
    }
    return false;
}

const char *finding_level_name(enum finding_level level)
{
    static const char *const names[] = {"ok", "hint", "bad"};
    return names[level];
}

void findings_text(
    const struct findings *f, enum finding_level least, struct cli_out *out)
{
    for (size_t i = 0; i < f->cnt; i++) {
        const struct finding *one = &f->all[i];
        if (one->level < least)
            continue;
        cli_out_format(
            out, "%-5s %s: ", finding_level_name(one->level), one->check);
        cli_out_text(out, one->what);
        if (one->advice != NULL) {
            cli_out_text(out, "; ");
            cli_out_text(out, one->advice);
        }
        cli_out_char(out, '\n');
    }
}

void findings_json(
    const struct findings *f, enum finding_level least, struct cli_json *json)
{
    cli_json_begin(json, '[');
    for (size_t i = 0; i < f->cnt; i++) {
        const struct finding *one = &f->all[i];
        if (one->level < least)
            continue;
        cli_json_begin(json, '{');
        cli_json_key(json, "level");
        cli_json_name(json, finding_level_name(one->level));
        cli_json_key(json, "check");
        cli_json_name(json, one->check);
        cli_json_key(json, "what");
        cli_json_name(json, one->what);
        cli_json_key(json, "advice");
        if (one->advice != NULL)
            cli_json_name(json, one->advice);
        else
            cli_json_null(json);
        cli_json_end(json, '}');
    }
    cli_json_end(json, ']');
}
