#include "account.h"

#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pool.h"
#include "session.h"
#include "stream.h"

struct shmqz_account {
    struct shmqz_server *server;
    uint8_t route[SHMQZ_ROUTE_MAX];
    uint32_t route_bytes;
    char user[SHMQZ_USER_MAX + 1];
    bool has_session;
    bool waits; /* streams of it wait for room */
    uint64_t promised; /* of the server's credit */
    struct shmqz_account *next, *previous;
    /* Threads of ZeroMQ's take away from these, the parts last: whoever sees
     * none is the only one who knows the account. */
    _Atomic uint64_t unsent[SHMQZ_SIDE_CNT];
    _Atomic bool tell; /* when something was sent */
    _Atomic uint64_t parts;
};

struct shmqz_accounts {
    void *by_route; /* tsearch(3) */
    struct shmqz_account *first;
    uint32_t cnt;
    int event_fd;
    struct shmqz_task task;
    struct shmqz_source source;
};

/* -- parts ------------------------------------------------------------------
 */

struct counted {
    struct shmqz_account *account;
    void *pooled; /* NULL: the data is behind this head */
    uint64_t bytes;
    enum shmqz_side side;
    uint8_t data[];
};

static void tell(const struct shmqz_account *a)
{
    uint64_t one = 1;
    ssize_t told = write(a->server->accounts->event_fd, &one, sizeof one);
    (void)told; /* full: it is told already */
}

/* On a thread of ZeroMQ's. */
static void uncount(void *data, void *hint)
{
    struct counted *c = hint;
    struct shmqz_account *a = c->account;
    (void)data;
    shmqz_pool_give(c->pooled);
    atomic_fetch_sub(&a->unsent[c->side], c->bytes);
    free(c);
    if (atomic_exchange(&a->tell, false))
        tell(a);
    atomic_fetch_sub_explicit(&a->parts, 1, memory_order_release);
}

static bool count(struct counted *c, struct shmqz_account *account,
    enum shmqz_side side, struct shmqz_part *part, void *data, size_t bytes)
{
    c->account = account;
    c->bytes = bytes;
    c->side = side;
    if (!shmqz_part_wrap(part, data, bytes, uncount, c)) {
        free(c);
        return false;
    }
    atomic_fetch_add(&account->parts, 1);
    atomic_fetch_add(&account->unsent[side], bytes);
    return true;
}

bool shmqz_account_copy(struct shmqz_account *account, enum shmqz_side side,
    struct shmqz_part *part, const void *data, size_t bytes)
{
    if (!account || bytes < SHMQZ_COUNTED_LEAST)
        return shmqz_part_copy(part, data, bytes);
    struct counted *c = malloc(sizeof *c + bytes);
    if (!c)
        return false;
    c->pooled = NULL;
    memcpy(c->data, data, bytes);
    return count(c, account, side, part, c->data, bytes);
}

bool shmqz_account_wrap(struct shmqz_account *account, enum shmqz_side side,
    struct shmqz_part *part, void *pooled, size_t bytes)
{
    struct counted *c = malloc(sizeof *c);
    if (!c)
        return false;
    c->pooled = pooled;
    return count(c, account, side, part, pooled, bytes);
}

uint64_t shmqz_account_unsent(
    struct shmqz_account *account, enum shmqz_side side)
{
    return atomic_load(&account->unsent[side]);
}

bool shmqz_account_has_room(struct shmqz_account *account, uint64_t most)
{
    if (atomic_load(&account->unsent[SHMQZ_HANDED_OUT]) < most)
        return true;
    account->waits = true;
    atomic_store(&account->tell, true);
    /* What went before that was told to nobody. */
    return atomic_load(&account->unsent[SHMQZ_HANDED_OUT]) < most;
}

/* -- accounts ---------------------------------------------------------------
 */

static int by_route(const void *a, const void *b)
{
    const struct shmqz_account *x = a, *y = b;
    if (x->route_bytes != y->route_bytes)
        return x->route_bytes < y->route_bytes ? -1 : 1;
    return memcmp(x->route, y->route, x->route_bytes);
}

struct shmqz_account *shmqz_account_of(
    struct shmqz_server *server, const uint8_t *route, size_t route_bytes)
{
    struct shmqz_account probe;
    if (route_bytes > sizeof probe.route)
        return NULL;
    probe.route_bytes = (uint32_t)route_bytes;
    memcpy(probe.route, route, route_bytes);
    struct shmqz_account **found =
        tfind(&probe, &server->accounts->by_route, by_route);
    return found ? *found : NULL;
}

static struct shmqz_account *new_account(
    struct shmqz_server *server, const struct shmqz_peer *peer)
{
    struct shmqz_accounts *all = server->accounts;
    struct shmqz_account *a = calloc(1, sizeof *a);
    if (!a || peer->route_bytes > sizeof a->route) {
        free(a);
        return NULL;
    }
    a->server = server;
    a->route_bytes = (uint32_t)peer->route_bytes;
    memcpy(a->route, peer->route, peer->route_bytes);
    if (!tsearch(a, &all->by_route, by_route)) {
        free(a);
        return NULL;
    }
    a->next = all->first;
    if (a->next)
        a->next->previous = a;
    all->first = a;
    all->cnt++;
    return a;
}

struct shmqz_account *shmqz_account_begin(
    struct shmqz_server *server, const struct shmqz_peer *peer)
{
    struct shmqz_account *a =
        shmqz_account_of(server, peer->route, peer->route_bytes);
    if (!a)
        a = new_account(server, peer);
    if (!a)
        return NULL;
    memset(a->user, 0, sizeof a->user);
    memcpy(a->user, peer->user, strnlen(peer->user, sizeof a->user - 1));
    a->has_session = true;
    return a;
}

static void dispose(struct shmqz_account *a)
{
    struct shmqz_accounts *all = a->server->accounts;
    a->server->credit_left += a->promised;
    tdelete(a, &all->by_route, by_route);
    if (a->previous)
        a->previous->next = a->next;
    else
        all->first = a->next;
    if (a->next)
        a->next->previous = a->previous;
    all->cnt--;
    free(a);
}

/* Without a session: keeps only what is still unsent of its credit. */
static void shrink(struct shmqz_account *a)
{
    if (a->has_session)
        return;
    if (atomic_load_explicit(&a->parts, memory_order_acquire) == 0) {
        dispose(a);
        return;
    }
    uint64_t unsent = atomic_load(&a->unsent[SHMQZ_HANDED_OUT]);
    if (unsent < a->promised)
        shmqz_account_promise(a, unsent);
}

void shmqz_account_end(struct shmqz_account *account)
{
    account->has_session = account->waits = false;
    shrink(account);
}

void shmqz_account_promise(struct shmqz_account *account, uint64_t bytes)
{
    account->server->credit_left += account->promised;
    account->server->credit_left -= bytes;
    account->promised = bytes;
}

uint32_t shmqz_accounts_besides(
    struct shmqz_server *server, const struct shmqz_peer *peer, bool user_only)
{
    const struct shmqz_account *own =
        shmqz_account_of(server, peer->route, peer->route_bytes);
    uint32_t n = 0;
    for (const struct shmqz_account *a = server->accounts->first; a;
         a = a->next)
        n += a != own && (!user_only || strcmp(a->user, peer->user) == 0);
    return n;
}

/* -- the whole --------------------------------------------------------------
 */

/* Some peers have taken something. */
static bool wake(void *ctx)
{
    struct shmqz_server *server = ctx;
    uint64_t cnt;
    ssize_t had = read(server->accounts->event_fd, &cnt, sizeof cnt);
    (void)had;
    for (struct shmqz_session *s = server->sessions; s; s = s->next) {
        if (!s->account->waits)
            continue;
        s->account->waits = false;
        for (struct shmqz_stream *t = s->streams; t; t = t->next)
            shmqz_task_wake(server->loop, &t->task);
    }
    return false;
}

void shmqz_accounts_tick(struct shmqz_server *server)
{
    for (struct shmqz_account *a = server->accounts->first, *next; a;
         a = next) {
        next = a->next;
        shrink(a);
    }
}

int shmqz_accounts_open(struct shmqz_server *server)
{
    struct shmqz_accounts *all = calloc(1, sizeof *all);
    if (!all)
        return -1;
    server->accounts = all;
    all->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    all->task = (struct shmqz_task){.run = wake, .ctx = server};
    all->source =
        (struct shmqz_source){.fd = all->event_fd, .task = &all->task};
    if (all->event_fd < 0)
        return -1;
    return shmqz_source_watch(server->loop, &all->source);
}

void shmqz_accounts_close(struct shmqz_server *server)
{
    struct shmqz_accounts *all = server->accounts;
    if (!all)
        return;
    for (struct shmqz_account *a = all->first, *next; a; a = next) {
        next = a->next;
        dispose(a);
    }
    shmqz_task_drop(server->loop, &all->task);
    shmqz_source_drop(server->loop, &all->source);
    if (all->event_fd >= 0)
        close(all->event_fd);
    server->accounts = NULL;
    free(all);
}
