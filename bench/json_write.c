/* json_write.c - writing JSON. */
#include "json.h"

#include <math.h>

static void start(struct lab_json *j, const char *key);

static void put_text(struct lab_json *j, const char *text)
{
    fputc('"', j->f);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            fprintf(j->f, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(j->f, "\\u%04x", c);
        else
            fputc(c, j->f);
    }
    fputc('"', j->f);
}

static void start(struct lab_json *j, const char *key)
{
    if (!j->fresh)
        fputc(',', j->f);
    j->fresh = 0;
    if (j->depth)
        fprintf(j->f, "\n%*s", (int)j->depth * 1, "");
    if (key) {
        put_text(j, key);
        fputs(": ", j->f);
    }
}

void lab_json_begin(struct lab_json *j, FILE *f)
{
    j->f = f;
    j->depth = 0;
    j->fresh = 1;
}

int lab_json_end(struct lab_json *j)
{
    fputc('\n', j->f);
    return fflush(j->f) || ferror(j->f) ? -1 : 0;
}

static void enter(struct lab_json *j, const char *key, int bracket)
{
    start(j, key);
    fputc(bracket, j->f);
    j->depth++;
    j->fresh = 1;
}

static void leave(struct lab_json *j, int bracket)
{
    j->depth--;
    j->fresh = 0;
    fprintf(j->f, "\n%*s%c", (int)j->depth, "", bracket);
}

void lab_json_object(struct lab_json *j, const char *key)
{
    enter(j, key, '{');
}

void lab_json_object_end(struct lab_json *j)
{
    leave(j, '}');
}

void lab_json_array(struct lab_json *j, const char *key)
{
    enter(j, key, '[');
}

void lab_json_array_end(struct lab_json *j)
{
    leave(j, ']');
}

void lab_json_text(struct lab_json *j, const char *key, const char *value)
{
    start(j, key);
    put_text(j, value);
}

static void put_number(struct lab_json *j, double value)
{
    if (!isfinite(value))
        fputs("null", j->f);
    else
        fprintf(j->f, "%.9g", value);
}

void lab_json_number(struct lab_json *j, const char *key, double value)
{
    start(j, key);
    put_number(j, value);
}

void lab_json_numbers(
    struct lab_json *j, const char *key, const double *values, uint32_t cnt)
{
    start(j, key);
    fputc('[', j->f);
    for (uint32_t i = 0; i < cnt; i++) {
        if (i)
            fputs(", ", j->f);
        put_number(j, values[i]);
    }
    fputc(']', j->f);
}
