/* member_peers.c - the peers of a member of a shared group: who holds it up,
 * and clearing away the dead among them. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "clear.h"
#include "consumer_impl.h"
#include "process.h"
#include "reap.h"
#include "relieve.h"

int shmqi_member_watch(struct shmq_consumer *c)
{
    struct shmqi_peer peer;
    if (c->blocker >= c->ring->endpoint_cnt ||
        !shmqi_peer_read(c->ring, c->blocker, &peer))
        return -1;
    if (peer.identity == c->watched)
        return c->pidfd;
    if (c->watched && c->pidfd >= 0)
        (void)close(c->pidfd);
    c->watched = peer.identity;
    c->pidfd = -1;
    if (peer.pid == shmqi_self()->pid || !shmqi_peer_pid_valid(&peer))
        return -1;
    c->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)peer.pid, 0);
    if (c->pidfd >= 0 && !shmqi_peer_pid_valid(&peer)) {
        (void)close(c->pidfd); /* the number has been used again */
        c->pidfd = -1;
    }
    return c->pidfd;
}

bool shmqi_member_peers(struct shmq_consumer *c, bool *ret_blocked)
{
    struct shmqi_segment *s = c->segment;
    uint64_t near = shm_ld(G1, &c->ring->data->tail);
    uint64_t floor = shmqi_claims_floor(&c->find.claims, near);
    uint64_t to = shmqi_seq_expand(shm_ld(S5, &shmqi_group_of(c)->next), floor);
    uint32_t last = c->idx;
    bool moved = false;
    *ret_blocked = false;
    for (uint64_t q = floor; q < to && q < floor + (1ull << c->find.claims.lg2);
         q++) {
        uint64_t k = shm_ld(S2, shmqi_claim_at(&c->find.claims, q));
        struct shmqi_claim u = shmqi_claim_unpack(k);
        if (shmqi_claim_age(&c->find.claims, k, q) != 0 ||
            (u.state != SHMQI_CLAIM_CLAIMED &&
                u.state != SHMQI_CLAIM_DEADLETTER) ||
            u.owner == c->idx)
            continue;
        if (!*ret_blocked)
            c->blocker = u.owner;
        *ret_blocked = true;
        if (u.owner != last && u.owner < c->ring->endpoint_cnt)
            moved |= shmqi_reap_if_dead(s, c->idx, u.owner);
        last = u.owner;
    }
    if (c->member.lease_ns && *ret_blocked)
        moved |= shmqi_leases_end(s, c->idx, c->member.entry) > 0;
    return moved;
}
