/* reaper.h - clears away at once what dead processes left in served topics.
 *
 * Processes of the own pid namespace are watched by pidfd: the kernel says when
 * one is gone. Others, and those that came and went between two looks, are
 * found by the look at every topic each second. */
#ifndef SHMQD_REAPER_H
#define SHMQD_REAPER_H

#include "topic.h"

/* 0 or -1. */
int shmqd_reaper_open(struct shmqd *daemon);
void shmqd_reaper_close(struct shmqd *daemon);

/* Watches the processes that are attached to `topic`, and reaps there. */
void shmqd_reaper_look(struct shmqd *daemon, struct shmqd_topic *topic);

/* The process watched under `number` is gone: reaps in all topics. */
void shmqd_reaper_death(struct shmqd *daemon, uint32_t number);

#endif
