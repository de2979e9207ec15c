/* cpus.c - the cores to use: which, pinning, and their clocks. */
#define _GNU_SOURCE
#include "world.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

int lab_pin(uint32_t idx)
{
    cpu_set_t set;
    int cpu;

    if (lab_setup.cpu_cnt == 0)
        return -1;
    cpu = lab_setup.cpus[idx % lab_setup.cpu_cnt];
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) ? -1 : cpu;
}

void lab_unpin(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (uint32_t i = 0; i < lab_setup.cpu_cnt; i++)
        CPU_SET((size_t)lab_setup.cpus[i], &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static const char *add_one(long cpu, const cpu_set_t *allowed)
{
    if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((size_t)cpu, allowed))
        return "a core that is not there or not allowed";
    for (uint32_t i = 0; i < lab_setup.cpu_cnt; i++) {
        if (lab_setup.cpus[i] == (int)cpu)
            return "a core twice";
    }
    if (lab_setup.cpu_cnt == sizeof(lab_setup.cpus) / sizeof(int))
        return "too many cores";
    lab_setup.cpus[lab_setup.cpu_cnt++] = (int)cpu;
    return NULL;
}

static const char *parse_list(const char *list, const cpu_set_t *allowed)
{
    static const char no_list[] = "no list of cores such as 0,2-3";

    while (*list || lab_setup.cpu_cnt == 0) {
        char *end;
        long from = strtol(list, &end, 10), to = from;

        if (end == list || from < 0)
            return no_list;
        if (*end == '-') {
            list = end + 1;
            to = strtol(list, &end, 10);
        }
        if (end == list || to < from || (*end && *end != ',') ||
            (*end && !end[1]))
            return no_list;
        for (long cpu = from; cpu <= to; cpu++) {
            const char *wrong = add_one(cpu, allowed);

            if (wrong)
                return wrong;
        }
        list = *end ? end + 1 : end;
    }
    return NULL;
}

const char *lab_cpus_parse(const char *list)
{
    cpu_set_t allowed;

    lab_setup.cpu_cnt = 0;
    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return "the allowed cores are not known";
    if (list)
        return parse_list(list, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE && lab_setup.cpu_cnt < 64; cpu++) {
        if (CPU_ISSET((size_t)cpu, &allowed))
            lab_setup.cpus[lab_setup.cpu_cnt++] = cpu;
    }
    return NULL;
}

/* words[0] carries the number of the exchange, words[8] the answer, words[16]
 * the answering core's ticks. */
#define EXCHANGES 20000u

static int skew_party(struct lab_party *party)
{
    _Atomic uint64_t *words = party->world->words;
    uint64_t best = UINT64_MAX;
    int64_t skew = 0;

    lab_party_ready(party);
    for (uint64_t n = 1; n <= EXCHANGES; n++) {
        uint64_t t0, t1, t2;

        if (party->idx == 1) {
            while (atomic_load(&words[0]) != n)
                lab_relax();
            atomic_store(&words[16], lab_ticks());
            atomic_store(&words[8], n);
            continue;
        }
        t0 = lab_ticks();
        atomic_store(&words[0], n);
        while (atomic_load(&words[8]) != n)
            lab_relax();
        t2 = lab_ticks();
        t1 = atomic_load(&words[16]);
        if (t2 - t0 < best) {
            best = t2 - t0;
            skew = (int64_t)(t1 - (t0 + (t2 - t0) / 2));
        }
    }
    if (party->idx == 0) {
        party->report->cnt = best;
        party->report->sum = (uint64_t)skew;
    }
    return 0;
}

void lab_clock_skew(void)
{
    struct lab_world *world = lab_world_get();
    struct lab_party parties[2] = {{.run = skew_party}, {.run = skew_party}};
    char error[192];

    if (!world || lab_setup.cpu_cnt < 2)
        return;
    if (lab_world_run(world, parties, 2, 0, error))
        return;
    lab_clock.skew_ns =
        (double)(int64_t)world->reports[0].sum * lab_clock.ns_per_tick;
    lab_clock.skew_bound_ns = lab_ticks_ns(world->reports[0].cnt) / 2.0;
}
