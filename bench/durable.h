/* durable.h - measurements of durable topics: a shmqd of their own on the file
 * system of SHMQ_BENCH_DIR (else the current directory), and what a publisher
 * that waits gets from it. */
#ifndef LAB_DURABLE_H
#define LAB_DURABLE_H

#include <stdint.h>
#include <sys/types.h>

struct lab_daemon {
    pid_t pid;
    char ns[40];
    char dir[512]; /* holds the data directory and files of the reference */
};

/* Starts the shmqd that lies beside this program and waits until it answers.
 * 0, or -1 with `error`. It and its files are gone after the second one. */
int lab_daemon_start(struct lab_daemon *ret, char error[192]);
void lab_daemon_stop(struct lab_daemon *daemon);
/* Kills it, as kill -9 does, and starts it again in the same place. */
int lab_daemon_again(struct lab_daemon *daemon, char error[192]);

/* One publisher that waits for each record of 64 bytes, beside a bare write of
 * 4 KiB with fdatasync into a file that was written before, turn about: medians
 * in ns. */
struct lab_round_trip {
    double durable_ns, bare_ns;
};
int lab_durable_round_trip(
    struct lab_daemon *daemon, struct lab_round_trip *ret, char error[192]);

/* Acknowledged records a second: of one publisher that waits for each, of one
 * with 64 under way, and of 64 processes that each wait for their own. */
struct lab_durable_rates {
    double one, in_flight_64, processes_64;
};
int lab_durable_rates(
    struct lab_daemon *daemon, struct lab_durable_rates *ret, char error[192]);

/* What a publisher of 1 KiB records pays for being drained: p50 of a publish
 * and processor time per record, at half the rate that the drain can take, on a
 * durable topic and on one in memory. */
struct lab_durable_cost {
    double p50_ns, memory_p50_ns;
    double cpu_ns, memory_cpu_ns;
    double rate; /* records a second, of both */
};
int lab_durable_cost(
    struct lab_daemon *daemon, struct lab_durable_cost *ret, char error[192]);

#endif
