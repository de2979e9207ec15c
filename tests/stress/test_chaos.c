/* test_chaos.c - random SIGKILL and SIGSTOP/SIGCONT of producers and readers
 * under load; nothing may be lost, torn, invented, doubled without the flag or
 * out of order. One line per scene.
 *     stress_chaos [--actions N] [--pace-us N] [--scene NAME] [--rounds N]
 * Without options: some seconds. The full run: --actions 1000. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stress/chaos/chaos.h"
#include "support/support.h"

static const struct chaos_scene scenes[] = {
    {.name = "mpmc",
        .ring = SHMQ_RING_MPMC,
        .capacity_frames = 256,
        .producers = 4,
        .group_cnt = 4,
        .groups = {{.name = "views",
                       .kind = SHMQ_GROUP_EXCLUSIVE,
                       .readers = 1,
                       .nacks = true},
            {.name = "copies",
                .kind = SHMQ_GROUP_EXCLUSIVE,
                .readers = 1,
                .copy = true},
            {.name = "shared",
                .kind = SHMQ_GROUP_SHARED,
                .readers = 3,
                .nacks = true},
            {.name = "leased",
                .kind = SHMQ_GROUP_SHARED,
                .readers = 3,
                .lease_ns = 20 * T_MS}}},
    {.name = "spsc",
        .ring = SHMQ_RING_SPSC,
        .arena_bytes = 1u << 18,
        .producers = 1,
        .group_cnt = 2,
        .groups = {{.name = "views",
                       .kind = SHMQ_GROUP_EXCLUSIVE,
                       .readers = 1,
                       .nacks = true},
            {.name = "copies",
                .kind = SHMQ_GROUP_EXCLUSIVE,
                .readers = 1,
                .copy = true}}},
    {.name = "drop-old",
        .ring = SHMQ_RING_MPMC,
        .on_full = SHMQ_ON_FULL_DROP_OLD,
        .capacity_frames = 1024,
        .producers = 3,
        .rest_ns = T_MS / 4,
        .group_cnt = 3,
        .groups = {
            {.kind = SHMQ_GROUP_EXCLUSIVE, .readers = 1, .immortal = true},
            {.name = "exclusive", .kind = SHMQ_GROUP_EXCLUSIVE, .readers = 1},
            {.name = "shared", .kind = SHMQ_GROUP_SHARED, .readers = 2}}}};

struct options {
    uint32_t actions;
    uint32_t pace_us;
    uint32_t rounds;
    const char *scene;
};

/* Before anything is published: what no group waits for may be lost. */
static void make_groups(const struct chaos_scene *scene)
{
    struct shmq_topic *topic = t_open("chaos");
    for (uint32_t i = 0; i < scene->group_cnt; i++) {
        const struct chaos_group *group = &scene->groups[i];
        struct shmq_group_attrs attrs = {.struct_bytes = sizeof(attrs),
            .kind = group->kind,
            .lease_ns = group->lease_ns};
        if (group->kind == SHMQ_GROUP_SHARED)
            attrs.max_attempts = 100;
        if (group->name != NULL)
            T_OK(shmq_group_create(topic, group->name, &attrs, NULL));
    }
    shmq_topic_close(topic);
}

static int play(const struct chaos_scene *scene, const struct options *options,
    uint64_t seed)
{
    static struct chaos_run run;
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs),
        .ring = scene->ring,
        .on_full = scene->on_full,
        .capacity_frames = scene->capacity_frames,
        .arena_bytes = scene->arena_bytes,
        .max_producers =
            scene->ring == SHMQ_RING_SPSC ? 1 : scene->producers + 2};
    memset(&run, 0, sizeof(run));
    run.scene = scene;
    run.seed = run.random = seed;
    run.actions = options->actions;
    run.pace_ns = options->pace_us * UINT64_C(1000);
    t_begin();
    alarm(0); /* the crew has deadlines of its own */
    T_OK(shmq_topic_create(t_ns, "chaos", &attrs));
    make_groups(scene);
    chaos_books_open(&run);
    chaos_crew_start(&run);
    int rc = chaos_crew_harass(&run);
    if (rc == 0)
        rc = chaos_crew_finish(&run);
    chaos_crew_kill(&run);
    rc |= chaos_judge(&run);
    fflush(stdout);
    chaos_books_close(&run);
    t_end();
    return rc;
}

static int parse(struct options *options, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--actions") == 0)
            options->actions = value;
        else if (strcmp(argv[i], "--pace-us") == 0)
            options->pace_us = value;
        else if (strcmp(argv[i], "--rounds") == 0)
            options->rounds = value;
        else if (strcmp(argv[i], "--scene") == 0)
            options->scene = argv[i + 1];
        else
            return -1;
    }
    return argc % 2 == 1 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct options options = {.actions = 300, .pace_us = 4000, .rounds = 1};
    int rc = 0;
    if (parse(&options, argc, argv) != 0) {
        fprintf(stderr,
            "usage: %s [--actions N] [--pace-us N] [--scene NAME] "
            "[--rounds N]\n",
            argv[0]);
        return 2;
    }
    uint64_t seed = t_seed_say("chaos");
    for (uint32_t round = 0; round < options.rounds; round++)
        for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
            if (options.scene == NULL ||
                strcmp(options.scene, scenes[i].name) == 0)
                rc |= play(&scenes[i], &options, seed + round);
    return rc;
}
