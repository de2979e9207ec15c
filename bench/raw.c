/* raw.c - what --raw writes: samples and histograms as text. */
#include "plan.h"

#include "clock.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int lab_raw_open(const char *dir)
{
    void *mem;

    if (mkdir(dir, 0777) && errno != EEXIST) {
        fprintf(stderr, "shmq-bench: run: %s: %s\n", dir, strerror(errno));
        return -1;
    }
    mem = mmap(NULL, sizeof(struct lab_raw), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED) {
        fprintf(stderr, "shmq-bench: run: --raw: %s\n", strerror(errno));
        return -1;
    }
    lab_setup.raw = mem;
    return 0;
}

static FILE *open_text(
    const char *dir, const struct lab_entry *e, const char *what)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s-%s-%u-%s.tsv", dir, e->mode,
        e->spec.transport->name, e->spec.size, what);
    f = fopen(path, "we");
    if (!f)
        fprintf(stderr, "shmq-bench: run: %s: %s\n", path, strerror(errno));
    return f;
}

static int close_text(const char *dir, FILE *f)
{
    int failed = ferror(f);

    if (fclose(f) == 0 && !failed)
        return 0;
    fprintf(stderr, "shmq-bench: run: %s: cannot be written\n", dir);
    return -1;
}

int lab_raw_write(
    const char *dir, const struct lab_entry *e, uint32_t repetition)
{
    const struct lab_raw *raw = lab_setup.raw;
    uint64_t cnt = raw->cnt < LAB_RAW_MAX ? raw->cnt : LAB_RAW_MAX;
    char what[32];
    FILE *f;

    snprintf(what, sizeof(what), "samples-%u", repetition + 1);
    f = open_text(dir, e, what);
    if (!f)
        return -1;
    fprintf(f, "# %llu samples, %llu kept\n# at_ns\ttook_ns\n",
        (unsigned long long)raw->cnt, (unsigned long long)cnt);
    for (uint64_t i = 0; i < cnt; i++) {
        const struct lab_raw_sample *s = &raw->samples[i];

        fprintf(f, "%.0f\t%.1f\n", lab_ticks_ns(s->at - raw->samples[0].at),
            lab_latency_ns((double)s->took, e->spec.mode));
    }
    return close_text(dir, f);
}

/* Value in ns and how often, by bucket. */
static int write_histogram(const char *dir, const struct lab_entry *e)
{
    FILE *f = open_text(dir, e, "histogram");

    if (!f)
        return -1;
    fprintf(f, "# ns\tcount\n");
    for (uint32_t i = 0; i < LAB_HIST_BUCKETS; i++) {
        if (e->pool->buckets[i])
            fprintf(f, "%.1f\t%u\n",
                lab_latency_ns(lab_hist_bucket(i), e->spec.mode),
                e->pool->buckets[i]);
    }
    return close_text(dir, f);
}

int lab_raw_write_histograms(const char *dir, const struct lab_plan *plan)
{
    for (uint32_t i = 0; i < plan->cnt; i++) {
        if (plan->entries[i].pool && write_histogram(dir, &plan->entries[i]))
            return -1;
    }
    return 0;
}
