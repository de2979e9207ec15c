#include "credit.h"

void shmqr_credit_renew(struct shmqr_credit *c)
{
    c->left += c->came - c->done;
    c->came = c->done = c->granted = 0;
}

void shmqr_credit_skip(struct shmqr_credit *c, uint64_t amount)
{
    c->came += amount;
    c->done += amount;
}

void shmqr_credit_taken(struct shmqr_credit *c, uint64_t amount)
{
    uint64_t old = c->left < amount ? c->left : amount;
    c->left -= old;
    c->done += amount - old;
}

uint64_t shmqr_credit_excess(const struct shmqr_credit *c, uint64_t share)
{
    uint64_t open = c->granted > c->came ? c->granted - c->came : 0;
    return open > share ? open - share : 0;
}

/* A quarter of all is kept back for them. */
uint64_t shmqr_credit_share(uint64_t limit, uint32_t streams)
{
    uint64_t share = limit / 4 / (streams ? streams : 1);
    return share ? share : 1;
}

uint64_t shmqr_credit_window(const struct shmqr_credit *c, uint64_t limit,
    uint32_t streams, uint64_t excess)
{
    uint64_t share = shmqr_credit_share(limit, streams);
    uint64_t used = share * streams + excess;
    uint64_t window = share + (limit > used ? (limit - used) / 2 : 0);
    return window < c->wished ? window : c->wished;
}

uint64_t shmqr_credit_total(const struct shmqr_credit *c, uint64_t window)
{
    uint64_t total =
        c->done + window > c->left ? c->done + window - c->left : 0;
    return total > c->granted ? total : c->granted;
}

/* Totals: if part of it had been granted, saying it again does no harm. */
void shmqr_credit_refused(struct shmqr_credit *c)
{
    if (c->granted > c->came)
        c->granted = c->came;
}
