/* boost_mq.h - the C face of the Boost message queue, for boost_mq.c. */
#ifndef LAB_BOOST_MQ_H
#define LAB_BOOST_MQ_H

#include "../transport.h"

#ifdef __cplusplus
extern "C" {
#endif

int lab_boost_create(struct lab_channel *channel);
void lab_boost_destroy(struct lab_channel *channel);
int lab_boost_open(struct lab_end *end);
void lab_boost_close(struct lab_end *end);
uint32_t lab_boost_send(struct lab_end *end, const void *src, uint32_t cnt);
uint32_t lab_boost_receive(
    struct lab_end *end, struct lab_sink *sink, uint32_t max);
uint32_t lab_boost_wait(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns);
uint64_t lab_boost_footprint(const struct lab_channel *channel);

#ifdef __cplusplus
}
#endif

#endif
