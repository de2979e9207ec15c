/* made_left.c - what a killed maker or remover of a topic left, to begin with
 * in mode R. */
#include "made.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define STATES_MAX 16u
#define FILE_MAX (1u << 18)

static struct left left[STATES_MAX];
static uint32_t cnt;
static const char kinds[2] = {'c', 'd'};

void left_forget(void)
{
    cnt = 0;
}

uint32_t left_cnt(void)
{
    return cnt;
}

const struct left *left_at(uint32_t i)
{
    return &left[i];
}

struct left *left_keep(const struct world *w)
{
    char path[MADE_PATH];
    if (cnt == STATES_MAX || recovering())
        return NULL;
    struct left *l = &left[cnt++];
    for (uint32_t i = 0; i < 2; i++) {
        made_path(path, w->ns, kinds[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        l->there[i] = fd >= 0;
        if (fd < 0)
            continue;
        if (!l->file[i])
            l->file[i] = malloc(FILE_MAX);
        ssize_t n = l->file[i] ? read(fd, l->file[i], FILE_MAX) : -1;
        if (n < 0 || n == FILE_MAX)
            broken("a file cannot be kept");
        l->bytes[i] = n < 0 ? 0 : (size_t)n;
        (void)close(fd);
    }
    return l;
}

void left_put_back(const struct world *w, const struct left *l)
{
    char path[MADE_PATH];
    for (uint32_t i = 0; i < 2; i++) {
        if (!l->there[i])
            continue;
        made_path(path, w->ns, kinds[i]);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 ||
            write(fd, l->file[i], l->bytes[i]) != (ssize_t)l->bytes[i])
            broken("a crash state cannot be put back");
        if (fd >= 0)
            (void)close(fd);
    }
}
