/* loop.c - whose turn it is.
 *
 * A turn gives every topic a bounded share: ring to staging, then the store
 * takes completions, then watermarks are raised. Slow things (retention, the
 * dead, the journal, topics set aside) have times of their own. The loop
 * sleeps only when no topic has anything to drain; the disk wakes it, or, when
 * nothing is under way, a publisher. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <shmq.h>

#include "control_socket.h"
#include "journal.h"
#include "reaper.h"
#include "service/service_log.h"
#include "service/service_notify.h"
#include "service/service_signals.h"
#include "topics.h"

enum { EVENTS = 64, CROWD = 4 };
#define LOOK_NS 1000000000ull /* slow things of a topic */
#define LOOK_SHORT_NS \
    50000000ull /* while space is short: retention is eager \
                 */
#define KEEP_NS 2000000ull /* between segments that retention deletes */
#define SLEEP_NS 100000000ull /* longest sleep */
#define PEEK_NS 50000ull /* between looks at rings while the disk works */
#define AWAKE_NS 150000ull /* after something moved */
#define STOP_NS 20000000000ull /* longest draining at the end */

uint64_t shmqd_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int shmqd_watch(
    struct shmqd *daemon, int fd, enum shmqd_event kind, uint32_t number)
{
    struct epoll_event event = {
        .events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | number};
    return epoll_ctl(daemon->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void shmqd_unwatch(struct shmqd *daemon, int fd)
{
    (void)epoll_ctl(daemon->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* -- one topic's share ----------------------------------------------------- */

/* Who empties /dev/shm tells nobody, and nobody could open the topic any more.
 * What the ring held beyond the log is lost with it. */
static bool ring_is_gone(
    const struct shmqd *daemon, const struct shmqd_topic *topic)
{
    struct shmqi_durable_info info;
    return shmqi_durable_look(daemon->ns, topic->name, &info) == SHMQ_ERR_NOENT;
}

static void look(struct shmqd *daemon, struct shmqd_topic *topic, uint64_t now)
{
    bool short_of_space = topic->told_state == SHMQ_DURABLE_LOW_SPACE ||
        topic->told_state == SHMQ_DURABLE_NO_SPACE;
    topic->look_ns = now + (short_of_space ? LOOK_SHORT_NS : LOOK_NS);
    int rc = shmqi_drain_check(topic->drain);
    if (rc == 0 && ring_is_gone(daemon, topic))
        rc = SHMQ_ERR_CLOSED;
    if (rc != 0) {
        shmqd_topic_set_aside(topic, SHMQD_TOPIC_FAILED,
            rc == SHMQ_ERR_CLOSED ? "its ring was removed by somebody"
                                  : "its ring is damaged");
        topic->retry_ns = now;
        return;
    }
    shmqd_reaper_look(daemon, topic);
    topic->keep_ns = now;
    shmqd_topic_figures(topic);
}

/* One segment at a time; the next one when the directory is on the disk. */
static void keep(struct shmqd_topic *topic, uint64_t now)
{
    topic->keep_ns = UINT64_MAX; /* until the next look */
    if (shmqd_topic_keep(topic))
        topic->keep_ns = now + KEEP_NS;
}

/* Ring to staging, and slow things. True when there may be more to drain. */
static bool feed(struct shmqd *daemon, struct shmqd_topic *topic, uint64_t now)
{
    if (topic->state == SHMQD_TOPIC_BEGINS)
        shmqd_topic_go_on(topic);
    if (topic->state == SHMQD_TOPIC_SERVED && now >= topic->look_ns)
        look(daemon, topic, now);
    if (topic->state != SHMQD_TOPIC_SERVED)
        return false;
    if (now >= topic->keep_ns)
        keep(topic, now);
    shmqi_drain_beat(topic->drain);
    return shmqd_topic_drain(topic);
}

/* -- events ---------------------------------------------------------------- */

static void on_signal(struct shmqd *daemon)
{
    int sig = shmqs_signals_take(daemon->signal_fd);
    if (sig == SIGTERM || sig == SIGINT) {
        shmqs_log(SHMQS_INFO, "%s: drains and ends",
            sig == SIGTERM ? "SIGTERM" : "SIGINT");
        daemon->stopping = true;
    } else if (sig == SIGHUP) {
        shmqs_log(SHMQS_INFO,
            "SIGHUP: settings are read at start only; restart to change them");
    }
}

static void on_event(struct shmqd *daemon, uint64_t data)
{
    uint32_t number = (uint32_t)data;
    switch ((enum shmqd_event)(data >> 32)) {
    case SHMQD_EVENT_SIGNAL:
        on_signal(daemon);
        break;
    case SHMQD_EVENT_LISTEN:
        shmqd_control_accept(daemon);
        break;
    case SHMQD_EVENT_ASKER:
        shmqd_control_read(daemon, number);
        break;
    case SHMQD_EVENT_DEATH:
        shmqd_reaper_death(daemon, number);
        break;
    case SHMQD_EVENT_STORE:
    case SHMQD_EVENT_TOPIC:
        break; /* the turn that follows looks at both */
    }
}

/* Publishers ring while we sleep, not while we work. False: do not sleep. */
static bool arm(struct shmqd *daemon)
{
    bool idle = true;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        /* With staging full the disk wakes us, not the publishers. */
        if (topic->state != SHMQD_TOPIC_SERVED || topic->log_full)
            continue;
        topic->armed = true;
        idle &= shmqi_drain_arm(topic->drain);
    }
    return idle;
}

static void disarm(struct shmqd *daemon)
{
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        if (topic->armed && topic->state == SHMQD_TOPIC_SERVED)
            shmqi_drain_disarm(topic->drain);
        topic->armed = false;
    }
}

static uint64_t earliest(const struct shmqd *daemon, uint64_t now)
{
    uint64_t when = now + SLEEP_NS;
    int64_t store = shmqd_store_next_ns(daemon->store);
    if (store >= 0 && (uint64_t)store < when)
        when = (uint64_t)store;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        const struct shmqd_topic *topic = daemon->topics[i];
        bool served = topic->state == SHMQD_TOPIC_SERVED;
        if (!shmqd_topic_is_known(topic))
            continue; /* nobody tries it again */
        uint64_t mine = served || topic->state == SHMQD_TOPIC_BEGINS
            ? topic->look_ns
            : topic->retry_ns;
        when = mine < when ? mine : when;
        if (served && topic->groups_ns < when)
            when = topic->groups_ns;
        if (served && topic->keep_ns < when)
            when = topic->keep_ns;
    }
    return when;
}

/* poll(2) for the time: epoll_wait(2) counts in milliseconds. */
static void sleep_for(struct shmqd *daemon, uint64_t ns)
{
    struct pollfd ready = {.fd = daemon->epoll_fd, .events = POLLIN};
    struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    struct epoll_event events[EVENTS];
    if (ns != 0 && ppoll(&ready, 1, &time, NULL) <= 0)
        return;
    int cnt = epoll_wait(daemon->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < cnt; i++)
        on_event(daemon, events[i].data.u64);
}

/* -- the loop -------------------------------------------------------------- */

/* True when something moved: then the next turn follows at once. */
static bool turn(struct shmqd *daemon, uint64_t now)
{
    bool busy = false;
    /* While the disk works, rings are looked at now and then only: each look
     * takes the lines that a publisher is writing away from it. */
    if (shmqd_store_io(daemon->store)->in_flight == 0 ||
        now - daemon->fed_ns >= PEEK_NS) {
        daemon->fed_ns = now;
        daemon->fed_records = 0;
        /* Each comes first in its turn: when staging runs short, the first
         * ones get what there is. */
        daemon->fed_first++;
        for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
            uint32_t at = (daemon->fed_first + i) % daemon->topic_cnt;
            busy |= feed(daemon, daemon->topics[at], now);
        }
        if (daemon->fed_records != 0)
            daemon->crowded = daemon->fed_records > CROWD;
    }
    busy |= shmqd_store_turn(daemon->store, 0) > 0;
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        if (topic->state != SHMQD_TOPIC_SERVED)
            continue;
        bool moved = shmqd_topic_tell(topic);
        busy |= moved;
        busy |= shmqd_topic_groups(topic, now, moved);
    }
    shmqd_topics_retry(daemon, now);
    return busy;
}

static void mark_stop(struct shmqd *daemon)
{
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        struct shmqd_topic *topic = daemon->topics[i];
        struct shmq_watermarks marks = {.struct_bytes = sizeof(marks)};
        if (topic->state != SHMQD_TOPIC_SERVED)
            continue;
        shmqi_drain_marks(topic->drain, &marks);
        topic->stop_pos = marks.published;
    }
}

static bool is_drained(const struct shmqd *daemon)
{
    for (uint32_t i = 0; i < daemon->topic_cnt; i++) {
        if (!shmqd_topic_is_drained(daemon->topics[i]))
            return false;
    }
    return true;
}

/* What to do when a turn has moved nothing. For a moment: nothing, but letting
 * others run. A publisher that waits for its record publishes the next one as
 * soon as it is told, and a flush takes no longer than falling asleep and being
 * woken on many disks. Many publishers need the core more than we do. Then,
 * while the disk works: its completion wakes us, and what came meanwhile goes
 * with the next flush; no publisher has to ring. */
static void rest(struct shmqd *daemon, uint64_t now, uint64_t busy_ns)
{
    uint64_t when = earliest(daemon, now);
    uint64_t left_ns = when > now ? when - now : 0;
    if (!daemon->crowded && now - busy_ns < AWAKE_NS) {
        (void)sched_yield();
    } else if (shmqd_store_io(daemon->store)->in_flight > 0) {
        sleep_for(daemon, left_ns < PEEK_NS ? left_ns : PEEK_NS);
    } else {
        if (arm(daemon))
            sleep_for(daemon, left_ns);
        disarm(daemon);
    }
}

bool shmqd_loop_run(struct shmqd *daemon)
{
    uint64_t watchdog_ns = shmqs_notify_watchdog_ns();
    uint64_t watchdog_at = 0, look_at = 0, stop_at = 0, poll_at = 0;
    uint64_t busy_ns = 0;
    while (true) {
        uint64_t now = shmqd_clock_ns();
        if (turn(daemon, now))
            busy_ns = now;
        else
            rest(daemon, now, busy_ns);
        if (now >= poll_at) { /* also while there is no rest */
            sleep_for(daemon, 0);
            poll_at = now + PEEK_NS;
        }
        if (watchdog_ns != 0 && now >= watchdog_at) {
            shmqs_notify("WATCHDOG=1");
            watchdog_at = now + watchdog_ns / 2;
        }
        if (now >= look_at) {
            shmqd_control_look(daemon, now);
            shmqd_journal_look(daemon->journal);
            look_at = now + LOOK_NS;
        }
        if (daemon->stopping && stop_at == 0) {
            shmqs_notify("STOPPING=1");
            mark_stop(daemon);
            stop_at = now + STOP_NS;
        }
        if (stop_at != 0 && (is_drained(daemon) || now >= stop_at))
            return is_drained(daemon);
    }
}
