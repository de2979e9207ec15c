/* transport.h - the seam between the harness and whatever moves messages.
 *
 * A transport is one file in transports/ with one `struct lab_transport`. The
 * harness makes a channel (one direction) in the parent process, then each
 * party opens its end of it, in its own process (or thread).
 *
 * Everything behind these verbs is measured alike: the same loop, the same
 * messages, the same sink, the same two cores. */
#ifndef LAB_TRANSPORT_H
#define LAB_TRANSPORT_H

#include "payload.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lab_cap {
    LAB_CAP_WAIT = 1u << 0, /* a receiver can sleep (verb wait) */
    LAB_CAP_MANY_TX = 1u << 1, /* several senders */
    LAB_CAP_MANY_RX = 1u << 2, /* several receivers that compete */
    LAB_CAP_THREADS = 1u << 3, /* only between threads of one process */
    LAB_CAP_NO_STREAM = 1u << 4, /* one message at a time (a floor) */
    LAB_CAP_BLOCKS = 1u << 5, /* send and receive may sleep in the kernel */
    LAB_CAP_REOPEN = 1u << 6, /* an end can be opened after its last owner
                                 was killed */
    LAB_CAP_SIM = 1u << 7, /* made for the lab's self-test; not listed */
    LAB_CAP_LINE = 1u << 8 /* moves one line, whatever the message's size */
};

enum lab_channel_flags {
    LAB_CHANNEL_SLEEP = 1u << 0, /* receivers will use wait: do not spin */
    LAB_CHANNEL_LEASE = 1u << 1 /* receivers may be stopped for long: use a
                                   lease where there is one */
};

enum lab_role { LAB_SENDER = 1, LAB_RECEIVER = 2 };

/* What a send or receive returns instead of a count when it failed for good;
 * end->error says why. */
#define LAB_FAILED UINT32_MAX

/* One direction of traffic. The first part is the harness's request. */
struct lab_channel {
    const struct lab_transport *transport;
    char name[64]; /* unique on this host */
    uint32_t size; /* bytes of every message */
    uint32_t batch; /* messages per send */
    uint32_t depth; /* messages that should fit, about; a power of two */
    uint32_t flags; /* enum lab_channel_flags */
    uint32_t senders, receivers;
    uint32_t back; /* it carries the answers of a closed loop */
    uint64_t arena_bytes; /* ours: payload memory, 0 for the default */
    /* The rest is the transport's own. */
    void *shared; /* memory that all ends see */
    uint64_t shared_bytes;
    int fds[2];
    void *state; /* in the parent's memory, inherited by fork */
    char error[160];
};

/* One party's end of a channel. */
struct lab_end {
    struct lab_channel *channel;
    enum lab_role role;
    uint32_t idx; /* which sender, or which receiver */
    void *handle; /* the transport's own, all three */
    void *more;
    uint64_t pos;
    uint64_t busy_until; /* ticks */
    uint32_t staged; /* the message was copied, but not sent yet: the next
                        send is of the same one */
    char error[160];
};

struct lab_transport {
    const char *name;
    const char *kind; /* "ours", "peer" or "floor" */
    const char *what; /* one line for the list */
    const char *missing; /* package to install, when built without it */
    const char *version; /* of the peer; NULL: it has none of its own */
    uint32_t caps; /* enum lab_cap */
    uint32_t batch; /* messages per send it stands for; 0: 1 */
    uint64_t size_max; /* bytes; 0: 16 MiB */

    /* Parent, before the parties start. 0, or -1 with channel->error. */
    int (*create)(struct lab_channel *channel);
    void (*destroy)(struct lab_channel *channel);
    /* Party. 0, or -1 with end->error. */
    int (*open)(struct lab_end *end);
    void (*close)(struct lab_end *end);
    /* Sends `cnt` messages, which lie one after the other at `src`: all (cnt)
     * or none (0: no room now). */
    uint32_t (*send)(struct lab_end *end, const void *src, uint32_t cnt);
    /* Takes up to `max` messages into the sink; returns how many. */
    uint32_t (*receive)(
        struct lab_end *end, struct lab_sink *sink, uint32_t max);
    /* As receive, but sleeps until there is something, or the time is up. */
    uint32_t (*wait)(
        struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns);
    /* Bytes of shared memory the channel takes now; NULL: not known. */
    uint64_t (*footprint)(const struct lab_channel *channel);
};

/* All transports, in the order they are shown; ends with NULL. */
extern const struct lab_transport *const lab_transports[];
const struct lab_transport *lab_transport_find(const char *name);

/* "NAME VERSION, ..." of the peers that are built in; static storage. */
const char *lab_peer_versions(void);

/* Memory that all parties share, zeroed, page-aligned, made before they
 * start. Sets channel->shared; 0 or -1. */
int lab_shared_create(struct lab_channel *channel, uint64_t bytes);
void lab_shared_destroy(struct lab_channel *channel);
uint64_t lab_shared_footprint(const struct lab_channel *channel);

/* Keeps a sentence about a failed system call in a 160-byte error field. */
void lab_explain(char *error, const char *what, int errnum);

#ifdef __cplusplus
}
#endif

#endif
