/* control_socket.h - the socket shmq.NS.s, on which clients ask for what only
 * shmqd may do (control.h of libshmq has the messages).
 *
 * Who may ask: the daemon's own user and root, as the kernel tells. A
 * connection that is silent for 10 s, or breaks the rules, is closed; at most
 * 64 are open at a time. A connection is read once per turn, and nothing waits
 * for a client: an answer that does not fit its buffer is an end. */
#ifndef SHMQD_CONTROL_SOCKET_H
#define SHMQD_CONTROL_SOCKET_H

#include "control.h"
#include "daemon.h"

/* Takes the namespace: from here on no other daemon serves it. Returns 0, or an
 * exit status (75: another one does), after having said why if `tell`; then it
 * waits up to 2 s for one that is just dying. */
int shmqd_control_claim(struct shmqd *daemon, bool tell);

/* Makes the socket and listens: once recovery is done. 0 or an exit status. */
int shmqd_control_open(struct shmqd *daemon);
void shmqd_control_close(struct shmqd *daemon);

void shmqd_control_accept(struct shmqd *daemon);
void shmqd_control_read(struct shmqd *daemon, uint32_t number);

/* Closes silent connections; makes the socket's name anew when it is gone
 * (somebody emptied /dev/shm). */
void shmqd_control_look(struct shmqd *daemon, uint64_t now_ns);

/* Answers a question that was checked (control_ask.c). */
void shmqd_control_answer(struct shmqd *daemon, const struct shmqi_ask *ask,
    struct shmqi_answer *ret);

#endif
