/* The journal of groups' places: what is removed while it is being shortened
 * takes no other group's place with it. */
#include "support/unit.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "support/log_support.h"

enum { GROUPS = 600 }; /* more than one look puts into a snapshot */

static const uint8_t uuid[16] = {1};

static void open_all(struct shmqd *daemon, const char *dir)
{
    char text[256];
    struct shmqd_store_options options = {.namespace_name = "test"};
    const char *why = NULL;
    T_EQ(shmqd_io_create(SHMQD_IO_PWRITEV2, &options.io, &why), 0);
    memset(daemon, 0, sizeof(*daemon));
    snprintf(daemon->dir, sizeof(daemon->dir), "%s", dir);
    T_EQ(
        shmqd_store_open(dir, &options, &daemon->store, text, sizeof(text)), 0);
    T_EQ(shmqd_journal_open(daemon), 0);
}

/* As by a crash: the journal is long then, whatever it holds. */
static void drop_all(struct shmqd *daemon)
{
    shmqd_journal_free(daemon);
    shmqd_store_close(daemon->store);
    daemon->store = NULL;
}

static void wait_done(struct shmqd *daemon, uint64_t ticket)
{
    uint64_t end_ns = shmqd_clock_ns() + UINT64_C(60000000000);
    while (shmqd_journal_done(daemon->journal) <= ticket &&
        shmqd_clock_ns() < end_ns)
        (void)shmqd_store_turn(daemon->store, 1000000);
    T_TRUE(shmqd_journal_done(daemon->journal) > ticket);
}

static void put_all(struct shmqd *daemon)
{
    struct shmqi_group_place place = {.kind = SHMQ_GROUP_SHARED};
    uint64_t ticket = 0;
    for (int i = 0; i < GROUPS; i++) {
        snprintf(place.name, sizeof(place.name), "g%d", i);
        place.floor = place.next = (uint64_t)i << 12;
        while ((ticket = shmqd_journal_put(daemon->journal, uuid, &place)) == 0)
            (void)shmqd_store_turn(daemon->store, 1000000);
    }
    wait_done(daemon, ticket);
}

static void first_segment(const char *dir, char *ret, size_t room)
{
    char pattern[1100];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "%s/groups/*.seg", dir);
    T_EQ(glob(pattern, 0, NULL, &found), 0);
    snprintf(ret, room, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static void count(void *ctx, const struct shmqi_group_place *place)
{
    int *cnt = ctx, number = -1;
    T_EQ(sscanf(place->name, "g%d", &number), 1);
    T_EQ(place->floor, (uint64_t)number << 12);
    ++*cnt;
}

TEST(a_group_removed_during_a_snapshot_takes_none_with_it)
{
    struct shmqd daemon;
    const char *dir = log_temporary_dir();
    char first[1200];
    int cnt = 0;
    open_all(&daemon, dir);
    put_all(&daemon);
    drop_all(&daemon);

    open_all(&daemon, dir);
    first_segment(dir, first, sizeof(first));
    shmqd_journal_look(daemon.journal); /* the first 256 */
    uint64_t ticket = shmqd_journal_remove(daemon.journal, uuid, "g0");
    T_TRUE(ticket != 0);
    wait_done(&daemon, ticket);
    uint64_t end_ns = shmqd_clock_ns() + UINT64_C(60000000000);
    while (access(first, F_OK) == 0 && shmqd_clock_ns() < end_ns) {
        shmqd_journal_look(daemon.journal);
        (void)shmqd_store_turn(daemon.store, 1000000);
    }
    T_TRUE(access(first, F_OK) != 0); /* what stood before is gone */
    drop_all(&daemon);

    open_all(&daemon, dir);
    shmqd_journal_each(daemon.journal, uuid, count, &cnt);
    T_EQ(cnt, GROUPS - 1);
    drop_all(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_group_removed_during_a_snapshot_takes_none_with_it),
    };
    return t_unit_run("journal", tests, sizeof(tests) / sizeof(tests[0]));
}
