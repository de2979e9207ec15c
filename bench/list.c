/* list.c - `shmq-bench list`: what there is to measure. */
#include "lab.h"

#include <string.h>

static const struct {
    enum lab_cap cap;
    const char *word;
} words[] = {{LAB_CAP_WAIT, "sleeps"}, {LAB_CAP_MANY_TX, "senders"},
    {LAB_CAP_MANY_RX, "receivers"}, {LAB_CAP_THREADS, "threads"},
    {LAB_CAP_REOPEN, "reopens"}};

static void print_caps(uint32_t caps)
{
    const char *comma = "";

    printf(" [");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (caps & words[i].cap) {
            printf("%s%s", comma, words[i].word);
            comma = " ";
        }
    }
    printf("]\n");
}

static int known_transport(const char *name)
{
    return lab_transport_find(name) != NULL;
}

int lab_cmd_list(const struct lab_options *options)
{
    if (!lab_all_known(
            "list", "--transports", options->transports, known_transport))
        return LAB_EXIT_USAGE;
    for (int i = 0; lab_transports[i]; i++) {
        const struct lab_transport *t = lab_transports[i];

        if ((t->caps & LAB_CAP_SIM) ||
            !lab_listed(options->transports, t->name))
            continue;
        printf("%-14s %-6s %s", t->name, t->kind, t->what);
        if (t->missing)
            printf(": skipped, not built in (install %s)\n", t->missing);
        else
            print_caps(t->caps);
    }
    printf("\nmodes: pingpong rate stream solo wake cost memory recovery ops\n"
           "  sleeps: has receivers that sleep; senders, receivers: many;\n"
           "  threads: between threads only; reopens: an end can be opened "
           "again\n  after a crash\n");
    return 0;
}
