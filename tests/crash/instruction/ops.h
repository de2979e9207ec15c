/* ops.h - the tables of operations, one per file. */
#ifndef SHMQ_CRASH_OPS_H
#define SHMQ_CRASH_OPS_H

#include "proof.h"

#define BOTH (OP_MPMC | OP_SPSC)

extern const struct op producer_ops[], consumer_ops[], group_ops[], retry_ops[],
    request_ops[], rest_ops[], durable_ops[], more_ops[];
extern const uint32_t producer_op_cnt, consumer_op_cnt, group_op_cnt,
    retry_op_cnt, request_op_cnt, rest_op_cnt, durable_op_cnt, more_op_cnt;

#endif
