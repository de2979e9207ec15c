/* settings.c - options from line, environment, file and defaults. */
#include "settings_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq.h>

#include "suggest.h"
#include "units.h"

enum { MESSAGE_MAX = 1024 };

void *shmqs_alloc(void *old, size_t bytes)
{
    void *p = realloc(old, bytes);
    if (p == NULL) {
        fputs("out of memory while reading settings\n", stderr);
        exit(SHMQS_EXIT_FAILED);
    }
    return p;
}

char *shmqs_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(shmqs_alloc(NULL, size), text, size);
}

int shmqs_settings_fail(const struct shmqs_settings *settings, int status,
    const char *place, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    fprintf(stderr, "%s: %s: ", settings->program->name, place);
    for (const char *p = message; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            fprintf(stderr, "\\x%02x", c);
        else
            fputc(c, stderr);
    }
    fputc('\n', stderr);
    return status;
}

static size_t option_cnt(const struct shmqs_option *options)
{
    size_t cnt = 0;
    while (options[cnt].name != NULL)
        cnt++;
    return cnt;
}

void shmqs_values_init(
    struct shmqs_values *values, const struct shmqs_option *options)
{
    size_t cnt = option_cnt(options);
    memset(values, 0, sizeof(*values));
    values->options = options;
    values->values = shmqs_alloc(NULL, (cnt + 1) * sizeof(*values->values));
    memset(values->values, 0, (cnt + 1) * sizeof(*values->values));
}

static void values_free(struct shmqs_values *values)
{
    size_t cnt = values->values == NULL ? 0 : option_cnt(values->options);
    for (size_t i = 0; i < cnt; i++) {
        free(values->values[i].text);
        free(values->values[i].place);
    }
    free(values->values);
    free(values->kind);
    free(values->name);
    free(values->place);
}

void shmqs_settings_free(struct shmqs_settings *settings)
{
    if (settings == NULL)
        return;
    values_free(&settings->own);
    for (uint32_t i = 0; i < settings->section_cnt; i++)
        values_free(&settings->sections[i]);
    free(settings->sections);
    free(settings);
}

const struct shmqs_option *shmqs_option_find(
    const struct shmqs_option *options, const char *name)
{
    for (; options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0)
            return options;
    }
    return NULL;
}

static bool parse_choice(
    const char *choices, const char *text, uint64_t *ret_idx)
{
    size_t text_len = strlen(text);
    for (uint64_t idx = 0;; idx++) {
        size_t len = strcspn(choices, "|");
        if (text_len == len && memcmp(text, choices, len) == 0) {
            *ret_idx = idx;
            return true;
        }
        if (choices[len] == '\0')
            return false;
        choices += len + 1;
    }
}

static bool parse_value(
    const struct shmqs_option *option, const char *text, uint64_t *ret)
{
    uint32_t octal;
    switch (option->type) {
    case SHMQS_FLAG:
        return parse_choice("no|yes", text, ret);
    case SHMQS_TEXT:
        return text[0] != '\0';
    case SHMQS_NUMBER:
        return shmqs_parse_u64(text, ret);
    case SHMQS_SIZE:
        return shmqs_parse_size(text, ret);
    case SHMQS_DURATION:
        return shmqs_parse_duration(text, ret);
    case SHMQS_OCTAL:
        if (!shmqs_parse_octal(text, &octal))
            return false;
        *ret = octal;
        return true;
    case SHMQS_CHOICE:
        return parse_choice(option->placeholder, text, ret);
    }
    return false;
}

static const char *wanted(const struct shmqs_option *option)
{
    switch (option->type) {
    case SHMQS_FLAG:
        return "yes or no";
    case SHMQS_TEXT:
        return "a text that is not empty";
    case SHMQS_NUMBER:
        return "a number";
    case SHMQS_SIZE:
        return "a size: bytes, or a number with K, M or G";
    case SHMQS_DURATION:
        return "a duration: seconds, or a number with us, ms, s, m, h or d";
    case SHMQS_OCTAL:
        return "octal permission bits";
    case SHMQS_CHOICE:
        return option->placeholder;
    }
    return "another value";
}

int shmqs_value_set(const struct shmqs_settings *settings,
    struct shmqs_values *values, const struct shmqs_option *option,
    const char *text, const char *place, bool keep)
{
    struct shmqs_value *value = &values->values[option - values->options];
    uint64_t number = 0;
    if (!parse_value(option, text, &number))
        return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
            "%s: \"%s\" does not do; give %s", option->name, text,
            wanted(option));
    bool limited = option->type == SHMQS_NUMBER || option->type == SHMQS_SIZE ||
        option->type == SHMQS_DURATION;
    if (limited &&
        (number < option->min || (option->max != 0 && number > option->max)))
        return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
            "%s: \"%s\" is out of range; give %" PRIu64 " to %" PRIu64 "%s",
            option->name, text, option->min,
            option->max != 0 ? option->max : UINT64_MAX,
            option->type == SHMQS_SIZE           ? " bytes"
                : option->type == SHMQS_DURATION ? " ns"
                                                 : "");
    if (keep && value->text != NULL)
        return 0;
    free(value->text);
    free(value->place);
    value->text = shmqs_copy(text);
    value->place = shmqs_copy(place);
    value->number = number;
    value->given = strcmp(place, "default") != 0;
    return 0;
}

int shmqs_unknown(const struct shmqs_settings *settings, const char *place,
    const char *what, const char *word, const struct shmqs_option *options,
    const char *dashes)
{
    struct shmqs_nearest nearest;
    bool line = dashes[0] != '\0';
    shmqs_nearest_begin(&nearest, word);
    for (; options->name != NULL; options++) {
        if (line || !options->line_only)
            shmqs_nearest_offer(&nearest, options->name);
    }
    const char *meant = shmqs_nearest_word(&nearest);
    if (*meant == '\0')
        return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
            "unknown %s \"%s%s\"; see --help", what, dashes, word);
    return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
        "unknown %s \"%s%s\"; did you mean %s%s?", what, dashes, word, dashes,
        meant);
}

/* One "--name", "--name=value" or "--name value". */
static int read_option(
    struct shmqs_settings *settings, int argc, char **argv, int *at)
{
    char name[64];
    char place[80];
    const char *word = argv[*at] + 2;
    const char *equals = strchr(word, '=');
    size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    snprintf(name, sizeof(name), "%.*s", (int)(len < 60 ? len : 60), word);
    snprintf(place, sizeof(place), "--%s", name);
    const struct shmqs_option *option =
        shmqs_option_find(settings->own.options, name);
    if (option == NULL)
        return shmqs_unknown(settings, "command line", "option", name,
            settings->own.options, "--");
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (option->type == SHMQS_FLAG && value != NULL)
        return shmqs_settings_fail(
            settings, SHMQS_EXIT_USAGE, place, "takes no value");
    if (option->type == SHMQS_FLAG)
        value = "yes";
    if (value == NULL) {
        if (*at + 1 >= argc)
            return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE, place,
                "needs a value: %s", option->placeholder);
        value = argv[++*at];
    }
    return shmqs_value_set(
        settings, &settings->own, option, value, place, false);
}

static int read_line(struct shmqs_settings *settings, int argc, char **argv)
{
    for (int at = 1; at < argc; at++) {
        if (strncmp(argv[at], "--", 2) != 0 || argv[at][2] == '\0')
            return shmqs_settings_fail(settings, SHMQS_EXIT_USAGE,
                "command line", "\"%s\" is no option; see %s --help", argv[at],
                settings->program->name);
        int status = read_option(settings, argc, argv, &at);
        if (status != 0)
            return status;
    }
    return 0;
}

static int read_environment(struct shmqs_settings *settings)
{
    const struct shmqs_option *option = settings->own.options;
    for (; option->name != NULL; option++) {
        const char *text =
            option->environment != NULL ? getenv(option->environment) : NULL;
        if (text == NULL || text[0] == '\0')
            continue;
        int status = shmqs_value_set(
            settings, &settings->own, option, text, option->environment, true);
        if (status != 0)
            return status;
    }
    return 0;
}

static int fill_in(struct shmqs_settings *settings, struct shmqs_values *values)
{
    const struct shmqs_option *option = values->options;
    for (; option->name != NULL; option++) {
        if (option->fallback == NULL)
            continue;
        int status = shmqs_value_set(
            settings, values, option, option->fallback, "default", true);
        if (status != 0)
            return status;
    }
    return 0;
}

static int print_version(const struct shmqs_program *program)
{
    int rc = printf("%s %s\n", program->name, shmq_version());
    return rc < 0 || fflush(stdout) != 0 ? SHMQS_EXIT_FAILED : SHMQS_EXIT_DONE;
}

/* Returns true to go on. */
static bool load(
    struct shmqs_settings *settings, int argc, char **argv, int *ret_status)
{
    int status = read_line(settings, argc, argv);
    if (status == 0 && shmqs_given(&settings->own, "help")) {
        *ret_status = shmqs_help_print(settings->program);
        return false;
    }
    if (status == 0 && shmqs_given(&settings->own, "version")) {
        *ret_status = print_version(settings->program);
        return false;
    }
    if (status == 0)
        status = read_environment(settings);
    const char *file =
        status == 0 ? shmqs_text(&settings->own, "config") : NULL;
    if (file != NULL)
        status = shmqs_file_read(settings, file);
    if (status == 0)
        status = fill_in(settings, &settings->own);
    for (uint32_t i = 0; status == 0 && i < settings->section_cnt; i++)
        status = fill_in(settings, &settings->sections[i]);
    *ret_status = status;
    return status == 0;
}

bool shmqs_settings_load(const struct shmqs_program *program, int argc,
    char **argv, struct shmqs_settings **ret_settings, int *ret_status)
{
    struct shmqs_settings *settings = shmqs_alloc(NULL, sizeof(*settings));
    memset(settings, 0, sizeof(*settings));
    settings->program = program;
    shmqs_values_init(&settings->own, program->options);
    if (!load(settings, argc, argv, ret_status)) {
        shmqs_settings_free(settings);
        return false;
    }
    *ret_settings = settings;
    return true;
}

const struct shmqs_values *shmqs_settings_values(
    const struct shmqs_settings *settings)
{
    return &settings->own;
}

const struct shmqs_values *shmqs_settings_section(
    const struct shmqs_settings *settings, uint32_t idx)
{
    return idx < settings->section_cnt ? &settings->sections[idx] : NULL;
}

const char *shmqs_section_kind(const struct shmqs_values *section)
{
    return section->kind;
}

const char *shmqs_section_name(const struct shmqs_values *section)
{
    return section->name;
}

const char *shmqs_section_place(const struct shmqs_values *section)
{
    return section->place;
}

/* Asking for what is not in the table is a bug of the caller. */
static const struct shmqs_value *value_of(
    const struct shmqs_values *values, const char *name)
{
    const struct shmqs_option *option =
        shmqs_option_find(values->options, name);
    if (option == NULL) {
        fprintf(stderr, "%s:%d: no option \"%s\"\n", __FILE__, __LINE__, name);
        abort();
    }
    return &values->values[option - values->options];
}

const char *shmqs_text(const struct shmqs_values *values, const char *name)
{
    return value_of(values, name)->text;
}

uint64_t shmqs_number(const struct shmqs_values *values, const char *name)
{
    return value_of(values, name)->number;
}

bool shmqs_given(const struct shmqs_values *values, const char *name)
{
    return value_of(values, name)->given;
}

const char *shmqs_place(const struct shmqs_values *values, const char *name)
{
    const char *place = value_of(values, name)->place;
    return place != NULL ? place : "default";
}
