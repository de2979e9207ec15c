/* table.h - every transport, once, in the order of the lists. */
#ifndef LAB_TRANSPORT_TABLE_H
#define LAB_TRANSPORT_TABLE_H

#include "../transport.h"

#define LAB_TRANSPORTS \
    LAB_TRANSPORT(lab_handover) \
    LAB_TRANSPORT(lab_handover_all) \
    LAB_TRANSPORT(lab_futex) \
    LAB_TRANSPORT(lab_ours_spsc) \
    LAB_TRANSPORT(lab_ours_mpmc) \
    LAB_TRANSPORT(lab_ours_batch) \
    LAB_TRANSPORT(lab_ours_loan) \
    LAB_TRANSPORT(lab_ours_shared) \
    LAB_TRANSPORT(lab_ck_spsc) \
    LAB_TRANSPORT(lab_ck_mpmc) \
    LAB_TRANSPORT(lab_dpdk_mpsc) \
    LAB_TRANSPORT(lab_dpdk_mpsc64) \
    LAB_TRANSPORT(lab_dpdk_elem) \
    LAB_TRANSPORT(lab_dpdk_elem64) \
    LAB_TRANSPORT(lab_dpdk_mpmc) \
    LAB_TRANSPORT(lab_dpdk_hts) \
    LAB_TRANSPORT(lab_dpdk_rts) \
    LAB_TRANSPORT(lab_boost_mq) \
    LAB_TRANSPORT(lab_zmq_inproc) \
    LAB_TRANSPORT(lab_zmq_ipc) \
    LAB_TRANSPORT(lab_zmq_tcp) \
    LAB_TRANSPORT(lab_posix_mq) \
    LAB_TRANSPORT(lab_pipe) \
    LAB_TRANSPORT(lab_unix) \
    LAB_TRANSPORT(lab_injected) \
    LAB_TRANSPORT(lab_handicap) \
    LAB_TRANSPORT(lab_broken)

#ifdef __cplusplus
extern "C" {
#endif

#define LAB_TRANSPORT(symbol) extern const struct lab_transport symbol;
LAB_TRANSPORTS
#undef LAB_TRANSPORT

#ifdef __cplusplus
}
#endif

#endif
