/* made.h - the topic that mode F makes and removes, as files: the files that
 * have names are the state. */
#ifndef SHMQ_CRASH_MADE_H
#define SHMQ_CRASH_MADE_H

#include "modes.h"

#define MADE "made"

/* -- made.c ------------------------------------------------------------------
 */

struct files_state { /* no padding: compared as bytes */
    uint64_t control, data, version;
};
struct files_state made_look(const char *ns);

/* Room for "/dev/shm/shmq.NS.KIND.made". */
#define MADE_PATH 128
void made_path(char ret[MADE_PATH], const char *ns, char kind);
/* Whatever has a name, into the namespace of copies. */
void made_copy(const struct world *w);
/* What the topic is made with. */
struct shmq_topic_attrs made_attrs(void);
/* Files of the namespace besides the world's own topic and locks. */
uint32_t made_leftovers(const char *ns);
/* The topic exists completely or not at all; either way it can be removed or
 * made, and removed without a trace. True: it existed. */
bool made_judge(const char *ns);

/* -- made_left.c: crash states ------------------------------------------------
 */

/* The files that have names, as a killed process left them. */
struct left {
    bool there[2];
    size_t bytes[2];
    uint8_t *file[2];
    bool exists; /* a topic that can be opened */
};
void left_forget(void);
uint32_t left_cnt(void);
const struct left *left_at(uint32_t i);
/* Kept before the copy is judged, which removes it. NULL: enough are kept. */
struct left *left_keep(const struct world *w);
void left_put_back(const struct world *w, const struct left *l);

#endif
