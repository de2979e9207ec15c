/* soak.h - a ring under load for a long time: 8 to 16 processes publish and
 * receive in every way there is while they are killed, stopped, forked, execed
 * and put into pid namespaces of their own. Each record proves itself by its
 * bytes; each operation goes to the history checker, so every record of every
 * group is accounted for. */
#ifndef SHMQ_SOAK_H
#define SHMQ_SOAK_H

#include <shmq.h>
#include <sys/types.h>

#include "history/lib/stream.h"

#define SOAK_GROUPS 4u
#define SOAK_CREW_MAX 20u
#define SOAK_BATCH 64u /* records of a publish at most */
#define SOAK_HELD 512u /* records held at most */
#define SOAK_PAYLOAD_MAX 4096u

struct soak_group {
    const char *name;
    uint32_t kind; /* enum shmq_group_kind */
    uint32_t readers;
    uint32_t prefetch_frames;
    uint64_t lease_ns;
    bool copy;
    bool fifo; /* one record at a time: a FIFO queue in real time */
};

struct soak_scene {
    const char *name;
    uint32_t ring;
    uint64_t capacity_frames, arena_bytes;
    uint32_t producers;
    bool single; /* no batches */
    uint32_t group_cnt;
    struct soak_group groups[SOAK_GROUPS];
};

/* What a saboteur does wrong, to see that it is found. */
enum soak_sabotage {
    SOAK_HONEST = 0,
    SOAK_DROP, /* a reader loses a record and acknowledges it */
    SOAK_DOUBLE, /* a reader hands a record out twice */
    SOAK_TEAR, /* one byte is wrong */
    SOAK_SWAP, /* two records in the wrong order */
    SOAK_PHANTOM, /* a producer publishes what it does not note */
    SOAK_STALE, /* a refused ack is counted */
    SOAK_SABOTAGE_CNT
};

struct soak_area { /* memory of all processes; they share no pointers */
    uint64_t seed;
    uint32_t scene;
    uint32_t sabotage;
    char ns[64];
    _Atomic uint32_t quit; /* producers leave */
    _Atomic uint32_t finish; /* readers leave when nothing is left */
    _Atomic uint32_t member_cnt; /* lives of readers, from 1 */
    _Atomic uint32_t ready; /* readers that have joined once */
    _Atomic uint64_t execs, forks, fork_fails;
    _Atomic uint32_t complaints;
    char complaint[400];
    struct hist_stream stream;
};

/* One process's place in the crew. */
struct soak_slot {
    bool producer;
    uint32_t group;
    pid_t pid;
    int log;
    bool stopped;
    uint64_t resume_ns;
};

struct soak_run {
    struct soak_area *area;
    const struct soak_scene *scene;
    int fd; /* of the area */
    uint64_t random;
    uint64_t kills, stops, namespaces;
    bool no_namespaces; /* not allowed here */
    uint32_t slot_cnt;
    struct soak_slot slots[SOAK_CREW_MAX];
    pid_t checker;
};

extern const struct soak_scene soak_scenes[];
extern const uint32_t soak_scene_cnt;

/* soak_payload.c */
uint64_t soak_size(uint64_t seed, uint64_t producer, uint64_t seq);
/* Fills `at`; first and cnt are of the publish that the record is part of. */
void soak_fill(void *at, uint64_t size, uint64_t seed, uint64_t producer,
    uint64_t seq, uint64_t first, uint32_t cnt);
/* False when a byte is wrong. */
bool soak_check(const struct shmq_message *msg, uint64_t seed,
    uint64_t *ret_first, uint32_t *ret_cnt);

/* soak_worker.c: main of a process of the crew. */
struct soak_worker {
    struct soak_area *area;
    const struct soak_scene *scene;
    struct hist_log *log;
    struct shmq_topic *topic;
    uint64_t random;
    uint64_t exec_ns, fork_ns; /* when to do it next */
    char **argv;
};
int soak_worker_main(int argc, char **argv);
void soak_complain(struct soak_area *area, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool soak_sabotage_now(struct soak_worker *w, enum soak_sabotage what);
/* Forks when it is time; true when it is time to exec. */
bool soak_worker_turn(
    struct soak_worker *w, struct shmq_producer *p, struct shmq_consumer *c);
__attribute__((noreturn)) void soak_worker_exec(struct soak_worker *w);
int soak_producer(struct soak_worker *w);
int soak_reader(struct soak_worker *w, uint32_t group);

/* soak_crew.c */
void soak_crew_start(struct soak_run *run);
/* One random act; -1 when something failed. */
int soak_crew_act(struct soak_run *run);
int soak_crew_finish(struct soak_run *run);
void soak_crew_kill(struct soak_run *run);

#endif
