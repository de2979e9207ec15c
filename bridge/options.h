/* options.h - the options of shmq-bridge, and what is made of them. */
#ifndef SHMQZ_OPTIONS_H
#define SHMQZ_OPTIONS_H

#include "server.h"
#include "service/settings.h"

extern const struct shmqs_program shmqz_program;

/* Everything that is known when the bridge starts. */
struct shmqz_setup {
    const struct shmqs_settings *settings;
    const char *access_path; /* NULL: none */
    char secret_key[SHMQZ_KEY_TEXT]; /* "": no encryption */
    struct shmqz_access *access;
    struct shmqz_limits limits;
    struct shmqz_net_options net;
};

/* Reads and checks all of it: 0, or a status after telling why not. */
int shmqz_setup_read(
    const struct shmqs_settings *settings, struct shmqz_setup *ret);
void shmqz_setup_free(struct shmqz_setup *setup);

/* Reads the access list again. NULL after logging why not. */
struct shmqz_access *shmqz_access_read(const char *path);

/* Whether an endpoint can be reached from this host only. Pure. */
bool shmqz_endpoint_is_local(const char *endpoint);

#endif
