/* selftest.c - `shmq-bench selftest`. */
#include "selftest.h"

static int known_mode(const char *name)
{
    return lab_listed("numbers,broken,latency,compare", name);
}

int lab_cmd_selftest(const struct lab_options *options)
{
    int failed = 0;

    if (!lab_all_known("selftest", "--modes", options->modes, known_mode))
        return LAB_EXIT_USAGE;
    if (lab_listed(options->modes, "numbers"))
        failed += lab_selftest_numbers();
    if (lab_listed(options->modes, "broken"))
        failed += lab_selftest_broken();
    if (lab_listed(options->modes, "latency") && !lab_interrupted)
        failed += lab_selftest_latency(options);
    if (lab_listed(options->modes, "compare") && !lab_interrupted)
        failed += lab_selftest_compare(options);
    return failed ? 1 : 0;
}
