/* support.h - what the tests of libshmq share: checks that name their line,
 * random namespaces that are cleaned up, payloads that prove themselves,
 * handles in one line, waiting for events instead of sleeping.
 *
 * The checks may be used in the test's own thread (the test fails), in other
 * threads and in forked children (the process ends with status 1). */
#ifndef SHMQ_TEST_SUPPORT_H
#define SHMQ_TEST_SUPPORT_H

#include <shmq.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How long a test waits for something that must happen. */
#define T_PATIENCE 20000000000ull
#define T_MS 1000000ull

/* -- checks -------------------------------------------------------------- */

#define T_RC(expr, want) t_check_rc(__FILE__, __LINE__, #expr, (expr), (want))
#define T_OK(expr) T_RC(expr, 0)
#define T_TRUE(cond) t_check_true(__FILE__, __LINE__, #cond, (cond))
#define T_EQ(a, b) \
    t_check_eq(__FILE__, __LINE__, #a " == " #b, (uint64_t)(a), (uint64_t)(b))
/* The sentence of the last error holds `part`. */
#define T_SAYS(part) t_check_says(__FILE__, __LINE__, (part))
#define T_FAIL(text) t_fail(__FILE__, __LINE__, (text))
/* Waits until `cond` holds, at most T_PATIENCE. */
#define T_EVENTUALLY(cond) \
    do { \
        uint64_t t_end_ns = t_now_ns() + T_PATIENCE; \
        while (!(cond)) { \
            if (t_now_ns() > t_end_ns) \
                t_fail(__FILE__, __LINE__, "never came true: " #cond); \
            t_pause(); \
        } \
    } while (0)

/* Ends the test; set by the unit runner, else the process exits. */
extern void (*t_on_fail)(const char *file, int line);
/* True in forked children and wherever else a failure ends the process. */
extern bool t_is_child;

__attribute__((noreturn)) void t_fail(
    const char *file, int line, const char *text);
void t_check_rc(const char *file, int line, const char *expr, int rc, int want);
void t_check_true(const char *file, int line, const char *expr, bool ok);
void t_check_eq(
    const char *file, int line, const char *expr, uint64_t a, uint64_t b);
void t_check_says(const char *file, int line, const char *part);

/* -- time and chance ----------------------------------------------------- */

uint64_t t_now_ns(void); /* CLOCK_MONOTONIC */
int64_t t_wall_ns(void); /* CLOCK_REALTIME */
void t_pause(void); /* half a millisecond, in loops that wait */
void t_sleep_ns(uint64_t ns);

/* The seed of this run: SHMQ_TEST_SEED or 1; printed by t_seed_say(). */
uint64_t t_seed(void);
uint64_t t_seed_say(const char *what);
/* splitmix64: next number of the sequence in *state. */
uint64_t t_random(uint64_t *state);
static inline uint64_t t_below(uint64_t *state, uint64_t limit)
{
    return t_random(state) % limit;
}

/* -- namespaces and files ------------------------------------------------ */

extern char t_ns[SHMQ_NAMESPACE_MAX + 1]; /* this test's own namespace */

void t_begin(void);
/* Kills children, removes the namespace's topics, and fails when anything but
 * the lock file is left behind. */
void t_end(void);

/* "/dev/shm/shmq.<ns>.<kind>.<topic>", static storage. */
const char *t_path(char kind, const char *topic);
/* Files of this namespace in /dev/shm, lock files not counted. */
uint32_t t_file_cnt(void);
uint32_t t_fd_cnt(void); /* open descriptors of this process */
uint32_t t_map_cnt(void); /* mappings of files of this namespace */
/* False under user-mode emulators that show a made-up /proc/self/stat: then
 * the library cannot prove by pid who lives. */
bool t_proc_is_real(void);

/* -- payloads ------------------------------------------------------------ */

/* Fills `data` with bytes that follow from `tag`; the first 8 are the tag. */
void t_fill(void *data, uint64_t size, uint64_t tag);
bool t_matches(const void *data, uint64_t size, uint64_t tag);
uint64_t t_tag(const struct shmq_message *msg);
/* The message is intact and carries `tag` in `size` bytes. */
#define T_CARRIES(msg, tag, bytes) \
    t_check_carries(__FILE__, __LINE__, (msg), (tag), (bytes))
void t_check_carries(const char *file, int line, const struct shmq_message *msg,
    uint64_t tag, uint64_t size);

/* -- handles ------------------------------------------------------------- */

struct shmq_topic_attrs t_attrs(void);
/* mpmc, `slots` frames, `arena` bytes per producer, the largest message that
 * fits. */
struct shmq_topic_attrs t_mpmc(uint64_t slots, uint64_t arena);
struct shmq_topic_attrs t_spsc(uint64_t ring_bytes);
/* Creates and opens `name` in the test's namespace. */
struct shmq_topic *t_topic(
    const char *name, const struct shmq_topic_attrs *attrs);
struct shmq_topic *t_open(const char *name);
struct shmq_producer *t_producer(struct shmq_topic *topic);

struct shmq_consumer_options t_options(const char *group, uint32_t kind);
struct shmq_consumer *t_consumer(
    struct shmq_topic *topic, const struct shmq_consumer_options *options);
struct shmq_consumer *t_exclusive(struct shmq_topic *topic, const char *group);
struct shmq_consumer *t_shared(struct shmq_topic *topic, const char *group);
struct shmq_consumer *t_ephemeral(struct shmq_topic *topic, uint32_t start);
struct shmq_start t_start(uint32_t kind, uint64_t value);

/* Publishes `size` bytes with `tag`; the result is the position. */
uint64_t t_publish(struct shmq_producer *producer, uint64_t tag, uint64_t size);
/* Publishes tags [first, first + cnt) of 16 bytes, a frame each. */
void t_publish_run(
    struct shmq_producer *producer, uint64_t first, uint64_t cnt);
/* Publishes `cnt` records of 16 bytes as one frame; tags from `first` on. */
uint64_t t_publish_frame(
    struct shmq_producer *producer, uint64_t first, uint32_t cnt);
/* Receives and releases one record with `tag` and `size`. */
void t_take(struct shmq_consumer *consumer, uint64_t tag, uint64_t size);
void t_take_run(struct shmq_consumer *consumer, uint64_t first, uint64_t cnt);
void t_expect_empty(struct shmq_consumer *consumer);

/* The stat of a group, or of an endpoint; false when there is none. */
bool t_group_stat(
    struct shmq_topic *topic, const char *group, struct shmq_group_stat *ret);
bool t_endpoint_stat(
    struct shmq_topic *topic, int32_t pid, struct shmq_endpoint_stat *ret);
struct shmq_topic_stat t_stat(struct shmq_topic *topic);

#ifdef __cplusplus
}
#endif

#endif
