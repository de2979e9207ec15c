/* deadletter_wait.c - records whose copies in the dead-letter topic are under
 * way to the disk. Rules: deadletter.h. */
#include <stdlib.h>

#include "consumer_impl.h"
#include "process.h"
#include "topic_impl.h"
#include "watermarks.h"

#define NAP_NS 1000000u /* a flush takes about as long */
#define NAP_FOR_NS 100000000u /* so often only so long */
#define LATE_NS 1000000000u
#define CLOSE_NS 200000000u

bool shmqi_dead_room(struct shmq_consumer *c)
{
    struct shmqi_dead *dead = &c->dead;
    if (dead->cnt < dead->cap)
        return true;
    uint32_t cap = dead->cap ? dead->cap * 2 : 16;
    struct shmqi_dying *more = realloc(dead->dying, cap * sizeof *more);
    if (!more)
        return false;
    dead->dying = more;
    dead->cap = cap;
    return true;
}

void shmqi_dead_keep(struct shmq_consumer *c, const struct shmqi_dying *d)
{
    struct shmqi_dead *dead = &c->dead;
    if (dead->cnt == 0) {
        dead->mark = 0;
        dead->since_ns = shmqi_now_monotonic();
    }
    dead->again |= d->at == UINT64_MAX;
    dead->dying[dead->cnt++] = *d;
    dead->claim_cnt += !d->expired;
}

static void end(struct shmq_consumer *c, struct shmqi_dying *d, bool arrived)
{
    if (d->expired)
        shmqi_expire_end(c, &d->msg);
    else
        shmqi_dead_end(c, d->seq, d->claim, d->record_cnt, arrived);
    c->dead.claim_cnt -= !d->expired;
}

/* The ring that the copies went to is no more: claims are given back, records
 * in hand are copied again. */
static void start_again(struct shmq_consumer *c)
{
    struct shmqi_dead *dead = &c->dead;
    uint32_t kept = 0, cnt = dead->cnt;
    shmqi_dead_shut(c);
    dead->mark = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmqi_dying *d = &dead->dying[i];
        if (!d->expired) {
            end(c, d, false);
            continue;
        }
        d->at = UINT64_MAX;
        dead->dying[kept++] = *d;
    }
    dead->cnt = kept;
    dead->again = kept > 0;
}

/* As many as it takes. */
static void send_again(struct shmq_consumer *c)
{
    struct shmqi_dead *dead = &c->dead;
    for (uint32_t i = 0; i < dead->cnt; i++) {
        struct shmqi_dying *d = &dead->dying[i];
        if (d->at != UINT64_MAX)
            continue;
        enum shmqi_sent sent =
            shmqi_dead_send(c, &d->msg, d->msg.attempt, "expired", &d->at);
        if (sent == SHMQI_SENT_FULL || sent == SHMQI_SENT_REFUSED) {
            d->at = UINT64_MAX;
            return;
        }
        if (sent == SHMQI_SENT_SAFE)
            dead->mark = 0; /* to be ended in this look */
    }
    dead->again = false;
}

void shmqi_dead_look(struct shmq_consumer *c)
{
    struct shmqi_dead *dead = &c->dead;
    uint32_t kept = 0;
#ifndef SHMQ_BUG_DEAD_RING_TRUSTED
    if (dead->topic && shmqi_dead_gone(c))
        start_again(c);
#endif
    if (dead->again)
        send_again(c);
    if (dead->cnt == 0 || !dead->topic)
        return;
    uint64_t mark = shmqi_dead_mark(c);
    if (mark == dead->mark) {
        if (shmqi_now_monotonic() - dead->since_ns > LATE_NS)
            shmqi_dead_count_wait(c);
        return;
    }
    dead->mark = mark;
    dead->since_ns = shmqi_now_monotonic();
    for (uint32_t i = 0; i < dead->cnt; i++) {
        struct shmqi_dying *d = &dead->dying[i];
        if (d->at < mark)
            end(c, d, true);
        else
            dead->dying[kept++] = *d;
    }
    dead->cnt = kept;
}

uint64_t shmqi_dead_nap(
    const struct shmq_consumer *c, uint64_t ns, uint64_t now)
{
    if (c->dead.cnt == 0 || now - c->dead.since_ns > NAP_FOR_NS)
        return ns;
    return ns < NAP_NS ? ns : NAP_NS;
}

void shmqi_dead_close(struct shmq_consumer *c)
{
    uint64_t until = shmqi_now_monotonic() + CLOSE_NS;
    while (c->dead.cnt && !c->stale) {
        shmqi_dead_look(c);
        if (c->dead.cnt == 0 || !c->dead.topic)
            break;
        const struct shmqi_segment *s = c->dead.topic->segment;
        if (shmqi_now_monotonic() >= until || !s->ring.marks ||
            !shmqi_marks_served(s))
            break;
        uint32_t value = (uint32_t)shm_ld(M5, &s->ring.marks->wake);
        if (shmqi_dead_mark(c) == c->dead.mark)
            (void)shmqi_marks_sleep(s->ring.marks, value, until);
    }
    c->dead.cnt = 0;
    shmqi_dead_shut(c);
    free(c->dead.dying);
    c->dead.dying = NULL;
    c->dead.cap = 0;
}
