/* disk.h - the log of a durable topic, and who serves it.
 *
 * The small shmqd of tests/support drains the ring with the library's own drain
 * and writes segment files, but only when the tracer says so: it comes, brings
 * everything to disk, journals the groups' places, tells, and goes. */
#ifndef SHMQ_CRASH_DISK_H
#define SHMQ_CRASH_DISK_H

#include "proof.h"

struct disk;

/* Makes the durable topic TOPIC and its log, which begin at `start`. */
struct disk *disk_make(
    const char *ns, const struct shmq_topic_attrs *attrs, uint64_t start);
/* Removes the log; the topic's files stay. */
void disk_free(struct disk *disk);
/* One turn of the daemon. */
void disk_serve(struct disk *disk);
/* What is on disk now is what disk_rewind() goes back to. */
void disk_keep(struct disk *disk);
void disk_rewind(struct disk *disk);
/* `to` becomes what `from` is; both began alike (disk_same()). */
void disk_copy(struct disk *to, const struct disk *from);
/* A fresh log becomes a copy of another, all of it. */
void disk_same(struct disk *to, const struct disk *from);
/* Removes the logs of a namespace, whoever made them. */
void disk_sweep(const char *ns);

/* The files' bytes, one behind the other, and back; where the log lies is the
 * topic's own. */
size_t disk_files_bytes(const struct shm_files *f);
void disk_files_take(uint8_t *to, const struct shm_files *f);
void disk_files_put(struct shm_files *f, const uint8_t *from);
void disk_files_copy(struct shm_files *to, const struct shm_files *from);

#endif
