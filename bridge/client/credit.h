/* credit.h - what a stream may be sent, counted in totals (docs/wire.md,
 * section 5). */
#ifndef SHMQR_CREDIT_H
#define SHMQR_CREDIT_H

#include <stdint.h>

/* Bytes, or records, of one stream. What came with an earlier stream and is
 * not taken yet (`left`) stands before all that comes with this one, so it is
 * taken first; until then it is missing in what is granted, and memory stays
 * bounded by the window however often the connection is lost. */
struct shmqr_credit {
    uint64_t wished; /* the window, if nobody else needs it */
    uint64_t left;
    uint64_t came, done, granted; /* of this stream */
};

/* A new stream begins. */
void shmqr_credit_renew(struct shmqr_credit *c);
/* Came, and is of no use. */
void shmqr_credit_skip(struct shmqr_credit *c, uint64_t amount);
/* The oldest that is queued has been taken, or dropped. */
void shmqr_credit_taken(struct shmqr_credit *c, uint64_t amount);
/* What is beyond `share` of what is granted and has not come, as far as we
 * know. */
uint64_t shmqr_credit_excess(const struct shmqr_credit *c, uint64_t share);
/* The share that each of the streams that a session may have is sure of. */
uint64_t shmqr_credit_share(uint64_t limit, uint32_t streams);
/* How much may be on its way or queued, of `limit` for all; `excess`: of the
 * other streams. Of what is left a stream leaves as much as it takes. */
uint64_t shmqr_credit_window(const struct shmqr_credit *c, uint64_t limit,
    uint32_t streams, uint64_t excess);
/* What to have granted in all. */
uint64_t shmqr_credit_total(const struct shmqr_credit *c, uint64_t window);
/* The last grant was refused. */
void shmqr_credit_refused(struct shmqr_credit *c);

#endif
