/* denials.h - refusals, logged once each. */
#ifndef SHMQZ_DENIALS_H
#define SHMQZ_DENIALS_H

/* Tells that `user` was refused `what` on `thing`: the first time, and again
 * when it has been forgotten among many others. */
void shmqz_denied(const char *user, const char *what, const char *thing);

#endif
