/* shmq.h - the whole public interface of libshmq.
 *
 * libshmq lets processes of one Linux host exchange messages through lock-free
 * rings in POSIX shared memory. No daemon is on the path. A process that is
 * killed or stopped at any instruction of any call below harms nobody else:
 * shared state changes only by single atomic operations on 64-bit words, so
 * there is never anything half-done that others would have to wait for.
 *
 * Words used everywhere:
 *   namespace   a set of topics: [A-Za-z0-9_-]{1,32}; NULL means the
 *               environment's SHMQ_NAMESPACE, else "default"
 *   topic       a named ring plus its groups: [A-Za-z0-9._-]{1,128}
 *   record      one message: attributes and payload
 *   frame       1 to 4096 records that one publish made visible together
 *   position    64-bit place of a record in its topic: strictly increasing,
 *               opaque, printable, not dense
 *   group       readers that share one place in the topic; every group sees
 *               every record, members of a shared group compete for them
 *   endpoint    one open producer or consumer handle
 *
 * Rules that hold for every function unless its own text says otherwise:
 *   Result      0 (or a count) on success, else a negative enum shmq_err.
 *               Nothing is logged. shmq_error_text() gives the sentence.
 *   Outputs     ret_* parameters are untouched unless the call succeeded.
 *   Units       sizes are bytes; times are nanoseconds; deadlines are absolute
 *               CLOCK_MONOTONIC nanoseconds, see shmq_deadline().
 *   Threads     one handle is used by one thread at a time; different handles
 *               are independent, also in one process. Topic handles may be
 *               shared by threads.
 *   Blocking    only functions whose name ends in _wait block.
 *   Crash       the caller may be killed or stopped anywhere in any call; what
 *               others then see is what they would see before the call or
 *               after it.
 *   Fork        handles are dead in a fork child: calls return
 *               SHMQ_ERR_FORKED there; closing them frees private memory only.
 *   Trust       bytes written by peers are checked, never believed; misuse of
 *               the interface by the caller itself is refused with
 *               SHMQ_ERR_INVAL where it can be seen.
 *
 * Where to read on: docs/shm-layout.md (every shared byte), docs/
 * memory-model.md (every atomic edge), docs/decisions/ (why it is so). */
#ifndef SHMQ_H
#define SHMQ_H

#include <shmq/base.h>
#include <shmq/consumer.h>
#include <shmq/durable.h>
#include <shmq/errors.h>
#include <shmq/group.h>
#include <shmq/message.h>
#include <shmq/producer.h>
#include <shmq/request.h>
#include <shmq/sigbus.h>
#include <shmq/stat.h>
#include <shmq/topic.h>
#include <shmq/waitset.h>

#endif
