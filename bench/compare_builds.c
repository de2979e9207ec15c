/* compare_builds.c - see compare_builds.h. Each turn is a run of its own with
 * one repetition, written to a file that has no name any more. */
#define _GNU_SOURCE
#include "compare_builds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define ROUNDS 16u
#define ROUND_S 4.0 /* about, with the transports and modes below */
#define SLICE_US 60000u
#define ARGS_MAX 32

int lab_build_is(const char *path)
{
    char magic[4] = "";
    FILE *f = fopen(path, "re");
    int elf;

    if (!f)
        return 0;
    elf = fread(magic, 1, 4, f) == 4 && memcmp(magic, "\177ELF", 4) == 0;
    fclose(f);
    return elf && access(path, X_OK) == 0;
}

struct lab_node *lab_run_read(const char *path, char *error)
{
    struct lab_node *run = lab_json_read(path, error);

    if (!run || strcmp(lab_json_get_text(run, "format"), "shmq-bench/1") == 0)
        return run;
    snprintf(error, 192, "%.120s: not a run of shmq-bench", path);
    lab_json_free(run);
    return NULL;
}

struct args {
    const char *list[ARGS_MAX];
    uint32_t cnt;
    char numbers[5][24];
};

static void add(struct args *args, const char *name, const char *value)
{
    args->list[args->cnt++] = name;
    if (value)
        args->list[args->cnt++] = value;
}

static void add_number(
    struct args *args, uint32_t at, const char *name, uint64_t value)
{
    if (value == 0)
        return;
    snprintf(args->numbers[at], sizeof(args->numbers[at]), "%llu",
        (unsigned long long)value);
    add(args, name, args->numbers[at]);
}

static void make_args(struct args *args, const char *build, const char *out,
    const struct lab_options *o)
{
    memset(args, 0, sizeof(*args));
    add(args, build, "run");
    add(args, "--out", out);
    add(args, "--repeats", "1");
    add(args, "--quiet", NULL);
    add(args, "--modes", o->modes ? o->modes : "pingpong,stream,solo");
    add(args, "--transports",
        o->transports ? o->transports : "spsc,mpmc,mpmc-64,shared");
    if (o->sizes)
        add(args, "--sizes", o->sizes);
    if (o->cpus)
        add(args, "--cpus", o->cpus);
    if (o->threads)
        add(args, "--threads", NULL);
    add_number(args, 0, "--rate", o->rate);
    add_number(args, 1, "--senders", o->senders > 1 ? o->senders : 0);
    add_number(args, 2, "--receivers", o->receivers > 1 ? o->receivers : 0);
    add_number(args, 3, "--rt", o->rt);
    snprintf(args->numbers[4], sizeof(args->numbers[4]), "%lluus",
        (unsigned long long)(o->slice_ns ? o->slice_ns / 1000 : SLICE_US));
    add(args, "--slice", args->numbers[4]);
}

/* Its own words about the machine are not for here, its complaints are read
 * from the exit status. */
static int run_build(const char *build, const char *out,
    const struct lab_options *options, char *error)
{
    posix_spawn_file_actions_t actions;
    struct args args;
    int status = 0, rc;
    pid_t pid;

    make_args(&args, build, out, options);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    rc = posix_spawn(&pid, build, &actions, NULL,
        (char *const *)(uintptr_t)args.list, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc) {
        snprintf(error, 192, "%.120s: %s", build, strerror(rc));
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        if (lab_interrupted)
            kill(pid, SIGTERM);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    snprintf(error, 192,
        "%.100s run: ended with %s %d; run it alone to see why", build,
        WIFEXITED(status) ? "status" : "signal",
        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return -1;
}

static struct lab_node *one_turn(
    const char *build, const struct lab_options *options, char *error)
{
    int fd = memfd_create("shmq-bench-run", 0);
    struct lab_node *run = NULL;
    char out[64];

    if (fd < 0) {
        snprintf(error, 192, "memfd_create: %s", strerror(errno));
        return NULL;
    }
    snprintf(out, sizeof(out), "/proc/%ld/fd/%d", (long)getpid(), fd);
    if (run_build(build, out, options, error) == 0)
        run = lab_run_read(out, error);
    close(fd);
    return run;
}

uint32_t lab_builds_run(const struct lab_options *options, struct lab_node **as,
    struct lab_node **bs)
{
    uint32_t rounds = options->repeats ? options->repeats : ROUNDS;
    struct lab_node **sides[2] = {as, bs};
    char error[192] = "";
    uint32_t round;

    if (rounds > LAB_REPEATS_MAX)
        rounds = LAB_REPEATS_MAX;
    lab_progress_start(rounds * ROUND_S, (int)options->quiet);
    for (round = 0; round < rounds && !lab_interrupted; round++) {
        for (uint32_t turn = 0; turn < 2; turn++) {
            uint32_t who = (turn + round) % 2;

            lab_progress(round * ROUND_S, who ? "B" : "A");
            sides[who][round] = one_turn(options->files[who], options, error);
            if (!sides[who][round])
                break;
        }
        if (!as[round] || !bs[round]) {
            lab_json_free(as[round]);
            lab_json_free(bs[round]);
            break;
        }
    }
    lab_progress_end();
    if (error[0] && !lab_interrupted)
        fprintf(stderr, "shmq-bench: compare: %s\n", error);
    return error[0] ? 0 : round;
}
