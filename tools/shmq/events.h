/* events.h - tells what differs between two looks at a topic. */
#ifndef SHMQ_CLI_EVENTS_H
#define SHMQ_CLI_EVENTS_H

#include "cli_json.h"
#include "watch_list.h"

struct events {
    struct cli_out out;
    struct cli_json json;
    uint64_t cnt;
    uint64_t limit; /* 0: none; no more than so many are printed */
};

/* Makes the list's callbacks write to `events`. */
void events_attach(struct events *events, struct watch_list *list);

bool events_enough(const struct events *events);

#endif
