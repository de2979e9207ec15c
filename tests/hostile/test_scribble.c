/* test_scribble.c - rung 14, first half: whatever stands in shared memory at
 * whatever instant, no call crashes, hangs, or looks beyond the files.
 *
 *   hostile_scribble [--seconds S] [--scribbles N] [--seed FIRST]
 *   hostile_scribble --replay SEED     one game, each call on stderr
 *
 * Games are played in child processes; each game's seed is printed when it is
 * lost. Without options it plays for 20 seconds. */
#include <execinfo.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scribble/scribble.h"
#include "support/proc.h"
#include "support/support.h"

#define GAMES_PER_CHILD 1000u
#define SHIFT_NS 5000000000u

/* Shared by the referee and the player. */
struct score {
    uint64_t seed; /* of the game that is played */
    uint64_t games, scribbles, again, steps_max;
    char steps_max_call[80];
    char call[80];
};

static struct score *score;

static void too_late(int sig)
{
    void *stack[64];
    static const char text[] = "a call did not end for 30 s; it is at\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    (void)sig;
    backtrace_symbols_fd(stack, backtrace(stack, 64), STDERR_FILENO);
    _exit(1);
}

static void note(void)
{
    score->scribbles += scribble_cnt();
    score->again += scribble_again_cnt();
    if (scribble_steps_max() > score->steps_max) {
        score->steps_max = scribble_steps_max();
        (void)snprintf(score->steps_max_call, sizeof score->steps_max_call,
            "%.70s", scribble_steps_max_call());
    }
}

struct shift {
    uint64_t first, cnt, ns;
};

/* The games have a clock of their own. */
static uint64_t clock_ns(void)
{
    struct timeval now;
    (void)gettimeofday(&now, NULL);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_usec * 1000u;
}

static int play(void *ctx)
{
    const struct shift *s = ctx;
    (void)signal(SIGALRM, too_late);
    uint64_t until_ns = clock_ns() + s->ns;
    for (uint64_t i = 0; i < s->cnt && clock_ns() < until_ns; i++) {
        score->seed = s->first + i;
        scribble_game(s->first + i);
        score->games++;
    }
    note();
    return 0;
}

static void remove_files(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -f /dev/shm/shmq.%s.*", t_ns);
    if (system(command) != 0)
        (void)fprintf(stderr, "cannot remove files\n");
}

/* False when a game was lost. */
static bool run(uint64_t first, uint64_t seconds, uint64_t scribbles)
{
    uint64_t end = clock_ns() + seconds * 1000000000u;
    score->seed = first - 1;
    while (clock_ns() < end || score->scribbles < scribbles) {
        struct shift s = {score->seed + 1, GAMES_PER_CHILD, SHIFT_NS};
        struct t_proc player;
        t_spawn(&player, play, &s);
        int status = t_bury(&player);
        remove_files();
        if (status == 0)
            continue;
        (void)printf("game %llu was lost (%s %d); replay: hostile_scribble "
                     "--replay %llu\n",
            (unsigned long long)score->seed,
            WIFSIGNALED(status) ? "signal" : "exit",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
            (unsigned long long)score->seed);
        return false;
    }
    return true;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 0);
    if (end == text || *end) {
        (void)fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", 1, NULL, 's'},
        {"scribbles", 1, NULL, 'n'}, {"seed", 1, NULL, 'f'},
        {"replay", 1, NULL, 'r'}, {NULL, 0, NULL, 0}};
    uint64_t seconds = 20, scribbles = 0, first = 0, replay = 0;
    bool one = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 's':
            seconds = number(optarg);
            break;
        case 'n':
            scribbles = number(optarg);
            break;
        case 'f':
            first = number(optarg);
            break;
        case 'r':
            replay = number(optarg);
            one = true;
            break;
        default:
            return 2;
        }
    }
    t_begin();
    (void)alarm(0);
    score = t_shared_memory(sizeof *score);
    bool good;
    if (one) {
        (void)signal(SIGALRM, too_late);
        scribble_loud = true;
        scribble_game(replay);
        note();
        score->games = 1;
        good = true;
    } else {
        good = run(first * 1000000u + 1, seconds, scribbles);
    }
    (void)printf("RUNG 14: %llu scribbles between the accesses of %llu games "
                 "(%llu on the second look at a word), longest call %llu "
                 "accesses (%s) %s\n",
        (unsigned long long)score->scribbles, (unsigned long long)score->games,
        (unsigned long long)score->again, (unsigned long long)score->steps_max,
        score->steps_max_call, good ? "PASS" : "FAIL");
    return good ? 0 : 1;
}
