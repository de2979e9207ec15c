/* bugs.h - deliberate mistakes that the proofs must find. The product is built
 * without them: SHMQD_BUG() is a constant 0 then. */
#ifndef SHMQD_BUGS_H
#define SHMQD_BUGS_H

enum shmqd_bug {
    SHMQD_BUG_NONE,
    SHMQD_BUG_NO_DIR_SYNC, /* directories are not synced */
    SHMQD_BUG_ACK_BY_COMPLETION, /* the last completed write is the watermark */
    SHMQD_BUG_NO_SALT, /* all segments have the same salt */
    SHMQD_BUG_NO_CHAIN, /* what a batch says of its predecessor is ignored */
    SHMQD_BUG_RETRY_SYNC, /* a failed fsync is tried again */
    SHMQD_BUG_NAME_EARLY, /* a new segment gets its name before the one before
                             it is durable */
    SHMQD_BUG_NO_SYNC_FIRST, /* recovery believes what it reads unsynced */
    SHMQD_BUG_ACK_BEFORE_SYNC, /* a completed write counts as durable */
    SHMQD_BUG_UNREADABLE_IS_END /* what cannot be read is the log's end */
};

#ifdef SHMQD_BUGS
extern enum shmqd_bug shmqd_bug;
#define SHMQD_BUG(name) (shmqd_bug == SHMQD_BUG_##name)
#else
#define SHMQD_BUG(name) 0
#endif

#endif
