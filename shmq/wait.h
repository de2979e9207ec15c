/* wait.h - sleeping and waking.
 *
 * A sleeper announces itself (waiting, then its bit in `armed`), looks at the
 * ring once more, and sleeps on its own futex word, which it read before. A
 * waker that finds `armed` set takes all bits by exchange and wakes whom they
 * stand for. Several endpoints may share a bit; a stale bit costs one futile
 * system call.
 *
 * The wake is work that a killed or stopped waker leaves undone. Therefore
 * every sleep is bounded (SHMQI_NAP_MAX_NS), and the sleeper then looks for
 * itself.
 *
 * spsc publishes with a plain store: its look at `armed` may come before the
 * store is visible, so a sleeper that armed within those nanoseconds may be
 * overlooked. A sleeper that has just armed therefore goes on looking for
 * SHMQI_SETTLE_NS, many times what a store takes to become visible; should one
 * take longer still, the bound of the sleep holds as for a killed waker. Topics
 * with SHMQ_TOPIC_ASYMMETRIC use membarrier instead. */
#ifndef SHMQI_WAIT_H
#define SHMQI_WAIT_H

#include "endpoint.h"
#include "sleep.h"

#define SHMQI_SETTLE_NS 2000ull
#define SHMQI_NAP_NS 20000000ull
#define SHMQI_NAP_MAX_NS 40000000ull
#define SHMQI_NAP_PEER_NS 250000ull /* held up by a living peer, at first */
#define SHMQI_NAP_PEER_LATE_NS 5000000ull
#define SHMQI_PEER_WATCH_NS 100000000ull

/* After a publish: wakes members that sleep or poll. One load when none do. */
void shmqi_wake_members_slow(struct shmqi_segment *s);
static inline void shmqi_wake_members(struct shmqi_segment *s)
{
    if (shmqi_members_armed(&s->ring))
        shmqi_wake_members_slow(s);
}

/* After a floor moved: wakes producers that wait for room. */
void shmqi_wake_producers_slow(struct shmqi_segment *s);
static inline void shmqi_wake_producers(struct shmqi_segment *s)
{
    if (shmqi_producers_armed(&s->ring))
        shmqi_wake_producers_slow(s);
}

/* Wakes everybody: the topic was deleted, groups changed. */
void shmqi_wake_all(struct shmqi_segment *s);

/* One sleep. begin announces and reads the futex word; the caller then looks at
 * the ring and calls commit (sleep) or goes on. */
struct shmqi_sleep {
    struct shmqi_segment *segment;
    uint32_t idx;
    uint32_t value;
    bool settle; /* look for SHMQI_SETTLE_NS before sleeping */
};
void shmqi_sleep_begin(struct shmqi_sleep *sl, struct shmqi_segment *s,
    uint32_t idx, enum shmqi_waiting what);
/* Sleeps at most `ns` and not beyond `deadline`. Returns 0, or INTR when a
 * signal handler ran. */
int shmqi_sleep_commit(struct shmqi_sleep *sl, uint64_t ns, uint64_t deadline);
/* The same for several begun sleeps, up to SHMQI_SLEEP_ANY_MAX: ends when one
 * of them is woken. SYS: this kernel cannot. */
#define SHMQI_SLEEP_ANY_MAX 128u
int shmqi_sleep_commit_any(
    struct shmqi_sleep *sl, uint32_t cnt, uint64_t ns, uint64_t deadline);
/* The wait is over. Until then the endpoint counts as waiting, also between two
 * sleeps: so `stat` does not catch it awake by chance. */
void shmqi_sleep_end(struct shmqi_segment *s, uint32_t idx);

/* Registers this process for the asymmetric option; SYS when impossible. */
int shmqi_asymmetric_register(void);

/* -- pollable descriptor -------------------------------------------------
 * A doorbell (FIFO) that wakers ring, and above it, for those who wait for one
 * endpoint, a timer with the bound of every sleep and a descriptor for both. */
struct shmqi_poll {
    int epoll_fd, fifo_fd, timer_fd;
    bool armed;
};
/* The doorbell alone. */
int shmqi_bell_open(
    struct shmqi_poll *p, struct shmqi_segment *s, uint64_t identity);
/* Timer and descriptor on top of an open doorbell; nothing when they are
 * there. */
int shmqi_poll_open(struct shmqi_poll *p, struct shmqi_segment *s);
void shmqi_poll_close(
    struct shmqi_poll *p, struct shmqi_segment *s, uint64_t identity);

/* Asks for the bell, before the last look at the ring. It stays asked for until
 * it was rung. True as in shmqi_poll_arm(). */
bool shmqi_bell_arm(struct shmqi_segment *s, uint32_t idx);
/* Takes what was rung, before looking at the ring. */
void shmqi_bell_heard(const struct shmqi_poll *p);

/* Arms it before the last look at the ring; disarm at the next receive. True
 * when the last look must go on for SHMQI_SETTLE_NS. */
bool shmqi_poll_arm(
    struct shmqi_poll *p, struct shmqi_segment *s, uint32_t idx, uint64_t ns);
/* Waits for the doorbell, the timer, or `pidfd` becoming readable (the death of
 * that process). 0, or INTR. */
int shmqi_poll_wait(struct shmqi_poll *p, int pidfd, uint64_t deadline);
void shmqi_poll_disarm(
    struct shmqi_poll *p, struct shmqi_segment *s, uint32_t idx);

#endif
