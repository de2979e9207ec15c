/* settings_file.c - the configuration file. The only file that sees libinih.
 *
 * libinih cuts long lines and section names silently and goes on after errors;
 * so lines pass through a reader of ours, which counts them and refuses what
 * would be cut. */
#include "settings_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suggest.h"

enum {
    FILE_MAX_BYTES = 1 << 20,
    SECTION_MAX = 49, /* what libinih keeps of a section's name */
};

struct reading {
    struct shmqs_settings *settings;
    struct shmqs_values *into; /* the program's values or a section's */
    const char *path;
    const char *rest; /* what was not read yet */
    uint32_t line;
    int status; /* the first error */
};

static const char *place_of(const struct reading *reading)
{
    static char place[512];
    snprintf(place, sizeof(place), "%.480s:%u", reading->path, reading->line);
    return place;
}

static void fail(struct reading *reading, const char *message)
{
    if (reading->status == 0)
        reading->status = shmqs_settings_fail(reading->settings,
            SHMQS_EXIT_USAGE, place_of(reading), "%s", message);
}

/* "[KIND NAME]" opens a section. A name that was there is an error: which of
 * the two would count? */
static void open_section(struct reading *reading, const char *title)
{
    struct shmqs_settings *settings = reading->settings;
    const struct shmqs_section *section = settings->program->sections;
    char kind[64];
    size_t len = strcspn(title, " \t");
    const char *name = title + len + strspn(title + len, " \t");
    snprintf(kind, sizeof(kind), "%.*s", (int)(len < 60 ? len : 60), title);
    while (section != NULL && section->kind != NULL &&
        strcmp(section->kind, kind) != 0)
        section++;
    if (section == NULL || section->kind == NULL) {
        fail(reading,
            settings->program->sections != NULL
                ? "this is no section that is known; see --help"
                : "this program's file has no sections");
        return;
    }
    if (name[0] == '\0') {
        fail(reading, "the section needs a name: [KIND NAME]");
        return;
    }
    for (uint32_t i = 0; i < settings->section_cnt; i++) {
        struct shmqs_values *old = &settings->sections[i];
        if (strcmp(old->kind, kind) == 0 && strcmp(old->name, name) == 0) {
            fail(reading, "a section of this name stands above; join them");
            return;
        }
    }
    settings->sections = shmqs_alloc(settings->sections,
        (settings->section_cnt + 1) * sizeof(*settings->sections));
    reading->into = &settings->sections[settings->section_cnt++];
    shmqs_values_init(reading->into, section->options);
    reading->into->kind = shmqs_copy(kind);
    reading->into->name = shmqs_copy(name);
    reading->into->place = shmqs_copy(place_of(reading));
}

/* libinih tells of sections only with their first key; ours are opened when
 * their line is read, so that an empty one counts too. */
static void check_line(struct reading *reading, const char *line, size_t len)
{
    char title[SECTION_MAX + 1];
    size_t begin = 0;
    while (begin < len && (line[begin] == ' ' || line[begin] == '\t'))
        begin++;
    if (begin != 0 && begin < len && line[begin] != ';' && line[begin] != '#')
        fail(reading, "starts with a space; begin at the first column");
    if (begin == len || line[begin] != '[')
        return;
    const char *end = memchr(line + begin, ']', len - begin);
    if (end == NULL)
        return; /* libinih's error */
    size_t size = (size_t)(end - line) - begin - 1;
    if (size > SECTION_MAX) {
        fail(reading, "the section's name is longer than 49 characters");
        return;
    }
    memcpy(title, line + begin + 1, size);
    title[size] = '\0';
    while (size > 0 && (title[size - 1] == ' ' || title[size - 1] == '\t'))
        title[--size] = '\0';
    open_section(reading, title);
}

/* fgets() for libinih. */
static char *next_line(char *buffer, int size, void *stream)
{
    struct reading *reading = stream;
    if (*reading->rest == '\0' || reading->status != 0)
        return NULL;
    size_t len = strcspn(reading->rest, "\n");
    reading->line++;
    if (len + 2 > (size_t)size) {
        fail(reading, "the line is too long");
        return NULL;
    }
    check_line(reading, reading->rest, len);
    memcpy(buffer, reading->rest, len);
    buffer[len] = '\n';
    buffer[len + 1] = '\0';
    reading->rest += len;
    if (*reading->rest == '\n')
        reading->rest++;
    return buffer;
}

/* Returns non-zero to go on, as libinih wants. */
static int take_key(
    void *user, const char *section, const char *key, const char *text)
{
    struct reading *reading = user;
    struct shmqs_values *into = reading->into;
    (void)section; /* reading->into is it */
    if (reading->status != 0)
        return 0;
    const struct shmqs_option *option = shmqs_option_find(into->options, key);
    if (option == NULL || option->line_only) {
        reading->status = shmqs_unknown(reading->settings, place_of(reading),
            "key", key, into->options, "");
        return 0;
    }
    struct shmqs_value *value = &into->values[option - into->options];
    if (value->place != NULL &&
        strncmp(value->place, reading->path, strlen(reading->path)) == 0) {
        fail(reading, "the key stands above already");
        return 0;
    }
    reading->status = shmqs_value_set(
        reading->settings, into, option, text, place_of(reading), true);
    return reading->status == 0;
}

/* Gives the file's text with a NUL behind it, or NULL with errno. */
static char *read_all(const char *path, size_t *ret_len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    char *text = shmqs_alloc(NULL, FILE_MAX_BYTES + 1);
    size_t len = 0;
    ssize_t got = 0;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        got = -1;
    }
    while (got >= 0 && len < FILE_MAX_BYTES) {
        got = read(fd, text + len, FILE_MAX_BYTES - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    if (got != 0 && len == FILE_MAX_BYTES)
        errno = EFBIG;
    int saved = errno;
    close(fd);
    errno = saved;
    if (got != 0) {
        free(text);
        return NULL;
    }
    text[len] = '\0';
    *ret_len = len;
    return text;
}

int shmqs_file_read(struct shmqs_settings *settings, const char *path)
{
    size_t len;
    char *text = read_all(path, &len);
    if (text == NULL) {
        int status = errno == ENOENT ? SHMQS_EXIT_MISSING
            : errno == EACCES        ? SHMQS_EXIT_PERMISSION
                                     : SHMQS_EXIT_FAILED;
        return shmqs_settings_fail(
            settings, status, path, "cannot be read: %s", strerror(errno));
    }
    struct reading reading = {settings, &settings->own, path, text, 0, 0};
    if (strlen(text) != len)
        fail(&reading, "holds a NUL byte: this is no text file");
    int line = reading.status != 0
        ? 0
        : ini_parse_stream(next_line, &reading, take_key, &reading);
    if (line != 0 && reading.status == 0) {
        reading.line = (uint32_t)line;
        fail(&reading, "is neither `key = value` nor `[KIND NAME]`");
    }
    free(text);
    return reading.status;
}
