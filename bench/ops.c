/* ops.c - floors that move no message: memcpy, and write + fdatasync. */
#define _GNU_SOURCE
#include "clock.h"
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_NS 50000000u

static const uint32_t copy_sizes[] = {64, 1024, 65536, 1u << 20, 16u << 20};

/* One figure with room for the repetitions; two of them: time and rate. */
static void head(struct lab_figure *f, const char *transport, uint32_t size,
    const char *metric, const char *unit, int better)
{
    f->mode = "ops";
    f->transport = transport;
    f->kind = "floor";
    f->metric = metric;
    f->unit = unit;
    f->better = better;
    f->size = size;
    f->senders = f->receivers = 1;
}

/* ns of one copy, source and destination as warm as repeating makes them. */
static double copy_ns(
    unsigned char *to, unsigned char *from, uint32_t size, uint64_t *ret_cnt)
{
    uint64_t end = lab_ns_ticks(SLICE_NS), begin = lab_ticks(), now, n = 0;
    uint32_t chunk = size < 65536 ? 1000 : 1;

    do {
        for (uint32_t i = 0; i < chunk; i++) {
            memcpy(to, from, size);
            __asm__ __volatile__("" ::"r"(to) : "memory");
        }
        n += chunk;
        now = lab_ticks();
    } while (now - begin < end);
    *ret_cnt = n;
    return lab_ticks_ns(now - begin) / (double)n;
}

static void measure_copies(uint32_t repeats, struct lab_figures *ret)
{
    size_t max = copy_sizes[sizeof(copy_sizes) / sizeof(*copy_sizes) - 1];
    unsigned char *from = malloc(max), *to = malloc(max);

    if (from && to) {
        memset(from, 1, max);
        memset(to, 2, max);
    }
    for (size_t k = 0;
         from && to && k < sizeof(copy_sizes) / sizeof(*copy_sizes); k++) {
        struct lab_figure *f = lab_figures_add(ret);

        head(f, "memcpy", copy_sizes[k], "time", "ns", -1);
        for (uint32_t rep = 0; rep < repeats && !lab_interrupted; rep++) {
            uint64_t n;

            f->values[f->cnt++] = copy_ns(to, from, copy_sizes[k], &n);
            f->samples += n;
        }
    }
    free(from);
    free(to);
}

static int sync_once(int fd, struct lab_hist *hist, uint32_t size)
{
    static const unsigned char block[4096] = {1};
    uint64_t t0 = lab_ticks();

    if (write(fd, block, size) != (ssize_t)size || fdatasync(fd))
        return -1;
    lab_hist_record(hist, lab_ticks() - t0);
    return 0;
}

static int sync_rep(int fd, struct lab_figure *f, struct lab_hist *hist)
{
    uint64_t end = lab_now_ns() + 2 * SLICE_NS;

    lab_hist_reset(hist);
    while (lab_now_ns() < end || hist->cnt < 10) {
        if (sync_once(fd, hist, f->size))
            return -1;
    }
    f->samples += hist->cnt;
    f->values[f->cnt++] =
        lab_latency_ns(lab_hist_quantile(hist, 0.5), LAB_RATE);
    return 0;
}

static void measure_sync(
    const char *dir, uint32_t repeats, struct lab_figures *ret)
{
    static struct lab_hist hist;
    struct lab_figure *f = lab_figures_add(ret);
    int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    head(f, "fdatasync", 4096, "p50", "ns", -1);
    for (uint32_t rep = 0; fd >= 0 && rep < repeats && !lab_interrupted;
         rep++) {
        if (sync_rep(fd, f, &hist))
            break;
    }
    if (f->cnt == 0)
        snprintf(
            f->mark, sizeof(f->mark), "%.60s: %.50s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
}

void lab_run_ops(const struct lab_options *options, uint32_t repeats,
    struct lab_figures *ret)
{
    lab_pin(0);
    if (lab_listed(options->transports, "memcpy"))
        measure_copies(repeats, ret);
    if (lab_listed(options->transports, "fdatasync"))
        measure_sync(options->dir ? options->dir : ".", repeats, ret);
    lab_unpin();
}
