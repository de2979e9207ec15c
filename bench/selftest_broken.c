/* selftest_broken.c - a transport that loses, doubles, changes or swaps one
 * message must not get a figure. */
#include "selftest.h"
#include "transports/handicap.h"

#include <string.h>

static const struct trial {
    const char *name;
    enum lab_damage damage;
    enum lab_mode mode;
} trials[] = {{"nothing", LAB_WHOLE, LAB_STREAM},
    {"a message lost", LAB_LOSE, LAB_STREAM},
    {"a message twice", LAB_TWICE, LAB_STREAM},
    {"a bit flipped", LAB_FLIP, LAB_STREAM},
    {"two messages swapped", LAB_SWAP, LAB_STREAM},
    {"a bit flipped, open loop", LAB_FLIP, LAB_RATE},
    {"a bit flipped, closed loop", LAB_FLIP, LAB_PINGPONG},
    {"a bit flipped, solo", LAB_FLIP, LAB_SOLO}};
/* Long enough for a few messages; on a machine with other things to do the
 * damaged one may not be reached in it, so then for longer. */
#define MEASURE_NS 60000000u
#define TRIES 5 /* each four times as long: 15 s at last */
#define TRIALS (sizeof(trials) / sizeof(trials[0]))

/* What the lab says of one trial; true: that it is damaged. */
static int is_refused(
    const struct trial *trial, uint64_t measure_ns, struct lab_result *ret)
{
    struct lab_spec spec = {.mode = trial->mode,
        .transport = lab_transport_find("broken"),
        .size = 64,
        .rate = 200000,
        .measure_ns = measure_ns};

    lab_damage = trial->damage;
    lab_measure(&spec, ret, NULL);
    return ret->failed != 0;
}

int lab_selftest_broken(void)
{
    uint32_t right = 0;

    for (size_t i = 0; i < TRIALS; i++) {
        struct lab_result result;
        int damaged = trials[i].damage != LAB_WHOLE;
        uint64_t measure_ns = MEASURE_NS;
        int told = 0;

        for (int try = 0; try < TRIES && !told; try++, measure_ns *= 4)
            told = is_refused(&trials[i], measure_ns, &result) == damaged;
        if (told)
            right++;
        else
            printf("  %s: %s\n", trials[i].name,
                damaged ? "not noticed" : result.error);
    }
    lab_damage = LAB_WHOLE;
    return lab_check("broken", right == TRIALS,
        "%u of %u transports that damage a message (and one that does not) "
        "told right",
        right, (uint32_t)TRIALS);
}
