/* jitter.c - the jitter probe. */
#include "jitter.h"

#include "clock.h"
#include "measure.h"

#include <string.h>
#include <unistd.h>

/* Longer between two readings than this is being away. */
#define AWAY_NS 1000u
/* More than this and a repetition is marked. */
#define SHARE_MAX 0.06
#define LONGEST_MAX_NS 1e6
#define PROBE_NS UINT64_C(3000000)

static int probe_party(struct lab_party *party)
{
    uint64_t limit = lab_ns_ticks(AWAY_NS), away = 0, longest = 0;
    uint64_t span = lab_ns_ticks(*(const uint64_t *)party->arg);
    uint64_t begin, last;

    lab_party_ready(party);
    begin = last = lab_ticks();
    while (last - begin < span) {
        uint64_t now = lab_ticks();

        if (now - last > limit) {
            away += now - last;
            if (now - last > longest)
                longest = now - last;
        }
        last = now;
    }
    party->report->sum = away;
    party->report->cnt = longest;
    party->report->last_ticks = last - begin;
    return 0;
}

void lab_jitter_probe(uint32_t cores, uint64_t ns, struct lab_jitter *ret)
{
    struct lab_party parties[LAB_PARTIES_MAX];
    struct lab_world *world = lab_world_get();
    char error[192];

    memset(ret, 0, sizeof(*ret));
    memset(parties, 0, sizeof(parties));
    if (cores > lab_setup.cpu_cnt)
        cores = lab_setup.cpu_cnt;
    if (cores > LAB_PARTIES_MAX)
        cores = LAB_PARTIES_MAX;
    for (uint32_t i = 0; i < cores; i++) {
        parties[i].run = probe_party;
        parties[i].arg = &ns;
    }
    if (!world || lab_world_run(world, parties, cores, 0, error))
        return;
    for (uint32_t i = 0; i < cores; i++) {
        const struct lab_report *r = &world->reports[i];
        double share = (double)r->sum / (double)(r->last_ticks + 1);

        if (share > ret->away_share)
            ret->away_share = share;
        if (lab_ticks_ns(r->cnt) > ret->longest_ns)
            ret->longest_ns = lab_ticks_ns(r->cnt);
    }
    ret->valid = 1;
}

int lab_jitter_disturbed(
    const struct lab_jitter *before, const struct lab_jitter *after)
{
    return before->away_share > SHARE_MAX || after->away_share > SHARE_MAX ||
        before->longest_ns > LONGEST_MAX_NS ||
        after->longest_ns > LONGEST_MAX_NS;
}

int lab_measure_quietly(const struct lab_spec *spec, struct lab_quiet *quiet,
    struct lab_result *ret)
{
    struct lab_jitter before, after;

    for (;;) {
        lab_jitter_probe(2, PROBE_NS, &before);
        lab_measure(spec, ret, NULL);
        lab_jitter_probe(2, PROBE_NS, &after);
        quiet->measured++;
        if (!lab_jitter_disturbed(&before, &after))
            return 0;
        if (quiet->again >= quiet->again_max) {
            quiet->disturbed++;
            return 1;
        }
        quiet->again++;
        usleep(100000); /* perhaps it passes */
    }
}
