/* demo_board.c - memory shared with the children, and the lines' numbers. */
#include "demo.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

static void *shared_memory(uint64_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

int demo_board_open(struct demo_run *run)
{
    run->board = shared_memory(sizeof(*run->board));
    if (run->board == NULL)
        return -1;
    for (uint32_t group = 0; group < DEMO_GROUP_CNT; group++) {
        run->marks[group] = shared_memory(run->mark_cnt);
        if (run->marks[group] == NULL)
            return -1;
    }
    return 0;
}

void demo_board_close(struct demo_run *run)
{
    for (uint32_t group = 0; group < DEMO_GROUP_CNT; group++)
        if (run->marks[group] != NULL)
            munmap((void *)(uintptr_t)run->marks[group], run->mark_cnt);
    if (run->board != NULL)
        munmap(run->board, sizeof(*run->board));
}

static uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ (state >> 29);
}

uint64_t demo_checksum(
    const struct demo_stamp *stamp, const void *data, uint64_t size)
{
    uint64_t state = mix(size, stamp->line);
    const char *at = data;
    uint64_t word = 0;
    state = mix(state, stamp->sent_ns);
    state = mix(state, (uint64_t)stamp->stream << 32 | stamp->phase);
    for (; size >= 8; size -= 8, at += 8) {
        memcpy(&word, at, 8);
        state = mix(state, word);
    }
    word = 0;
    if (size > 0)
        memcpy(&word, at, size);
    return mix(state, word);
}

const struct demo_line *demo_stream_line(
    const struct demo_run *run, uint32_t stream, uint64_t line)
{
    const struct demo_stream *s = &run->streams[stream];
    return &run->input.lines[s->first + line % s->share];
}

uint64_t demo_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void demo_sleep_ns(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
        .tv_nsec = (long)(ns % UINT64_C(1000000000))};
    nanosleep(&time, NULL);
}
