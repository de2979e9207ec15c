/* durable_log.h - how fast the log of a durable topic is written, read and
 * recovered, beside what the disk and the processor can do. */
#ifndef LAB_DURABLE_LOG_H
#define LAB_DURABLE_LOG_H

#include "durable.h"

/* Bytes of payload, or of files, a second. */
struct lab_log_rates {
    double drain, fio_write; /* 1 KiB records until all are durable */
    double catch_up, read_crc; /* a reader of the history in the page cache /
                                  reading the same files and their CRC-32C */
    double scan, fio_read; /* recovery after SIGKILL */
};

/* 0, -1 with `error`, or 1: something is not installed, `error` says what. */
int lab_durable_log(
    struct lab_daemon *daemon, struct lab_log_rates *ret, char error[192]);

#endif
