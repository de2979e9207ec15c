/* auth.h - answers the question of the handshake: may this key come in? */
#ifndef SHMQZ_AUTH_H
#define SHMQZ_AUTH_H

#include "server.h"

/* A request of the ZeroMQ authentication protocol, version 1.0; answers it. */
void shmqz_auth_message(
    struct shmqz_server *server, struct shmqz_message *message);

#endif
