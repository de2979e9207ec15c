/* bridge_world.h - processes of the bridge's measurements, and the little they
 * share. */
#ifndef LAB_BRIDGE_WORLD_H
#define LAB_BRIDGE_WORLD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define LAB_BRIDGE_NS "bench-bridge"
#define LAB_BRIDGE_TOPIC "t"

struct lab_bridge_shared {
    _Alignas(128) _Atomic uint64_t sent;
    _Alignas(128) _Atomic uint64_t received; /* messages */
    _Alignas(128) _Atomic uint64_t bytes; /* of payload */
    _Atomic uint64_t batches;
    _Alignas(128) _Atomic uint32_t ready, stop;
    double p50_ns;
    char error[160];
};

/* Keys of an encrypted run, printable. */
struct lab_bridge_keys {
    char server_public[41], server_secret[41];
    char client_public[41], client_secret[41];
};

struct lab_bridge_run {
    struct lab_bridge_shared *shared;
    uint32_t size;
    uint32_t flags;
    uint64_t window; /* messages under way */
    int ports[2]; /* router, feed */
    struct lab_bridge_keys keys;
    char dir[64]; /* for keys; "" for none */
    pid_t pids[4];
    uint32_t pid_cnt;
};

/* Shared memory, ports, keys, a fresh topic. 0, or -1 with `error`. */
int lab_bridge_begin(
    struct lab_bridge_run *run, uint32_t size, uint32_t flags, char *error);
/* Starts the bridge and waits until it serves. */
int lab_bridge_start(struct lab_bridge_run *run, char *error);
/* Runs `part` in a process of its own. */
int lab_bridge_fork(struct lab_bridge_run *run,
    void (*part)(struct lab_bridge_run *run), char *error);
/* Waits until `cnt` processes have said that they are ready. */
int lab_bridge_wait_ready(
    struct lab_bridge_run *run, uint32_t cnt, char *error);
/* Ends all processes and removes everything. */
void lab_bridge_end(struct lab_bridge_run *run);

/* In a process: tells what went wrong and ends it. */
void lab_bridge_die(struct lab_bridge_run *run, const char *what);

/* A socket with the options that all measurements use, connected or bound to
 * port `idx`, encrypted when the run is. */
void *lab_bridge_socket(
    struct lab_bridge_run *run, void *context, int type, int idx, int binds);

/* Waits a moment while more than `window` messages are under way; 0: stop. */
int lab_bridge_may_send(struct lab_bridge_run *run);

double lab_bridge_seconds(void); /* CLOCK_MONOTONIC */
void lab_bridge_sleep(double seconds);

#endif
