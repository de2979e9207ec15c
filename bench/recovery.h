/* recovery.h - a producer or a consumer is killed or stopped under load: how
 * long are the others held up? */
#ifndef LAB_RECOVERY_H
#define LAB_RECOVERY_H

#include "transport.h"

#include <stdint.h>

#define LAB_TRIALS_MAX 64u

enum lab_victim { LAB_VICTIM_PRODUCER = 1, LAB_VICTIM_CONSUMER = 2 };

struct lab_recovery {
    /* Longest time without a delivery to the surviving receiver, from the
     * signal on, over the next two rings full of messages. Only of trials
     * that went on. */
    double hold_ns[LAB_TRIALS_MAX];
    uint32_t cnt;
    uint32_t stalls; /* trials in which nothing was delivered for 500 ms */
    char error[192]; /* not empty: it could not be measured to the end */
};

/* NULL, or why the transport cannot take part. */
const char *lab_recovery_refusal(
    const struct lab_transport *transport, enum lab_victim victim);

/* Up to `trials` trials with SIGKILL, or SIGSTOP when `stop`. Gives up after
 * three stalls. */
void lab_recovery_measure(const struct lab_transport *transport,
    enum lab_victim victim, uint32_t stop, uint32_t trials,
    struct lab_recovery *ret);

#endif
