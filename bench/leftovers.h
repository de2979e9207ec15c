/* leftovers.h - things with names that outlive a process: topics, message
 * queues, files in /dev/shm. When the lab is killed, a small process that
 * sleeps until then removes them. */
#ifndef LAB_LEFTOVERS_H
#define LAB_LEFTOVERS_H

#ifdef __cplusplus
extern "C" {
#endif

#define LAB_LEFTOVER_NAME 64

/* Something called `name` exists from now on, until lab_leftovers_forget();
 * `remove` removes it, in another process. */
void lab_leftovers_note(const char *name, void (*remove)(const char *name));
void lab_leftovers_forget(const char *name);

/* Starts the process that sleeps. Without it a killed run leaves things
 * behind; that is no reason not to measure. */
void lab_leftovers_guard(void);

#ifdef __cplusplus
}
#endif

#endif
