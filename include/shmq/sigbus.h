/* shmq/sigbus.h - what happens when a peer cuts a topic's file short.
 *
 * Whoever may write a topic's file may also truncate it, and an access to a
 * page that is gone raises SIGBUS. So that this ends no process, the library
 * handles SIGBUS while it has topics open: on a fault inside one of its own
 * mappings it puts empty private memory in the file's place, marks the topic as
 * broken in this process, and the program goes on. The call that met the fault
 * returns SHMQ_ERR_CORRUPT, and so does every later one on that topic;
 * zero-copy views and loans stay readable and writable memory (their content is
 * lost). Other topics do not notice. Close the handles, remove the topic by
 * force.
 *
 * A SIGBUS that is not ours goes to the handler that was installed before, or
 * has the default effect. The handler is installed when the first topic is
 * opened and taken away with the last, unless another one has been put on top
 * of it meanwhile. Opening a topic, a producer or a consumer unblocks SIGBUS in
 * the calling thread: blocked, a fault would end the process. A thread that
 * uses handles opened by others must not block it.
 *
 * A handler that the application installs after ours replaces it. It should
 * call shmq_sigbus_contain() first. */
#ifndef SHMQ_SIGBUS_H
#define SHMQ_SIGBUS_H

#include <shmq/errors.h>

enum shmq_sigbus {
    SHMQ_SIGBUS_CONTAIN = 1, /* the default: install the handler */
    SHMQ_SIGBUS_LEAVE = 2 /* touch neither handler nor mask: the application
                             owns SIGBUS, and may call shmq_sigbus_contain() */
};

SHMQ_BEGIN_DECLS

/* Chooses `how` (enum shmq_sigbus), for this process. Before the first topic is
 * opened: BUSY while topics are open; INVAL. Thread-safe, does not block.
 * Killed inside: nothing is left, it is the process's own. */
SHMQ_API int shmq_sigbus_set(uint32_t how);

/* For SIGBUS handlers of the application: contains a fault at `address`
 * (siginfo's si_addr, only when si_code > 0). 1: done, return from the handler;
 * 0: not an address of any open topic, or out of memory. Async-signal-safe,
 * leaves errno alone, does not block; in any thread; killed inside, nothing is
 * left. */
SHMQ_API int shmq_sigbus_contain(const void *address);

SHMQ_END_DECLS

#endif
