/* data_dir.h - which directory holds the logs. */
#ifndef SHMQD_DATA_DIR_H
#define SHMQD_DATA_DIR_H

#include "daemon.h"

/* Fills in daemon->dir, absolute: --data-dir or SHMQ_DATA_DIR as given; else
 * /var/lib/shmq/NS for root, $XDG_STATE_HOME/shmq/NS (~/.local/state/shmq/NS)
 * for others, whose parents are made when they are missing. 0 or an exit
 * status. */
int shmqd_data_dir(struct shmqd *daemon);

#endif
