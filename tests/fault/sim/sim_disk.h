/* sim_disk.h - a disk that can be cut off at any instant.
 *
 * As a back end (io.h) it completes operations in a random order, short or
 * failing when told so, and writes down everything that happens. Afterwards the
 * record can be replayed up to any event; what was not synced there is a list
 * of units (one sector, one size, one change of a directory), any subset of
 * which may be on the disk after a power cut. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "../../../daemon/storage/io.h"
#include "../../../shmq/log_reader_impl.h"

#define SIM_SECTOR 512u
#define SIM_INODES 48
#define SIM_FILE_MAX (40u * 1024)
#define SIM_NAMES 64
#define SIM_UNITS 512

struct sim_inode {
    bool used, dir;
    uint32_t size;
    uint32_t high; /* bytes of data that may be other than 0 */
    uint8_t *data;
};

struct sim_name {
    int dir, inode; /* inode -1: free */
    char name[40];
};

/* What is on a disk. Inode 0 is the data directory. */
struct sim_image {
    struct sim_inode inodes[SIM_INODES];
    struct sim_name names[SIM_NAMES];
    int inode_cnt, name_cnt;
};

void sim_image_init(struct sim_image *m);
void sim_image_copy(struct sim_image *to, const struct sim_image *from);
void sim_image_free(struct sim_image *m);
uint64_t sim_image_hash(const struct sim_image *m);

/* -- the record -------------------------------------------------------------
 */

enum sim_event_kind {
    SIM_WRITE_BEGIN,
    SIM_WRITE_END,
    SIM_SYNC_BEGIN,
    SIM_SYNC_END,
    SIM_SYNC_GONE, /* it never happened: its process was killed */
    SIM_SIZE,
    SIM_CREATE,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_MARK /* of the test: `value` */
};

struct sim_event {
    enum sim_event_kind kind;
    int inode, dir, id; /* id ties END to BEGIN */
    uint64_t off, len, value;
    const uint8_t *data;
    bool ok, dsync;
    char name[40], from[40];
};

struct sim_trace {
    struct sim_event *events;
    size_t cnt, room;
    uint8_t **blobs;
    size_t blob_cnt, blob_room;
};

/* -- the back end -------------------------------------------------------------
 */

struct sim_faults {
    uint64_t seed;
    bool shuffle; /* complete in any order, at any turn */
    bool short_writes; /* and EAGAIN, EINTR now and then */
    uint64_t fail_at; /* number of the call that fails, from 1; 0: none */
    bool fail_on; /* and all after it */
    bool fail_data; /* only asynchronous operations count */
    int err; /* positive errno */
    bool stale; /* new blocks hold what a file of before held, */
    const uint8_t *stale_bytes; /* at first this */
    uint32_t stale_len;
    int bad_inode; /* its block at bad_off cannot be read; 0: none */
    uint64_t bad_off;
};

struct sim_disk;
/* Starts with a copy of `image`. Destroyed by its ops (the store's close), but
 * for the record and the image, which are the caller's. */
struct sim_disk *sim_disk_new(const struct sim_image *image,
    const struct sim_faults *faults, struct sim_trace *trace);
struct shmqd_io *sim_disk_io(struct sim_disk *d);
/* A process was killed: its operations end somehow, the disk stays; a new back
 * end may be made on it by sim_disk_again(). The old io must be destroyed
 * first, with sim_disk_keep() set. */
void sim_disk_keep(struct sim_disk *d, bool keep);
void sim_disk_again(struct sim_disk *d, uint64_t seed);
void sim_disk_free(struct sim_disk *d);
uint64_t sim_disk_calls(const struct sim_disk *d);
void sim_disk_mark(struct sim_disk *d, uint64_t value);
const struct sim_image *sim_disk_image(const struct sim_disk *d);
void sim_trace_free(struct sim_trace *t);

/* The log reader's files in an image; ctx is the image, a directory's handle
 * its inode. */
extern const struct shmqi_log_files sim_files;
int sim_image_find(const struct sim_image *m, int dir, const char *name);

/* -- replay -------------------------------------------------------------------
 */

enum sim_unit_kind { SIM_UNIT_SECTOR, SIM_UNIT_SIZE, SIM_UNIT_NAME };

struct sim_unit {
    enum sim_unit_kind kind;
    bool done; /* its operation has completed */
    bool lost; /* a sync of it has failed: no later one makes it durable */
    int write_id, sync_id; /* the sync that covers it, or -1 */
    int inode;
    uint64_t off; /* SECTOR: place; SIZE: size */
    const uint8_t *data; /* SECTOR: its 512 bytes */
    const struct sim_event *event; /* NAME */
};

struct sim_replay {
    struct sim_image base; /* what is durable */
    struct sim_unit units[SIM_UNITS];
    int unit_cnt;
    bool overflow;
};

void sim_replay_init(struct sim_replay *r, const struct sim_image *image);
void sim_replay_step(struct sim_replay *r, const struct sim_event *e);
void sim_replay_free(struct sim_replay *r);
/* Puts a unit onto an image; a torn sector gets only its first half. */
void sim_unit_apply(struct sim_image *m, const struct sim_unit *u, bool torn);

#endif
