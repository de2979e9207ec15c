/* meta.c - what the store knows of its topics besides their logs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmq/base.h>
#include <shmq/errors.h>

#include "../../shmq/crc32c.h"
#include "log_impl.h"

/* meta: one line with topic, length and CRC, then the text. */
#define REMOVE_ROUNDS 16
#define META_ROOM (SHMQD_META_MAX + 512u)

static bool parse_uuid(const char *text, uint8_t uuid[16])
{
    if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        char two[3] = {text[2 * i], text[2 * i + 1], 0};
        uuid[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return true;
}

int shmqd_meta_write(struct shmqd_store *s, const uint8_t uuid[16],
    const char *topic, const char *text, size_t len)
{
    char name[33], *all = malloc(META_ROOM);
    if (!all)
        return shmqd_fail(s, SHMQ_ERR_NOMEM, "meta: no memory");
    if (len > SHMQD_META_MAX || strlen(topic) > SHMQ_TOPIC_MAX + 8) {
        free(all);
        return shmqd_fail(s, SHMQ_ERR_INVAL, "meta: too long");
    }
    shmqd_uuid_text(uuid, name);
    uint32_t crc =
        shmqi_crc32c(shmqi_crc32c(0, topic, strlen(topic)), text, len);
    int head = snprintf(
        all, META_ROOM, "shmq-meta 1 %s %s %zx %08x\n", name, topic, len, crc);
    memcpy(all + head, text, len);
    int dir = shmqd_open_dir(s, s->topics, name, true);
    int err = dir < 0
        ? dir
        : shmqd_write_small(s, dir, "meta", all, (size_t)head + len);
    if (dir >= 0)
        s->ops->close(s->io, dir);
    free(all);
    return err ? shmqd_fail_io(s, err, "meta of topic %s: cannot write", topic)
               : SHMQ_OK;
}

struct meta_list {
    struct shmqd_store *store;
    char (*names)[33];
    size_t cnt, room;
    bool failed;
};

static void note_dir(void *ctx, const char *name)
{
    struct meta_list *l = ctx;
    uint8_t uuid[16];
    if (l->failed || !parse_uuid(name, uuid))
        return;
    if (l->cnt == l->room) {
        size_t room = l->room ? 2 * l->room : 32;
        void *more = realloc(l->names, room * sizeof *l->names);
        if (!more) {
            l->failed = true;
            return;
        }
        l->names = more;
        l->room = room;
    }
    memcpy(l->names[l->cnt++], name, 33);
}

/* Splits and checks the content of a meta file. */
static bool parse_meta(char *all, size_t len, const char *dir_name,
    char topic[SHMQ_TOPIC_MAX + 9], const char **ret_text, size_t *ret_len)
{
    char name[33];
    unsigned long text_len;
    unsigned crc;
    all[len] = '\0';
    char *line_end = memchr(all, '\n', len);
    if (!line_end)
        return false;
    *line_end = '\0';
    if (sscanf(all, "shmq-meta 1 %32s %136s %lx %x", name, topic, &text_len,
            &crc) != 4 ||
        strcmp(name, dir_name))
        return false;
    const char *text = line_end + 1;
    if (text_len != len - (size_t)(text - all) ||
        crc !=
            shmqi_crc32c(shmqi_crc32c(0, topic, strlen(topic)), text, text_len))
        return false;
    *ret_text = text;
    *ret_len = text_len;
    return true;
}

static void note_segment(void *ctx, const char *name)
{
    uint64_t number;
    bool *some = ctx;
    *some |= shmqi_log_segment_number(name, ".seg", &number);
}

static bool holds_segments(struct shmqd_store *s, const char *dir_name)
{
    bool some = false;
    int dir = s->ops->open(s->io, s->topics, dir_name, SHMQD_OPEN_DIR);
    if (dir < 0)
        return false;
    (void)s->ops->list(s->io, dir, note_segment, &some);
    s->ops->close(s->io, dir);
    return some;
}

int shmqd_meta_list(struct shmqd_store *s,
    void (*each)(void *ctx, const uint8_t uuid[16], const char *topic,
        const char *text, size_t len),
    void (*damaged)(void *ctx, const char *dir_name, bool without), void *ctx)
{
    struct meta_list l = {s, NULL, 0, 0, false};
    char *all = malloc(META_ROOM + 1), topic[SHMQ_TOPIC_MAX + 9];
    int err = all ? s->ops->list(s->io, s->topics, note_dir, &l) : -ENOMEM;
    if (l.failed)
        err = -ENOMEM;
    for (size_t i = 0; err == 0 && i < l.cnt; i++) {
        uint8_t uuid[16];
        const char *text;
        size_t len;
        int dir = s->ops->open(s->io, s->topics, l.names[i], SHMQD_OPEN_DIR);
        if (dir < 0)
            continue;
        int64_t n = shmqd_read_small(s, dir, "meta", all, META_ROOM);
        s->ops->close(s->io, dir);
        if (n == -ENOENT) {
            /* Killed between the directory and its meta; or when it was being
             * removed, or worse. */
            if (damaged && holds_segments(s, l.names[i]))
                damaged(ctx, l.names[i], true);
            continue;
        }
        if (n >= 0 && parse_uuid(l.names[i], uuid) &&
            parse_meta(all, (size_t)n, l.names[i], topic, &text, &len))
            each(ctx, uuid, topic, text, len);
        else if (damaged)
            damaged(ctx, l.names[i], false);
    }
    free(l.names);
    free(all);
    return err ? shmqd_fail_io(s, err, "store: cannot list its topics")
               : SHMQ_OK;
}

struct removal {
    struct shmqd_store *store;
    int dir;
    int err;
};

static void remove_entry(void *ctx, const char *name)
{
    struct removal *r = ctx;
    int err = r->store->ops->unlink(r->store->io, r->dir, name);
    if (err && err != -ENOENT)
        r->err = err;
}

int shmqd_meta_remove(struct shmqd_store *s, const uint8_t uuid[16])
{
    char name[33];
    shmqd_uuid_text(uuid, name);
    struct removal r = {
        s, s->ops->open(s->io, s->topics, name, SHMQD_OPEN_DIR), 0};
    if (r.dir < 0)
        return shmqd_fail_io(s, r.dir, "topic %s", name);
    /* Without its meta it is no topic any more; that comes first, and stays. */
    int err = s->ops->unlink(s->io, r.dir, "meta");
    if (err == 0 || err == -ENOENT)
        err = s->ops->sync(s->io, r.dir);
    /* A directory that is listed while it shrinks may leave names out. */
    for (int i = 0; err == 0 && i < REMOVE_ROUNDS; i++) {
        err = s->ops->list(s->io, r.dir, remove_entry, &r);
        if (err == 0)
            err = r.err;
        if (err == 0)
            err = s->ops->rmdir(s->io, s->topics, name);
        if (err != -ENOTEMPTY)
            break;
        err = 0;
    }
    s->ops->close(s->io, r.dir);
    if (err == 0)
        err = s->ops->sync(s->io, s->topics);
    return err
        ? shmqd_fail_io(s, err, "topic %s: cannot delete its files", name)
        : SHMQ_OK;
}

bool shmqd_meta_is_gone(struct shmqd_store *s, const uint8_t uuid[16])
{
    char name[33];
    shmqd_uuid_text(uuid, name);
    int dir = s->ops->open(s->io, s->topics, name, SHMQD_OPEN_DIR);
    if (dir >= 0)
        s->ops->close(s->io, dir);
    return dir == -ENOENT;
}

int shmqd_meta_path(const struct shmqd_store *s, const uint8_t uuid[16],
    char *path, size_t room)
{
    char name[33];
    static const uint8_t groups[16];
    shmqd_uuid_text(uuid, name);
    int n = memcmp(uuid, groups, 16) == 0
        ? snprintf(path, room, "%s/groups", s->path)
        : snprintf(path, room, "%s/topics/%s", s->path, name);
    return n >= 0 && (size_t)n < room ? SHMQ_OK : SHMQ_ERR_INVAL;
}
