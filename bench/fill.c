/* fill.c - memory per message: a sender sends until there is no more room, with
 * a receiver that takes nothing. */
#include "measure.h"

#include <string.h>

#define TRIES 1000 /* room that comes late is room as well */

int lab_run_fill(struct lab_party *party)
{
    struct lab_run *run = party->arg;
    const struct lab_transport *t = run->spec.transport;
    uint32_t batch = run->spec.batch;
    struct lab_source source;
    struct lab_end tx, rx;
    int tries = 0;

    if (lab_source_open(&source, run->spec.size, batch > 1 ? batch : 0, 0))
        return lab_party_fail(party, "messages", "out of memory");
    if (lab_end_open(party, &rx, &run->there, LAB_RECEIVER, 0) ||
        lab_end_open(party, &tx, &run->there, LAB_SENDER, 0))
        return -1;
    lab_party_ready(party);
    while (tries < TRIES) {
        uint32_t n = t->send(&tx, lab_source_next(&source, batch), batch);

        if (n == LAB_FAILED)
            return lab_party_fail(party, "send", tx.error);
        party->report->cnt += n;
        tries = n ? 0 : tries + 1;
    }
    t->close(&tx);
    t->close(&rx);
    lab_source_close(&source);
    return 0;
}
