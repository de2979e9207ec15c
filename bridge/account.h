/* account.h - what the bridge has sent to a connection and ZeroMQ still keeps,
 * because the peer does not read. It is counted in bytes, and belongs to the
 * connection: a client that begins one session after another on it, or lets go
 * of its streams, has no more than before. */
#ifndef SHMQZ_ACCOUNT_H
#define SHMQZ_ACCOUNT_H

#include "server.h"

/* Control frames and payloads below it are bounded by their number alone. */
#define SHMQZ_COUNTED_LEAST 512u

struct shmqz_account;

enum shmqz_side {
    SHMQZ_HANDED_OUT = 0, /* payloads of DELIVER */
    SHMQZ_ANSWERS = 1, /* control frames */
};
#define SHMQZ_SIDE_CNT 2

/* 0, or -1 with errno. Close it when the network is closed: all parts have been
 * given back by then. */
int shmqz_accounts_open(struct shmqz_server *server);
void shmqz_accounts_close(struct shmqz_server *server);

/* The account of a connection that has one; NULL: none. */
struct shmqz_account *shmqz_account_of(
    struct shmqz_server *server, const uint8_t *route, size_t route_bytes);

/* The same, made when there is none, for a session that begins. NULL: no
 * memory. */
struct shmqz_account *shmqz_account_begin(
    struct shmqz_server *server, const struct shmqz_peer *peer);
/* The session ends; the account stays until everything was taken, and so much
 * of the credit with it. */
void shmqz_account_end(struct shmqz_account *account);

/* Accounts of other connections than the peer's: all, or those of its user. */
uint32_t shmqz_accounts_besides(
    struct shmqz_server *server, const struct shmqz_peer *peer, bool user_only);

/* Credit that is promised to the account, instead of what it had. */
void shmqz_account_promise(struct shmqz_account *account, uint64_t bytes);

/* Makes a part that counts until ZeroMQ has sent it: a copy of `data`, or
 * `data` itself, which came from shmqz_pool_take() and goes back there. False:
 * no memory, nothing was taken over. */
bool shmqz_account_copy(struct shmqz_account *account, enum shmqz_side side,
    struct shmqz_part *part, const void *data, size_t bytes);
bool shmqz_account_wrap(struct shmqz_account *account, enum shmqz_side side,
    struct shmqz_part *part, void *pooled, size_t bytes);

/* Bytes that were not taken yet. */
uint64_t shmqz_account_unsent(
    struct shmqz_account *account, enum shmqz_side side);

/* Whether less than `most` payload is unsent. If not, the streams of the
 * connection are woken when some of it has gone. */
bool shmqz_account_has_room(struct shmqz_account *account, uint64_t most);

/* Gives up accounts that nothing is left of. Every 100 ms. */
void shmqz_accounts_tick(struct shmqz_server *server);

#endif
