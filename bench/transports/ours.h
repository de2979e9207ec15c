/* ours.h - what the transports on libshmq share. Only the public interface is
 * used, as any program would. */
#ifndef LAB_OURS_H
#define LAB_OURS_H

#include "../transport.h"

#include <shmq.h>

#define LAB_NAMESPACE "shmq-bench"
#define LAB_GROUP "lab"

/* Makes the channel's topic with `ring` and one group of `kind`, which gates
 * it, so that nothing is lost. */
int lab_ours_create(struct lab_channel *channel, uint32_t ring, uint32_t kind);
void lab_ours_destroy(struct lab_channel *channel);

/* Opens a producer, or a consumer of the group. */
int lab_ours_open(struct lab_end *end);
void lab_ours_close(struct lab_end *end);

uint32_t lab_ours_send(struct lab_end *end, const void *src, uint32_t cnt);
uint32_t lab_ours_receive(
    struct lab_end *end, struct lab_sink *sink, uint32_t max);
uint32_t lab_ours_wait(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns);

/* Bytes of /dev/shm that the topic's files take (st_blocks). */
uint64_t lab_ours_footprint(const struct lab_channel *channel);

/* A failed call of the library, told in end->error. */
uint32_t lab_ours_failed(struct lab_end *end, int rc);

#endif
