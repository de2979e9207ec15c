/* report.c - coverage, effects, figures, and the rungs' lines. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "modes.h"

#define FLIPS_MAX 512u

struct flip {
    _Atomic uint64_t rip;
    char op[32];
    _Atomic uint64_t times;
};
static struct flip *flips;

void report_init(void)
{
    flips = mmap(NULL, FLIPS_MAX * sizeof *flips, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (flips == MAP_FAILED)
        exit(1);
}

void flip_note(const struct op *op, uint64_t rip)
{
    for (uint32_t i = 0; i < FLIPS_MAX; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&flips[i].rip, &none, rip))
            (void)snprintf(flips[i].op, sizeof flips[i].op, "%s", op->name);
        else if (none != rip || strcmp(flips[i].op, op->name) != 0)
            continue;
        atomic_fetch_add(&flips[i].times, 1);
        return;
    }
}

void flip_print(void)
{
    extern char __executable_start;
    char exe[256], command[512];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    (void)printf("where effects appear:\n");
    for (uint32_t i = 0; i < FLIPS_MAX && flips[i].rip; i++) {
        char line[400] = "?\n";
        (void)snprintf(command, sizeof command,
            "addr2line -i -s -e '%s' %" PRIx64 " 2>/dev/null | paste -sd' '",
            exe, flips[i].rip - (uint64_t)&__executable_start);
        (void)fflush(stdout);
        FILE *pipe = popen(command, "r");
        if (pipe && !fgets(line, sizeof line, pipe))
            line[0] = '\0';
        if (pipe)
            (void)pclose(pipe);
        (void)printf("  %-24s %6" PRIu64 " times  %s", flips[i].op,
            (uint64_t)flips[i].times, line);
    }
}

static uint64_t get(_Atomic uint64_t *at)
{
    return atomic_load(at);
}

static uint64_t covered(void)
{
    uint64_t cnt = 0;
    for (size_t i = 0; i < (size_t)(library_end - library_begin); i++)
        cnt += cover[i] != 0;
    return cnt;
}

bool report(uint32_t config_cnt, uint64_t seed, uint64_t ns)
{
    struct totals *t = totals;
    bool fine = get(&t->broken) == 0;
    uint64_t addresses = covered();
    flip_print();
    (void)printf("%" PRIu64 " of %u configurations, seed %" PRIu64 ", %.1f s\n",
        get(&t->configs), config_cnt, seed, (double)ns / 1e9);
    (void)printf("states judged %" PRIu64 ", effects at exactly one "
                 "instruction %" PRIu64 ", points not met again %" PRIu64 "\n",
        get(&t->judged), get(&t->flips), get(&t->missed));
    (void)printf("longest wait of the others: %" PRIu64
                 " instructions, %.3f ms; reaping %.3f ms; proof of death "
                 "%.3f ms after SIGKILL\n",
        get(&t->wait_steps_max), (double)get(&t->wait_ns_max) / 1e6,
        (double)get(&t->reap_ns_max) / 1e6,
        (double)get(&t->proof_ns_max) / 1e6);
    (void)printf("RUNG 4: %" PRIu64 " kill points at %" PRIu64 " of %" PRIu64
                 " executed addresses (100 %%), %" PRIu64 " resumes, %" PRIu64
                 " real kills, %" PRIu64 " broken %s\n",
        get(&t->points), addresses, addresses, get(&t->resumes), get(&t->kills),
        get(&t->broken), fine ? "PASS" : "FAIL");
    (void)printf("RUNG 5: %" PRIu64 " crash states, %" PRIu64
                 " kill points in their recovery, %" PRIu64 " resumes, %" PRIu64
                 " real kills, %" PRIu64 " broken %s\n",
        get(&t->states), get(&t->reap_points), get(&t->reap_resumes),
        get(&t->reap_kills), get(&t->broken), fine ? "PASS" : "FAIL");
    return fine;
}
