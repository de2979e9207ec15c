/* memory_io.h - a back end of the storage engine whose disk is memory: a data
 * directory with one topic, every operation done when it is asked for. What is
 * written stays until the next image is put there. */
#ifndef FUZZ_MEMORY_IO_H
#define FUZZ_MEMORY_IO_H

#include "daemon/storage/io.h"
#include "log_image.h"

/* An empty disk. The io is static: one at a time, destroy() does nothing. */
struct shmqd_io *memory_io_empty(void);

/* The same with an image's files in their places. */
struct shmqd_io *memory_io_put(const struct image *m, uint32_t fail_read);

/* The same disk again, after a kill. */
struct shmqd_io *memory_io_again(void);

/* No read fails from now on. */
void memory_io_mend(void);

/* Content of a file of the data directory; its size or -1. */
int64_t memory_io_get(const char *name, void *bytes, size_t room);

/* The log reader's files; ctx is NULL, the topic's directory has this handle.
 */
extern const struct shmqi_log_files memory_files;
#define MEMORY_TOPIC_DIR 2

#endif
