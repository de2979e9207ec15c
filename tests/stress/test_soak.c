/* test_soak.c - many messages through each ring while processes are killed,
 * stopped, forked, execed and live in other pid namespaces; every operation is
 * checked by the history checker while it runs. Nothing may be lost, torn,
 * invented, out of order or doubled without the flag and a cause.
 *     stress_soak [--ring mpmc|spsc|queue] [--seconds N] [--messages N]
 *                 [--state FILE] [--pace-us N] [--sabotage NAME]
 * Without options: 20 seconds of each ring. --messages with --state FILE: goes
 * on where the last call stopped until so many messages went through each
 * ring, at most --seconds a call; exit status 75 while there are some left:
 *     until stress_soak --messages 1000000000 --seconds 90 --state soak.state
 *     do [ $? = 75 ] || break; done */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress/soak/soak.h"
#include "support/support.h"

const struct soak_scene soak_scenes[] = {
    {.name = "mpmc",
        .ring = SHMQ_RING_MPMC,
        .capacity_frames = 1024,
        .arena_bytes = 1u << 20,
        .producers = 4,
        .group_cnt = 2,
        .groups = {{.name = "exclusive",
                       .kind = SHMQ_GROUP_EXCLUSIVE,
                       .readers = 1,
                       .prefetch_frames = 64},
            {.name = "shared",
                .kind = SHMQ_GROUP_SHARED,
                .readers = 3,
                .prefetch_frames = 16}}},
    {.name = "spsc",
        .ring = SHMQ_RING_SPSC,
        .arena_bytes = 1u << 20,
        .producers = 4, /* one has the role, the others want it */
        .group_cnt = 3,
        .groups = {{.name = "views",
                       .kind = SHMQ_GROUP_EXCLUSIVE,
                       .readers = 1,
                       .prefetch_frames = 512},
            {.name = "copies",
                .kind = SHMQ_GROUP_EXCLUSIVE,
                .readers = 1,
                .prefetch_frames = 512,
                .copy = true},
            {.name = "wanted",
                .kind = SHMQ_GROUP_EXCLUSIVE,
                .readers = 2, /* one has the role, the other wants it */
                .prefetch_frames = 512}}},
    {.name = "queue",
        .ring = SHMQ_RING_MPMC,
        .capacity_frames = 256,
        .producers = 3,
        .single = true,
        .group_cnt = 3,
        .groups = {{.name = "fifo",
                       .kind = SHMQ_GROUP_SHARED,
                       .readers = 3,
                       .prefetch_frames = 1,
                       .fifo = true},
            {.name = "leased",
                .kind = SHMQ_GROUP_SHARED,
                .readers = 2,
                .prefetch_frames = 4,
                .lease_ns = 20 * T_MS},
            {.name = "copies",
                .kind = SHMQ_GROUP_EXCLUSIVE,
                .readers = 1,
                .prefetch_frames = 64,
                .copy = true}}}};
const uint32_t soak_scene_cnt = sizeof(soak_scenes) / sizeof(soak_scenes[0]);

struct totals {
    uint64_t messages, delivered, again, stale, unknown, ops;
    uint64_t kills, stops, execs, forks, namespaces, slices, ms, peak_bytes;
    uint64_t lost, torn, doubled, faults;
};

struct options {
    const char *ring, *state;
    uint64_t seconds, messages, pace_us;
    uint32_t sabotage;
};

static const char *const sabotages[SOAK_SABOTAGE_CNT] = {
    "none", "drop", "double", "tear", "swap", "phantom", "stale"};

static void open_area(
    struct soak_run *run, uint32_t scene, uint64_t seed, uint32_t sabotage)
{
    run->fd = memfd_create("soak", 0); /* stays open across exec */
    T_TRUE(run->fd >= 0 && ftruncate(run->fd, sizeof(*run->area)) == 0);
    run->area = mmap(NULL, sizeof(*run->area), PROT_READ | PROT_WRITE,
        MAP_SHARED, run->fd, 0);
    T_TRUE(run->area != MAP_FAILED);
    run->area->seed = seed;
    run->area->scene = scene;
    run->area->sabotage = sabotage;
    (void)snprintf(run->area->ns, sizeof(run->area->ns), "%s", t_ns);
}

static void open_topic(const struct soak_scene *scene)
{
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs),
        .ring = scene->ring,
        .capacity_frames = scene->capacity_frames,
        .arena_bytes = scene->arena_bytes,
        .max_producers =
            scene->ring == SHMQ_RING_SPSC ? 1 : scene->producers + 4};
    T_OK(shmq_topic_create(t_ns, "soak", &attrs));
    struct shmq_topic *topic = t_open("soak");
    for (uint32_t g = 0; g < scene->group_cnt; g++) {
        const struct soak_group *group = &scene->groups[g];
        struct shmq_group_attrs its = {.struct_bytes = sizeof(its),
            .kind = group->kind,
            .lease_ns = group->lease_ns};
        if (group->name == NULL)
            continue;
        if (group->kind == SHMQ_GROUP_SHARED)
            its.max_attempts = 100;
        T_OK(shmq_group_create(topic, group->name, &its, NULL));
    }
    shmq_topic_close(topic);
}

static void start_checker(struct soak_run *run)
{
    struct hist_config config = {.group_cnt = run->scene->group_cnt,
        .dense = run->scene->ring == SHMQ_RING_MPMC,
        .settle_ns = 2000,
        .keep_runs = 1u << 15,
        .limit_runs = 1u << 18};
    for (uint32_t g = 0; g < config.group_cnt; g++) {
        const struct soak_group *group = &run->scene->groups[g];
        config.groups[g] =
            (struct hist_group){.shared = group->kind == SHMQ_GROUP_SHARED,
                .fifo = group->fifo,
                .lease_ns = group->lease_ns};
    }
    fflush(NULL);
    run->checker = fork();
    if (run->checker == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        hist_stream_run(&run->area->stream, &config);
        _exit(0);
    }
}

static void progress(const struct soak_run *run, uint64_t began_ns)
{
    const struct hist_stream *s = &run->area->stream;
    double seconds = (double)(t_now_ns() - began_ns) / 1e9;
    uint64_t published = atomic_load(&s->published);
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr,
        "\r%s: %.0f s, %.2f M messages, %.2f M/s, %" PRIu64 " kills, %" PRIu64
        " stops ",
        run->scene->name, seconds, (double)published / 1e6,
        (double)published / 1e6 / seconds, run->kills, run->stops);
}

/* Runs until the time is over or `messages` have gone through. */
static int harass(
    struct soak_run *run, const struct options *options, uint64_t messages)
{
    uint64_t began_ns = t_now_ns();
    uint64_t told_ns = began_ns;
    int rc = 0;
    while (rc == 0 && t_now_ns() - began_ns < options->seconds * 1000 * T_MS &&
        (messages == 0 ||
            atomic_load(&run->area->stream.published) < messages)) {
        t_sleep_ns(t_below(&run->random, 2 * options->pace_us * 1000));
        rc = soak_crew_act(run);
        if (t_now_ns() - told_ns > 1000 * T_MS) {
            told_ns = t_now_ns();
            progress(run, began_ns);
        }
    }
    return rc;
}

static void add(struct totals *t, const struct soak_run *run, uint64_t ms)
{
    const struct hist_verdict *v = &run->area->stream.verdict;
    t->messages += v->published;
    t->delivered += v->delivered;
    t->again += v->again;
    t->stale += v->stale;
    t->unknown += v->unknown;
    t->ops += v->ops;
    t->kills += run->kills;
    t->stops += run->stops;
    t->execs += atomic_load(&run->area->execs);
    t->forks += atomic_load(&run->area->forks);
    t->namespaces += run->namespaces;
    t->slices++;
    t->ms += ms;
    t->lost += v->faults[HIST_F_LOST] + v->faults[HIST_F_SKIPPED];
    t->torn += v->faults[HIST_F_TORN];
    t->doubled += v->faults[HIST_F_DOUBLED];
    t->faults += v->fault_cnt;
    if (v->bytes_peak > t->peak_bytes)
        t->peak_bytes = v->bytes_peak;
}

static void print(const char *ring, const struct totals *t, bool pass)
{
    printf("SOAK ring=%s messages=%" PRIu64 " delivered=%" PRIu64
           " redelivered=%" PRIu64 " stale=%" PRIu64 " unknown=%" PRIu64
           " kills=%" PRIu64 " stops=%" PRIu64 " execs=%" PRIu64
           " forks=%" PRIu64 " pid_namespaces=%" PRIu64 " seconds=%.1f"
           " rate=%.2fM/s lost=%" PRIu64 " torn=%" PRIu64 " doubled=%" PRIu64
           " faults=%" PRIu64 " checked=%" PRIu64 " checker_mb=%.0f %s\n",
        ring, t->messages, t->delivered, t->again, t->stale, t->unknown,
        t->kills, t->stops, t->execs, t->forks, t->namespaces,
        (double)t->ms / 1e3, (double)t->messages / 1e3 / (double)t->ms, t->lost,
        t->torn, t->doubled, t->faults, t->ops, (double)t->peak_bytes / 1e6,
        pass ? "PASS" : "FAIL");
    fflush(stdout);
}

static int play(uint32_t scene, const struct options *options, uint64_t seed,
    uint64_t messages, struct totals *total)
{
    static struct soak_run run;
    struct totals slice = {.ms = 0};
    memset(&run, 0, sizeof(run));
    run.scene = &soak_scenes[scene];
    run.random = seed;
    t_begin();
    alarm(0); /* the crew has deadlines of its own */
    open_area(&run, scene, seed, options->sabotage);
    open_topic(run.scene);
    start_checker(&run);
    uint64_t began_ns = t_now_ns();
    soak_crew_start(&run);
    int rc = harass(&run, options, messages);
    if (rc == 0)
        rc = soak_crew_finish(&run);
    soak_crew_kill(&run);
    atomic_store(&run.area->stream.close, 1);
    (void)waitpid(run.checker, NULL, 0);
    const struct hist_verdict *v = &run.area->stream.verdict;
    bool pass = rc == 0 && atomic_load(&run.area->stream.closed) != 0 &&
        v->fault_cnt == 0 && v->published > 0 &&
        atomic_load(&run.area->complaints) == 0;
    add(&slice, &run, (t_now_ns() - began_ns) / T_MS);
    printf("seed %" PRIu64 ": ", seed);
    print(run.scene->name, &slice, pass);
    if (v->fault_cnt != 0)
        printf("  seed %" PRIu64 ": %" PRIu64 " faults, the first: %s\n", seed,
            v->fault_cnt, v->first);
    if (atomic_load(&run.area->complaints) != 0)
        printf("  seed %" PRIu64 ": %u complaints, the first: %s\n", seed,
            atomic_load(&run.area->complaints), run.area->complaint);
    fflush(stdout);
    if (total != NULL)
        add(total, &run, slice.ms);
    munmap(run.area, sizeof(*run.area));
    close(run.fd);
    t_end();
    return pass ? 0 : 1;
}

#define TOTALS_WORDS (sizeof(struct totals) / sizeof(uint64_t))

/* The state file: one line a ring, its name and the numbers of its totals. */
static void load(const char *path, struct totals *all)
{
    char name[32];
    FILE *file = path == NULL ? NULL : fopen(path, "r");
    while (file != NULL && fscanf(file, "%31s", name) == 1) {
        uint64_t numbers[TOTALS_WORDS] = {0};
        for (size_t i = 0; i < TOTALS_WORDS; i++)
            if (fscanf(file, "%" SCNu64, &numbers[i]) != 1)
                T_FAIL("the state file is damaged");
        for (uint32_t s = 0; s < soak_scene_cnt; s++)
            if (strcmp(name, soak_scenes[s].name) == 0)
                memcpy(&all[s], numbers, sizeof(numbers));
    }
    if (file != NULL)
        (void)fclose(file);
}

static void save(const char *path, const struct totals *all)
{
    char temporary[4096];
    if (path == NULL)
        return;
    (void)snprintf(temporary, sizeof(temporary), "%s.new", path);
    FILE *file = fopen(temporary, "w");
    T_TRUE(file != NULL);
    for (uint32_t s = 0; s < soak_scene_cnt; s++) {
        uint64_t numbers[TOTALS_WORDS];
        memcpy(numbers, &all[s], sizeof(numbers));
        fprintf(file, "%s", soak_scenes[s].name);
        for (size_t i = 0; i < TOTALS_WORDS; i++)
            fprintf(file, " %" PRIu64, numbers[i]);
        fprintf(file, "\n");
    }
    T_TRUE(fclose(file) == 0 && rename(temporary, path) == 0);
}

static bool is_wanted(const struct options *options, uint32_t scene)
{
    return options->ring == NULL
        ? !soak_scenes[scene].single
        : strcmp(options->ring, soak_scenes[scene].name) == 0;
}

/* One slice of the ring with the fewest messages, when some are left. */
static int slice(const struct options *options, uint64_t seed)
{
    struct totals all[sizeof(soak_scenes) / sizeof(soak_scenes[0])] = {{0}};
    uint32_t next = soak_scene_cnt;
    load(options->state, all);
    for (uint32_t s = 0; s < soak_scene_cnt; s++) {
        if (is_wanted(options, s) && all[s].messages < options->messages &&
            (next == soak_scene_cnt || all[s].messages < all[next].messages))
            next = s;
    }
    int rc = 0;
    if (next < soak_scene_cnt) {
        rc = play(next, options, seed + 1000 * all[next].slices,
            options->messages - all[next].messages, &all[next]);
        save(options->state, all);
    }
    bool done = true;
    bool good = rc == 0;
    for (uint32_t s = 0; s < soak_scene_cnt; s++) {
        if (is_wanted(options, s))
            done = done && all[s].messages >= options->messages;
        if (all[s].slices == 0)
            continue;
        print(soak_scenes[s].name, &all[s], all[s].faults == 0);
        good = good && all[s].faults == 0;
    }
    printf("RUNG 6: %.3f and %.3f of %.3f billion messages through mpmc and "
           "spsc, %" PRIu64 " kills, %" PRIu64 " stops %s\n",
        (double)all[0].messages / 1e9, (double)all[1].messages / 1e9,
        (double)options->messages / 1e9, all[0].kills + all[1].kills,
        all[0].stops + all[1].stops,
        !good      ? "FAIL"
            : done ? "PASS"
                   : "so far");
    return !good ? 1 : done ? 0 : 75;
}

static int parse(struct options *options, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seconds") == 0)
            options->seconds = value;
        else if (strcmp(argv[i], "--messages") == 0)
            options->messages = value;
        else if (strcmp(argv[i], "--pace-us") == 0)
            options->pace_us = value;
        else if (strcmp(argv[i], "--ring") == 0)
            options->ring = argv[i + 1];
        else if (strcmp(argv[i], "--state") == 0)
            options->state = argv[i + 1];
        else if (strcmp(argv[i], "--sabotage") == 0) {
            for (uint32_t s = 0; s < SOAK_SABOTAGE_CNT; s++)
                if (strcmp(argv[i + 1], sabotages[s]) == 0)
                    options->sabotage = s;
        } else
            return -1;
    }
    return argc % 2 == 1 && options->pace_us > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct options options = {.seconds = 20, .pace_us = 10000};
    struct totals all = {.ms = 0};
    int rc = 0;
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return soak_worker_main(argc, argv);
    if (parse(&options, argc, argv) != 0) {
        fprintf(stderr,
            "usage: %s [--ring mpmc|spsc|queue] [--seconds N] [--messages N] "
            "[--state FILE] [--pace-us N] [--sabotage NAME]\n",
            argv[0]);
        return 2;
    }
    uint64_t seed = t_seed_say("soak");
    uint64_t end_ns = t_now_ns() + options.seconds * 1000 * T_MS;
    while (options.messages != 0) {
        uint64_t began_ns = t_now_ns();
        rc = slice(&options, seed);
        if (rc != 75 || began_ns >= end_ns || t_now_ns() >= end_ns)
            return rc;
        options.seconds = (end_ns - t_now_ns()) / 1000 / T_MS + 1;
    }
    for (uint32_t s = 0; s < soak_scene_cnt; s++)
        if (options.ring == NULL ||
            strcmp(options.ring, soak_scenes[s].name) == 0)
            rc |= play(s, &options, seed, 0, &all);
    printf("RUNG 6: %.1f million messages, %" PRIu64 " kills, %" PRIu64
           " stops, %" PRIu64 " execs, %" PRIu64 " forks, %" PRIu64
           " pid namespaces; lost %" PRIu64 ", torn %" PRIu64
           ", doubled %" PRIu64 " %s\n",
        (double)all.messages / 1e6, all.kills, all.stops, all.execs, all.forks,
        all.namespaces, all.lost, all.torn, all.doubled,
        rc == 0 ? "PASS" : "FAIL");
    return rc;
}
