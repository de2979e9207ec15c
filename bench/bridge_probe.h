/* bridge_probe.h - topics over the network: shmq-bridge against plain ZeroMQ
 * sockets that send the same bytes. Everything over loopback tcp. */
#ifndef LAB_BRIDGE_PROBE_H
#define LAB_BRIDGE_PROBE_H

#include <stdint.h>

/* Why it cannot be measured here, or NULL. */
const char *lab_bridge_missing(void);

enum lab_bridge_flags {
    LAB_BRIDGE_PLAIN = 1u << 0, /* the reference, without the bridge */
    LAB_BRIDGE_CURVE = 1u << 1 /* encrypted */
};

/* Messages a second that a plain SUB gets: published locally and fed by the
 * bridge; plain: by an XPUB that sends the same three frames. Both senders keep
 * the same number of messages under way. */
int lab_bridge_feed(
    uint32_t size, uint32_t flags, double *ret_rate, char *error);

/* Payload bytes a second that a member of a group gets, acknowledging all, and
 * the mean bytes of a DELIVER; plain: that a PULL gets in frames of
 * `batch_bytes`, sent as fast as it goes. */
int lab_bridge_deliver(uint32_t size, double *ret_bytes_rate,
    double *ret_batch_bytes, char *error);
int lab_bridge_push(uint64_t batch_bytes, double *ret_bytes_rate, char *error);

/* Median ns from PUBLISH (level published, one record of `size` bytes) to
 * PUBACK; plain: of the same frames to a ROUTER that sends them back. */
int lab_bridge_publish(
    uint32_t size, uint32_t flags, double *ret_p50_ns, char *error);

#endif
