/* scribble_users.c - the consumers of a game. */
#include "game.h"

/* Where the log is stands in the watermarks, which may be written over. */
#define LOG_UNREADABLE \
    IF_DURABLE(SHMQ_ERR_NODAEMON), IF_DURABLE(SHMQ_ERR_NOENT), \
        IF_DURABLE(SHMQ_ERR_PERM), IF_DURABLE(SHMQ_ERR_LAYOUT), \
        IF_DURABLE(SHMQ_ERR_SYS)

static void open_user(struct game *g, struct user *u)
{
    static const char *const names[] = {"a", "b", "c"};
    struct shmq_consumer_options o;
    memset(&o, 0, sizeof o);
    memset(u, 0, sizeof *u);
    o.struct_bytes = sizeof o;
    o.spin_ns = 1;
    if (dice(g, 4) != 0) {
        o.group = names[dice(g, 3)];
        o.attrs.kind = g->spsc ? 0 : (uint32_t)dice(g, 3);
        if (dice(g, 3) == 0)
            o.attrs.absent = SHMQ_ABSENT_RELEASE;
        if (!g->spsc && o.attrs.kind != SHMQ_GROUP_EXCLUSIVE && dice(g, 4) == 0)
            o.attrs.lease_ns = 1000000;
        o.attrs.max_attempts = dice(g, 2) ? 2 : 0;
    }
    if (dice(g, 3) == 0)
        o.flags |= SHMQ_CONSUMER_COPY;
    if (dice(g, 4) == 0)
        o.flags |= SHMQ_CONSUMER_MANUAL_ACK;
    o.start.kind = (uint32_t)dice(g, 5);
    o.start.value = dice(g, 2) ? dice(g, 1u << 20) : t_random(&g->dice);
    o.prefetch_frames = (uint32_t)dice(g, 2) * (uint32_t)dice(g, 70);
    u->member = o.group != NULL;
    (void)CALL(shmq_consumer_open(g->topic, &o, &u->c));
}

void scribble_close_consumer(struct user *u)
{
    CALL((shmq_consumer_close(u->c), 0));
    memset(u, 0, sizeof *u);
}

static void receive(struct game *g, struct user *u)
{
    if (u->cnt == HELD)
        return;
    struct shmq_message *msg = &u->msg[u->cnt];
    int rc = dice(g, 8) ? CALL(shmq_consumer_receive(u->c, msg))
                        : CALL(shmq_consumer_receive_wait(
                              u->c, shmq_deadline(dice(g, 40000)), msg));
    ONLY(rc, SHMQ_ERR_EMPTY, SHMQ_ERR_TIMEOUT, SHMQ_ERR_GAP, SHMQ_ERR_LIMIT,
        SHMQ_ERR_STALE, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT, LOG_UNREADABLE);
    if (rc == SHMQ_OK) {
        scribble_check_message(g, u, msg);
        u->cnt++;
    } else if (rc == SHMQ_ERR_GAP) {
        struct shmq_gap gap;
        T_OK(shmq_consumer_gap(u->c, &gap));
    }
}

static void finish(struct game *g, struct user *u)
{
    if (u->cnt == 0)
        return;
    uint32_t i = (uint32_t)dice(g, u->cnt);
    struct shmq_message *msg = &u->msg[i];
    int rc;
    switch (dice(g, 5)) {
    case 0:
        if (!u->member)
            return;
        rc = CALL(shmq_consumer_nack(u->c, msg));
        break;
    case 1:
        rc = CALL(shmq_consumer_ack(u->c, msg));
        ONLY(rc, SHMQ_ERR_STALE, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
        return; /* still to be released */
    default:
        rc = CALL(shmq_consumer_release(u->c, msg));
        break;
    }
    ONLY(rc, SHMQ_ERR_STALE, SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT);
    u->msg[i] = u->msg[--u->cnt];
}

struct polling {
    struct game *g;
    struct user *u;
};

static int handler(void *ctx, const struct shmq_message *msg)
{
    static const int results[] = {SHMQ_HANDLED_ACK, SHMQ_HANDLED_ACK,
        SHMQ_HANDLED_ACK, SHMQ_HANDLED_STOP, SHMQ_HANDLED_NACK, -77};
    struct polling *p = ctx;
    scribble_check_message(p->g, p->u, msg);
    return results[dice(p->g, 6)];
}

static void poll_user(struct game *g, struct user *u)
{
    struct polling p = {g, u};
    uint32_t max = (uint32_t)dice(g, 2) * 5;
    scribble_call_begin("shmq_consumer_poll");
    int rc = dice(g, 4) ? shmq_consumer_poll(u->c, handler, &p, max)
                        : shmq_consumer_poll_wait(u->c, handler, &p, max,
                              shmq_deadline(dice(g, 20000)));
    scribble_call_end();
    if (rc < 0 && rc != -77)
        ONLY(rc, SHMQ_ERR_TIMEOUT, SHMQ_ERR_GAP, SHMQ_ERR_LIMIT, SHMQ_ERR_STALE,
            SHMQ_ERR_CLOSED, SHMQ_ERR_CORRUPT, LOG_UNREADABLE);
}

static void odd_job(struct game *g, struct user *u)
{
    struct shmq_start start = {(uint32_t)dice(g, 5), 0, t_random(&g->dice)};
    uint64_t position;
    int fd;
    if (dice(g, 2))
        start.value = dice(g, 1u << 16);
    switch (dice(g, 5)) {
    case 0:
        if (CALL(shmq_consumer_seek(u->c, &start)) == SHMQ_OK)
            u->cnt = 0; /* what was held is void */
        break;
    case 1:
        (void)CALL(shmq_consumer_extend(u->c));
        break;
    case 2:
        (void)CALL(shmq_consumer_position(u->c, &position));
        break;
    case 3:
        (void)CALL(shmq_consumer_drained(u->c));
        break;
    default:
        if (dice(g, 8) == 0)
            (void)CALL(shmq_consumer_fd(u->c, &fd));
        break;
    }
}

void scribble_use_consumer(struct game *g)
{
    struct user *u = &g->user[dice(g, CONSUMERS)];
    if (!u->c) {
        if (dice(g, 3) == 0)
            open_user(g, u);
        return;
    }
    switch (dice(g, 16)) {
    case 0:
        if (dice(g, 4) == 0)
            scribble_close_consumer(u);
        break;
    case 1:
        odd_job(g, u);
        break;
    case 2:
    case 3:
    case 4:
        poll_user(g, u);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
        finish(g, u);
        break;
    default:
        receive(g, u);
        break;
    }
}
