/* log_support.c - frames for tests of the log. */
#include "log_support.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_format.h"

size_t log_frame_bytes(uint32_t cnt, uint32_t size)
{
    return SHMQI_LOG_FRAME_HEAD + (size_t)cnt * (8 + ((size + 7u) & ~7u));
}

static uint8_t byte_of(uint64_t slot, uint32_t idx, uint32_t tag, uint32_t i)
{
    return (uint8_t)(slot * 31 + idx * 7 + tag * 13 + i);
}

static size_t make(uint8_t *at, uint64_t pos, uint32_t flags, uint64_t slot,
    uint32_t cnt, uint32_t size, uint32_t tag, int64_t time_ns)
{
    size_t all = log_frame_bytes(cnt, size);
    struct shmqi_frame_shm head = {.producer = 0x1234567890abcdefull + tag,
        .sequence = slot * 4096,
        .time_ns = (uint64_t)time_ns,
        .record_cnt = cnt,
        .len_bytes = (uint32_t)(all - 8),
        .flags = flags};
    memset(at, 0, all);
    shmqi_log_frame_encode(pos, &head, at);
    uint8_t *p = at + SHMQI_LOG_FRAME_HEAD;
    for (uint32_t r = 0; r < cnt; r++) {
        memcpy(p, &size, 4);
        for (uint32_t i = 0; i < size; i++)
            p[8 + i] = byte_of(slot, r, tag, i);
        p += 8 + ((size + 7u) & ~7u);
    }
    return all;
}

size_t log_frame_make(uint8_t *at, uint64_t slot, uint32_t cnt, uint32_t size,
    uint32_t tag, int64_t time_ns)
{
    return make(at, slot << 12, 0, slot, cnt, size, tag, time_ns);
}

size_t log_frame_make_spsc(uint8_t *at, uint64_t pos, uint64_t slot,
    uint32_t cnt, uint32_t size, uint32_t tag, int64_t time_ns)
{
    return make(at, pos, SHMQI_LOG_FRAME_SPSC, slot, cnt, size, tag, time_ns);
}

bool log_frame_is(const uint8_t *bytes, uint32_t len, uint64_t slot,
    uint32_t cnt, uint32_t size, uint32_t tag)
{
    size_t all = log_frame_bytes(cnt, size);
    uint8_t *want = malloc(all);
    assert(want);
    log_frame_make(want, slot, cnt, size, tag, 0);
    /* The time is the test's own business, and so are flags. */
    bool same = len == all - 8 && memcmp(bytes, want + 8, 16) == 0 &&
        memcmp(bytes + 24, want + 32, 8) == 0 &&
        memcmp(bytes + 40, want + 48, len - 40) == 0;
    free(want);
    return same;
}

static char temporary[64][64];
static int temporary_cnt;

static int remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_all(void)
{
    for (int i = 0; i < temporary_cnt; i++)
        (void)nftw(temporary[i], remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *log_temporary_dir(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = temporary[temporary_cnt];
    assert(temporary_cnt < 64);
    if (temporary_cnt++ == 0)
        atexit(remove_all);
    snprintf(dir, sizeof temporary[0], "%.40s/shmq-log-XXXXXX",
        base && strlen(base) < 40 ? base : "/tmp");
    char *made = mkdtemp(dir);
    assert(made);
    return made;
}
