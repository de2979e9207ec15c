/* proof.h - crash at every instruction: what the parts of the prover share.
 *
 * One process, the tracer, drives a victim, a forked child that performs one
 * public operation of the library under single steps. The ring's state before
 * the operation, its files' bytes, is prepared once per configuration and
 * restored before each run. Four modes use the victim (docs/crash-proof.md):
 *   S  at each instruction a copy of the files is recovered and judged
 *   Z  the victim is held at one instruction, others work, it resumes
 *   K  the victim is killed with SIGKILL at one instruction
 *   R  the same three with a recovery (attach, reap) as the operation */
#ifndef SHMQ_CRASH_PROOF_H
#define SHMQ_CRASH_PROOF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <shmq.h>

#include "support/shm_check.h"

#define TAGS_MAX 128u
#define BATCH 64u
#define BATCH_BYTES 24u
#define OTHERS_BYTES 48u
#define PROBE_BYTES 40u
#define TOPIC "t"
#define DEAD_TOPIC "@dead." TOPIC

/* Tags tell who published a record. */
#define TAG_FILL 0x100u /* of the state before */
#define TAG_COVER 0x300u /* what pushes the fill out of the ring */
#define TAG_WARM 0x400u /* done before */
#define TAG_OP 0x1000u /* the operation's own */
#define TAG_OTHERS 0x2000u /* of those who work meanwhile */
#define TAG_PROBE 0x3000u /* of the judge, afterwards */

enum group { AUDIT, WORK, GROUPS };
extern const char *const group_names[GROUPS];

/* How full the ring is before the operation. */
enum fill { FILL_EMPTY, FILL_ONE, FILL_ALMOST, FILL_FULL, FILLS };
/* How far it has gone round: not at all, to the last place of a lap, into the
 * next one. */
enum warm { WARM_NONE, WARM_LAP, WARM_WRAPPED, WARMS };
/* The first sequence (spsc: position / 8) of the topic. */
enum origin {
    ORIGIN_ZERO,
    ORIGIN_CLAIM_LAP, /* claim laps wrap at 2^32 */
    ORIGIN_SLOT_LAP, /* slot laps wrap at 2^36; spsc: commit words at 2^32 */
    ORIGIN_SEQUENCE, /* next and floor wrap at 2^40 */
    ORIGINS
};
extern const char *const fill_names[FILLS];
extern const char *const warm_names[WARMS];
extern const char *const origin_names[ORIGINS];

struct op;
struct config {
    const struct op *op;
    const struct op *first; /* whose crash `op` recovers from; else op */
    uint32_t ring; /* enum shmq_ring */
    enum fill fill;
    enum warm warm;
    enum origin origin;
    bool own; /* the victim's own handle has filled the ring */
};

struct tags {
    uint32_t cnt;
    uint32_t tag[TAGS_MAX];
};

/* Memory that tracer and victim share. */
struct page {
    volatile uint32_t command; /* enum command */
    volatile uint32_t phase; /* enum phase */
    struct config config;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    uint32_t fill_cnt; /* records that the victim shall fill in itself */
    int32_t rc; /* result of the operation */
    uint8_t *map[2]; /* where the victim has mapped data and control */
    size_t map_bytes[2];
    struct tags before[GROUPS]; /* not done when the operation begins */
    struct tags published; /* by the operation */
    struct tags done[GROUPS]; /* by the operation */
    struct tags kept[GROUPS]; /* handed out, neither done nor given back */
    uint32_t dead; /* tag of a record that has used its attempts up */
    uint32_t sleeper; /* its endpoint plus one: must be woken */
    bool alone; /* nobody else works meanwhile */
    uint64_t deadline; /* of an operation that waits for shmqd */
    uint32_t prey; /* pid of who is to be killed */
    volatile uint32_t prey_ready; /* its endpoint plus one */
};
enum command { CMD_NONE, CMD_RUN, CMD_QUIT };
enum phase { PHASE_IDLE, PHASE_BEGIN, PHASE_END };

extern struct page *page, *second_page; /* of the second victim, mode_w.c */
extern _Atomic uint64_t *the_clock; /* of all processes, in ns: clock.c */

/* -- the victim ------------------------------------------------------------ */

struct victim {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *consumer, *second;
    struct shmq_waitset *set;
    struct shmq_watch *watch;
    struct shmq_caller *caller;
    struct shmq_server *server;
    struct shmq_loan loan;
    struct shmq_message msg[4];
    struct shmq_record records[BATCH];
    uint8_t *data; /* payload of the operation */
    uint64_t position;
    uint32_t tags[4]; /* of msg, or of what was polled */
    uint32_t taken;
    enum group group;
};

enum op_flags {
    OP_MPMC = 1u << 0,
    OP_SPSC = 1u << 1,
    OP_ONE_FLIP = 1u << 2, /* its effect appears at exactly one instruction,
                              when it succeeds */
    OP_NO_FLIP = 1u << 3, /* nothing that others see changes */
    OP_FREE = 1u << 4, /* moves groups: what follows is not in the lists */
    OP_FILES = 1u << 5, /* makes or removes topics */
    OP_NEEDS_RECORD = 1u << 6, /* makes no sense on an empty ring */
    OP_REAPS = 1u << 7, /* attaches: used for mode R */
    OP_LEASE = 1u << 8, /* group work has a lease */
    OP_RELEASE = 1u << 9, /* group work is absent=release */
    OP_PAYLOAD = 1u << 10, /* arg is the record's payload in bytes */
    OP_BATCH = 1u << 11, /* BATCH records of BATCH_BYTES */
    OP_EVICTS = 1u << 12, /* others may find their claims gone */
    OP_GAPS = 1u << 13, /* does not gate: what it missed is a gap */
    OP_DROP_NEW = 1u << 14, /* the topic refuses and counts when it is full */
    OP_DEAD = 1u << 15, /* group work allows two attempts only */
    OP_DROP_OLD = 1u << 16, /* the topic overwrites what is oldest */
    OP_ASYMMETRIC = 1u << 17, /* the topic's sleepers issue membarrier */
    OP_TTL = 1u << 18, /* the topic's records expire */
    OP_TTL_DEAD = 1u << 19, /* and go to the dead-letter topic */
    OP_INBOX = 1u << 20, /* callers with inboxes: topics of their own */
    OP_PREY = 1u << 21, /* another process is killed by the operation */
    OP_DURABLE = 1u << 22, /* a topic on disk; nobody serves it meanwhile */
    OP_DRAINED = 1u << 23, /* what fills the ring is on disk, too */
    OP_BEHIND = 1u << 24, /* and has left the ring: it is in the log only */
    OP_MOVED = 1u << 25 /* waits for what a turn of shmqd brings */
};
#define TTL_NS 60000000000ull /* others may stand still for less */

/* One operation: prepared and finished at full speed, run under the tracer. */
struct op {
    const char *name;
    uint32_t flags;
    uint64_t arg; /* payload bytes, or what setup makes of it */
    void (*setup)(struct victim *v);
    void (*run)(struct victim *v);
    void (*finish)(struct victim *v);
};
const struct op *op_next(const struct op *last); /* NULL: the first; or end */
const struct op *op_find(const char *name);
uint32_t op_index(const struct op *op); /* below OPS_MAX */

uint64_t op_bytes(const struct op *op); /* payload of the largest record */
/* "operation, ring, fill, warm, origin" */
void config_text(const struct config *config, char ret[200]);
bool config_has(const struct config *config, uint32_t flags); /* any of them */
/* Bytes that the record with this tag has under `config`. */
uint64_t tag_bytes(const struct config *config, uint32_t tag);
void fill_payload(void *data, uint64_t size, uint32_t tag);
/* The tag of a received record, 0 when its bytes are not right. */
uint32_t tag_of(const struct config *config, const struct shmq_message *msg);
void tags_add(struct tags *tags, uint32_t tag);
bool tags_have(const struct tags *tags, uint32_t tag);
void tags_remove(struct tags *tags, uint32_t tag);

/* Starts a victim; it stops in PHASE_IDLE. Dies with the tracer. */
pid_t victim_start(void);

/* -- the world: topics and their states --------------------------------------
 */

struct disk;
struct world {
    struct config config;
    char ns[SHMQ_NAMESPACE_MAX + 1], copy_ns[SHMQ_NAMESPACE_MAX + 1];
    struct shm_files live, copy;
    struct disk *live_disk, *copy_disk; /* durable topics: their logs */
    uint8_t *base; /* the files of the live topic before the operation */
    uint32_t capacity; /* records of the fill's size that the ring takes */
    uint32_t own_cnt;
    struct tags pending[GROUPS];
    struct shmq_topic *live_topic, *copy_topic; /* the tracer's handles */
    size_t hot; /* bytes of the data file compared at every instruction */
};

/* Makes topic and copy for a configuration; false when it makes no sense. */
bool world_make(struct world *w, const struct config *config);
void world_free(struct world *w);
void world_restore(struct world *w); /* the live files as in base */
void world_sweep(const char *ns); /* removes everything of a namespace */
void world_no_prey(void); /* ends the prey, and waits for that */

uint64_t fill_bytes(const struct config *config);
struct shmq_consumer *world_reader(
    struct shmq_topic *topic, enum group group, int *ret_rc);

/* -- tracing -----------------------------------------------------------------
 */

enum where {
    AT_LIBRARY, /* before an instruction of libshmq */
    AT_SYSCALL, /* before or behind a system call outside it */
    AT_COPY, /* inside a bulk copy into shared memory */
    AT_END /* the operation has returned */
};
struct point {
    enum where where;
    uint64_t rip;
    uint32_t nth; /* of the operation's points */
    uint32_t times; /* how often this instruction was reached, from 1 */
    uint32_t in_copy; /* steps within this copy */
};

struct tracer {
    pid_t pid;
    bool gone;
};

extern uint8_t library_begin[] __asm__("__start_shmq_text");
extern uint8_t library_end[] __asm__("__stop_shmq_text");
static inline bool in_library(uint64_t rip)
{
    return rip >= (uint64_t)library_begin && rip < (uint64_t)library_end;
}

void tracer_start(struct tracer *t);
void tracer_stop(struct tracer *t);
/* Runs the victim to its next stop; false (and reported) when it died. */
bool tracer_run_to(struct tracer *t, enum phase phase);
/* Starts the operation: the victim stands at PHASE_BEGIN. */
bool tracer_begin(struct tracer *t);
/* Steps through the operation, calling `visit` at each point until it says
 * false. The victim ends at PHASE_END, or where it was told to stay. */
bool tracer_step(struct tracer *t,
    bool (*visit)(void *ctx, const struct point *point), void *ctx);
/* One instruction, of whomever; *ret_rip: the next one. */
bool tracer_one(struct tracer *t, uint64_t *ret_rip);
/* Functions that libc is to call back are stepped through; false: a negative
 * control. */
extern bool tracer_callbacks;
/* From PHASE_BEGIN runs to the `times`th arrival at `rip`; false when the
 * operation ended before. */
bool tracer_goto(struct tracer *t, uint64_t rip, uint32_t times);

/* -- judging -----------------------------------------------------------------
 */

struct verdict {
    bool exists; /* the topic does */
    bool group[GROUPS]; /* the groups do */
    uint32_t held; /* claims that the victim held */
    struct tags got[GROUPS]; /* what each group was given, in order */
    uint32_t attempts[TAGS_MAX]; /* of what WORK was given */
};
uint64_t verdict_hash(const struct verdict *verdict);

/* The clock of patience, for each call and experiment, starts anew. */
void alive(void);

/* What the proof is about when something is broken. */
struct scene {
    const struct world *world;
    const char *mode;
    uint64_t rip;
    uint32_t nth;
};
extern struct scene scene;
#define MODES "SZKR"
uint32_t mode_of(const char *mode); /* its index in MODES */
static inline bool recovering(void) /* mode R */
{
    return scene.mode[0] == 'R';
}
void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The copy becomes what the live files are now, everybody in it dead. */
void judge_copy(struct world *w);
/* Recovers a topic of which everybody is dead and drains it. */
void judge(struct world *w, bool live, struct verdict *ret);

/* -- modes and figures
 * --------------------------------------------------------- */

#define TRACE_MAX 400000u

/* Of one run in mode S. */
struct trace {
    uint32_t cnt;
    uint32_t ready; /* from here on it has done all but wait for shmqd */
    struct {
        uint64_t rip;
        uint64_t verdict;
        uint32_t times;
        uint32_t nth;
    } at[TRACE_MAX];
};

#define OPS_MAX 256u
#define WAIT_OPS 5
extern const char *const wait_ops[WAIT_OPS];

/* How long something took, in quarters of an octave. */
#define SPANS 256
struct spans {
    _Atomic uint64_t max_ns;
    _Atomic uint64_t cnt[SPANS];
};
void span_note(struct spans *spans, uint64_t ns);
/* Upper bound in ms of the shortest `share` of all (1: the longest). */
double span_ms(struct spans *spans, double share);

struct totals {
    _Atomic uint64_t points, judged, resumes, kills, reap_points, reap_resumes,
        reap_kills, states, broken, broken_in[4], configs, flips, missed;
    struct spans waits, reaps, proofs, wakes;
    _Atomic uint64_t wait_steps[WAIT_OPS]; /* by wait_ops */
    _Atomic uint32_t executed[OPS_MAX][2]; /* runs of coverage.c, by ring */
    _Atomic uint64_t wait_steps_dead; /* any, where records may be buried */
    _Atomic uint64_t wait_steps_log; /* any, on a durable topic */
};
extern struct totals *totals; /* shared by all workers */

/* How often each instruction of the library was stepped to by mode S, was the
 * place where a victim was held, or killed, and was executed where everything
 * is stepped (coverage.c); shared by all workers. */
enum mark { STEPPED, HELD, KILLED, EXECUTED, MARKS };
extern uint32_t *marks[MARKS];
static inline void mark(enum mark kind, uint64_t rip)
{
    marks[kind][rip - (uint64_t)library_begin]++;
}
static inline uint32_t marked(enum mark kind, uint64_t rip)
{
    return marks[kind][rip - (uint64_t)library_begin];
}

void real_pause(uint64_t ns);
uint64_t real_ns(void); /* the machine's clock, not that of clock.c */
void atomic_raise(_Atomic uint64_t *at, uint64_t value);

#endif
