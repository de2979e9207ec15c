/* test_admins.c - administrators killed one after the other at the same access
 * to shared memory, as many as a topic has places for: whoever comes next
 * finds one. Half-made entries of the dead are no proof of death at first.
 *     crash_admins [--stride N]    (default 11; 1: every access)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/points.h"
#include "support/proc.h"
#include "support/support.h"

#ifdef SHMQ_HOOKS

#define PLACES 8 /* SHMQI_ADMIN_ENDPOINTS */

/* Makes and removes a group, killed at access *ctx; 0: not at all. */
static int administer(void *ctx)
{
    struct shmq_topic *topic = t_open("t");

    t_die_at(*(uint64_t *)ctx);
    int rc = shmq_group_create(topic, "g", NULL, NULL);
    if (rc == SHMQ_OK)
        rc = shmq_group_remove(topic, "g", 0);
    t_points(NULL);
    if (rc != SHMQ_ERR_EXISTS && rc != SHMQ_ERR_NOENT) /* left by a dead one */
        T_OK(rc);
    shmq_topic_close(topic);
    return 0;
}

/* False: `at` is beyond the last access. */
static bool kill_all_at(uint64_t at)
{
    struct t_proc proc;
    uint64_t none = 0;
    bool killed = false;

    for (uint32_t i = 0; i < PLACES; i++) {
        t_spawn(&proc, administer, &at);
        int status = t_bury(&proc);
        bool this_one = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        T_TRUE(this_one || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        killed |= this_one;
    }
    t_spawn(&proc, administer, &none);
    t_join(&proc);
    return killed;
}

int main(int argc, char **argv)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    uint64_t stride = 11, at = 1;

    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtoull(argv[2], NULL, 10);
    if (stride == 0)
        return 2;
    t_begin();
    struct shmq_topic *topic = t_topic("t", &attrs);
    while (kill_all_at(at))
        at += stride;
    (void)printf("%u administrators killed at each of %llu accesses; the next "
                 "one always found a place\n",
        PLACES, (unsigned long long)(at / stride));
    T_TRUE(at > 100);
    shmq_topic_close(topic);
    t_end();
    return 0;
}
#else
int main(void)
{
    (void)puts("skipped: needs a build with SHMQ_HOOKS");
    return 77;
}
#endif
