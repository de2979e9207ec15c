/* demo_input.c - see demo_input.h. */
#include "demo_input.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOUND_FILE_MAX 2000u
#define FOUND_SIZE_MAX (8u << 20)

/* Logs first: the rest fills up when there are few. */
static const char *const places[] = {"/var/log/*.log", "/var/log/*/*.log",
    "/var/log/syslog", "/var/log/messages", "/var/log/*.log.1",
    "/var/lib/dpkg/status", "/usr/share/common-licenses/*",
    "/usr/share/doc/*/copyright", "/usr/share/perl/*/unicore/*.txt",
    "/etc/services"};

static bool is_utf8(const char *bytes, uint64_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    const unsigned char *end = at + size;
    while (at < end) {
        int more = *at < 0x80           ? 0
            : *at >= 0xc2 && *at < 0xe0 ? 1
            : (*at & 0xf0) == 0xe0      ? 2
            : *at >= 0xf0 && *at < 0xf5 ? 3
                                        : -1;
        if (more < 0 || end - at <= more)
            return false;
        for (at++; more > 0; more--, at++)
            if ((*at & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static int add_line(struct demo_input *input, const char *bytes, uint64_t size)
{
    if (input->line_cnt == input->line_cap) {
        uint64_t cap = input->line_cap == 0 ? 4096 : input->line_cap * 2;
        struct demo_line *lines =
            realloc(input->lines, cap * sizeof(input->lines[0]));
        if (lines == NULL)
            return -1;
        input->lines = lines;
        input->line_cap = cap;
    }
    struct demo_line *line = &input->lines[input->line_cnt++];
    line->bytes = bytes;
    line->size = size;
    if (size > input->longest)
        input->longest = size;
    const char *cr = memchr(bytes, '\r', size);
    input->empty += size == 0;
    input->crlf += size > 0 && bytes[size - 1] == '\r';
    input->stray_cr += cr != NULL && cr != bytes + size - 1;
    input->not_utf8 += !is_utf8(bytes, size);
    return 0;
}

/* Takes `text` over, also when it fails. */
static int add_text(struct demo_input *input, char *text, uint64_t size)
{
    const char *end = text + size;
    char **texts =
        realloc(input->texts, (input->file_cnt + 1) * sizeof(input->texts[0]));
    if (texts == NULL) {
        free(text);
        return -1;
    }
    input->texts = texts;
    texts[input->file_cnt++] = text;
    for (const char *at = text; at < end;) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *stop = lf == NULL ? end : lf;
        if (add_line(input, at, (uint64_t)(stop - at)) != 0)
            return -1;
        input->no_final_lf += lf == NULL;
        at = stop + 1;
    }
    input->bytes += size;
    return 0;
}

/* The file's bytes into memory of its own; *ret_size of them. */
static char *load(const char *path, uint64_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    char *text = NULL;
    uint64_t size = 0, cap = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        goto fail;
    }
    for (;;) {
        if (size == cap) {
            cap = cap == 0 ? (uint64_t)st.st_size + 4096 : cap * 2;
            char *larger = realloc(text, cap);
            if (larger == NULL)
                goto fail;
            text = larger;
        }
        ssize_t got = read(fd, text + size, cap - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            goto fail;
        if (got == 0)
            break;
        size += (uint64_t)got;
    }
    close(fd);
    *ret_size = size;
    return text;
fail:
    close(fd);
    free(text);
    return NULL;
}

int demo_input_add(struct demo_input *input, const char *path)
{
    uint64_t size = 0;
    char *text = load(path, &size);
    return text == NULL ? -1 : add_text(input, text, size);
}

static bool add_found(struct demo_input *input, const char *path)
{
    struct stat st;
    uint64_t size = 0;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
        st.st_size > FOUND_SIZE_MAX ||
        input->bytes + (uint64_t)st.st_size > input->room_bytes)
        return false;
    char *text = load(path, &size);
    if (text == NULL)
        return false;
    if (size == 0 || memchr(text, 0, size) != NULL) {
        free(text);
        return false;
    }
    return add_text(input, text, size) == 0;
}

uint64_t demo_input_find(struct demo_input *input)
{
    uint64_t found = 0;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        glob_t paths;
        if (glob(places[i], 0, NULL, &paths) != 0)
            continue;
        for (size_t j = 0; j < paths.gl_pathc && found < FOUND_FILE_MAX; j++)
            found += add_found(input, paths.gl_pathv[j]);
        globfree(&paths);
    }
    return found;
}

void demo_input_free(struct demo_input *input)
{
    for (uint64_t i = 0; i < input->file_cnt; i++)
        free(input->texts[i]);
    free(input->texts);
    free(input->lines);
}
