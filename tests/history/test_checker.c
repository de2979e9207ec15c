/* test_checker.c - is the history checker right?
 *   1. hand-made histories with known verdicts;
 *   2. random small histories, most of them mutated: its verdict is that of a
 *      search over all orders, every time;
 *   3. one long history: operations a second, memory.
 *     history_checker [--histories N] [--records N] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/checker/small.h"
#include "support/support.h"

struct score {
    uint64_t cnt, good, bad, given_up, disagree;
    uint64_t rejected[SMALL_MUTATION_CNT], tried[SMALL_MUTATION_CNT];
};

static void judge(
    struct score *score, const struct small *h, int mutation, uint64_t number)
{
    struct hist_verdict v;
    int brute = small_brute(h);
    small_check(h, &v);
    if (brute < 0) {
        score->given_up++;
        return;
    }
    score->cnt++;
    score->good += brute == 1;
    score->bad += brute == 0;
    if (mutation >= 0) {
        score->tried[mutation]++;
        score->rejected[mutation] += brute == 0;
    }
    if ((brute == 1) == (v.fault_cnt == 0))
        return;
    if (score->disagree++ < 3) {
        printf("history %" PRIu64 " (%s): all orders say %s, the checker %s\n",
            number,
            mutation < 0 ? "as played"
                         : small_mutation_name((enum small_mutation)mutation),
            brute == 1 ? "right" : "wrong",
            v.fault_cnt == 0 ? "right" : v.first);
        small_print(h);
    }
}

static bool random_histories(uint64_t cnt, uint64_t seed, uint64_t *ret_cnt)
{
    static struct score score;
    static struct small h;
    for (uint64_t i = 0; i < cnt; i++) {
        uint64_t random = seed + i * 1000003;
        int mutation = (int)(i % (SMALL_MUTATION_CNT + 4)) - 4;
        small_random(&h, &random);
        if (!small_is_history(&h)) {
            printf("history %" PRIu64 " is none\n", i);
            small_print(&h);
            return false;
        }
        if (mutation >= 0 &&
            !small_mutate(&h, (enum small_mutation)mutation, &random))
            continue;
        judge(&score, &h, mutation < 0 ? -1 : mutation, i);
    }
    printf("random histories %" PRIu64 ": right %" PRIu64 ", wrong %" PRIu64
           ", too large %" PRIu64 ", verdicts that differ %" PRIu64 "\n",
        score.cnt, score.good, score.bad, score.given_up, score.disagree);
    *ret_cnt = score.cnt;
    bool all = score.disagree == 0;
    for (int m = 0; m < (int)SMALL_MUTATION_CNT; m++) {
        printf("  %-10s rejected %" PRIu64 " of %" PRIu64 "\n",
            small_mutation_name((enum small_mutation)m), score.rejected[m],
            score.tried[m]);
        /* Which outcome is not known seldom makes a history wrong. */
        all = all && (m == SMALL_UNKNOWN || score.rejected[m] != 0);
    }
    return all && score.good * 10 > score.cnt && score.bad * 10 > score.cnt &&
        score.given_up * 20 < score.cnt;
}

int main(int argc, char **argv)
{
    uint64_t histories = 20000;
    uint64_t records = 200000000;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--histories") == 0)
            histories = value;
        else if (strcmp(argv[i], "--records") == 0)
            records = value;
        else
            return 2;
    }
    double ops_s = 0;
    uint64_t bytes = 0;
    uint64_t judged = 0; /* a mutation may leave no history */
    uint64_t seed = t_seed_say("checker");
    bool good = small_named() == 0;
    good &= random_histories(histories, seed, &judged);
    good &= small_speed(records, &ops_s, &bytes) == 0;
    printf("RUNG 7: %" PRIu64
           " random histories, verdicts as by a search over all "
           "orders, %.1f M operations/s, %.1f MB %s\n",
        judged, ops_s / 1e6, (double)bytes / 1e6, good ? "PASS" : "FAIL");
    return good ? 0 : 1;
}
