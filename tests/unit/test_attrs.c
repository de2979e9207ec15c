/* test_attrs.c - attributes of a topic: schema, times, memory, owners. */
#include "support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "support/proc.h"

/* Sanitizers make mlock(2) do nothing, and touch memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NO_SANITIZER false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NO_SANITIZER false
#endif
#endif
#ifndef NO_SANITIZER
#define NO_SANITIZER true
#endif

/* -- schema
 * -------------------------------------------------------------------- */

TEST(a_topic_is_opened_for_its_own_schema_only)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096), got = t_attrs();
    struct shmq_topic *topic = NULL, *plain;

    attrs.schema = "orders:3";
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    T_OK(shmq_topic_create(t_ns, "plain", NULL));
    T_OK(shmq_topic_open_schema(t_ns, "t", "orders:3", &topic));
    T_OK(shmq_topic_attrs(topic, &got));
    T_TRUE(got.schema != NULL && strcmp(got.schema, "orders:3") == 0);
    shmq_topic_close(topic);
    topic = NULL;
    T_RC(
        shmq_topic_open_schema(t_ns, "t", "orders:4", &topic), SHMQ_ERR_LAYOUT);
    T_SAYS("orders:3");
    T_RC(shmq_topic_open_schema(t_ns, "t", "order:3", &topic), SHMQ_ERR_LAYOUT);
    T_RC(shmq_topic_open_schema(t_ns, "plain", "orders:3", &topic),
        SHMQ_ERR_LAYOUT);
    T_SAYS("(none)");
    T_RC(shmq_topic_open_schema(t_ns, "gone", "orders:3", &topic),
        SHMQ_ERR_NOENT);
    T_TRUE(topic == NULL);
    plain = t_open("plain");
    T_OK(shmq_topic_attrs(plain, &got));
    T_TRUE(got.schema == NULL);
    shmq_topic_close(plain);
    shmq_topic_close(t_open("t")); /* who asks for none gets any */
}

TEST(wrong_schemas_are_refused)
{
    static const char *const wrong[] = {
        "", "orders", ":3", "orders:", "a b:1", "a:\x01"};
    struct shmq_topic_attrs attrs = t_attrs();
    struct shmq_topic *topic = NULL;
    char large[SHMQ_SCHEMA_MAX + 2];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        attrs.schema = wrong[i];
        T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
        T_SAYS("schema");
        T_RC(shmq_topic_open_schema(t_ns, "t", wrong[i], &topic),
            SHMQ_ERR_INVAL);
    }
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    large[5] = ':';
    attrs.schema = large;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    large[SHMQ_SCHEMA_MAX] = '\0';
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    T_OK(shmq_topic_open_schema(t_ns, "t", large, &topic));
    shmq_topic_close(topic);
}

/* -- times
 * ----------------------------------------------------------------------- */

static void check_times(uint32_t ring, uint32_t timestamps)
{
    struct shmq_topic_attrs attrs =
        ring == SHMQ_RING_SPSC ? t_spsc(65536) : t_mpmc(16, 65536);
    struct shmq_topic_attrs got = t_attrs();
    struct shmq_topic *topic;
    struct shmq_producer *p;
    struct shmq_consumer *c;
    struct shmq_message msg;
    struct shmq_loan loan;
    int64_t before, last = 0;

    attrs.timestamps = timestamps;
    topic = t_topic("t", &attrs);
    T_OK(shmq_topic_attrs(topic, &got));
    T_EQ(got.timestamps, timestamps);
    p = t_producer(topic);
    c = t_exclusive(topic, "x");
    before = t_wall_ns();
    t_publish_run(p, 0, 2);
    (void)t_publish_frame(p, 2, 2);
    T_OK(shmq_producer_loan(p, 8, NULL, 0, &loan));
    memcpy(loan.data, "\4\0\0\0\0\0\0\0", 8);
    T_OK(shmq_producer_commit(p, &loan, 8, NULL));
    for (uint64_t i = 0; i < 5; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), i);
        if (timestamps == SHMQ_TIMESTAMPS_OFF) {
            T_EQ(msg.time_ns, 0);
        } else if (timestamps == SHMQ_TIMESTAMPS_RECORD) {
            T_TRUE(msg.time_ns >= before && msg.time_ns <= t_wall_ns());
            T_TRUE(i == 3 ? msg.time_ns == last /* one batch, one time */
                          : msg.time_ns > last);
        } else {
            T_TRUE(msg.time_ns > before - 50 * (int64_t)T_MS);
        }
        last = msg.time_ns;
        T_OK(shmq_consumer_release(c, &msg));
    }
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(records_have_the_times_that_were_asked_for)
{
    for (uint32_t t = SHMQ_TIMESTAMPS_FRAME; t <= SHMQ_TIMESTAMPS_RECORD; t++) {
        check_times(SHMQ_RING_MPMC, t);
        check_times(SHMQ_RING_SPSC, t);
    }
}

TEST(wrong_times_are_refused)
{
    struct shmq_topic_attrs attrs = t_attrs();

    attrs.timestamps = 4;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    attrs.timestamps = SHMQ_TIMESTAMPS_OFF;
    attrs.ttl_ns = 1000 * T_MS;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    T_SAYS("ttl");
    attrs.timestamps = 0;
    attrs.ttl_ns = 10;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    attrs.ttl_ns = UINT64_MAX;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    attrs.ttl_ns = 0;
    attrs.flags = SHMQ_TOPIC_TTL_DEAD_LETTER;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    attrs.flags = 1u << 20;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
}

/* -- memory
 * ------------------------------------------------------------------------ */

static uint64_t blocks_of(char kind)
{
    struct stat st;

    T_TRUE(stat(t_path(kind, "t"), &st) == 0);
    return (uint64_t)st.st_blocks * 512;
}

static uint64_t size_of(char kind)
{
    struct stat st;

    T_TRUE(stat(t_path(kind, "t"), &st) == 0);
    return (uint64_t)st.st_size;
}

/* Bytes of this test's mappings by a key of /proc/self/smaps. */
static uint64_t smaps(const char *key)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512], path[64];
    unsigned long long kib, sum = 0;
    bool ours = false;

    T_TRUE(file != NULL);
    (void)snprintf(path, sizeof(path), "/dev/shm/shmq.%s.", t_ns);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strchr(line, '-') != NULL && strstr(line, " rw-s ") != NULL)
            ours = strstr(line, path) != NULL;
        else if (strchr(line, '-') != NULL && strchr(line, '/') != NULL)
            ours = false;
        else if (ours && strncmp(line, key, strlen(key)) == 0 &&
            sscanf(line + strlen(key), " %llu", &kib) == 1)
            sum += kib * 1024;
    }
    (void)fclose(file);
    return sum;
}

static struct shmq_topic *topic_with(uint32_t flags)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 65536), got = t_attrs();
    struct shmq_topic *topic;

    attrs.max_producers = 4;
    attrs.flags = flags;
    topic = t_topic("t", &attrs);
    T_OK(shmq_topic_attrs(topic, &got));
    T_EQ(got.flags, flags);
    return topic;
}

static void use(struct shmq_topic *topic)
{
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = t_shared(topic, "g");

    t_publish_run(p, 0, 10);
    t_take_run(c, 0, 10);
    shmq_consumer_close(c);
    shmq_producer_close(p);
}

static long faults(void)
{
    struct rusage use_now;

    (void)getrusage(RUSAGE_SELF, &use_now);
    return use_now.ru_minflt;
}

TEST(prefault_reserves_and_maps_all_memory_at_once)
{
    struct shmq_topic *topic = topic_with(0);
    struct shmq_producer *p;
    uint64_t all;
    long before;

    T_NEED_PROC(); /* resident memory and faults are an emulator's own */
    use(topic);
    T_TRUE(blocks_of('d') < size_of('d')); /* else this test shows nothing */
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    topic = topic_with(SHMQ_TOPIC_PREFAULT);
    all = size_of('d') + size_of('c');
    T_TRUE(blocks_of('d') >= size_of('d'));
    T_TRUE(blocks_of('c') >= size_of('c'));
    use(topic);
    p = t_producer(topic);
    T_TRUE(smaps("Rss:") >= all);
    before = faults();
    t_publish_run(p, 0, 64);
    T_TRUE(faults() - before < 4 || !NO_SANITIZER);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static int open_with_low_limit(void *ctx)
{
    struct rlimit low = {4096, 4096};
    struct shmq_topic *topic = NULL;
    struct shmq_producer *p = NULL;
    struct shmq_consumer *c = NULL;
    struct shmq_topic_stat stat = {.struct_bytes = sizeof(stat)};

    (void)ctx;
    T_TRUE(setrlimit(RLIMIT_MEMLOCK, &low) == 0);
    T_TRUE(setuid(65534) == 0); /* root may lock what it likes */
    T_OK(shmq_topic_open(t_ns, "t", &topic));
    T_RC(shmq_producer_open(topic, NULL, &p), SHMQ_ERR_LIMIT);
    T_SAYS("ulimit -l");
    T_TRUE(strstr(shmq_error_text(), "lock 0 bytes") == NULL);
    T_RC(shmq_consumer_open(topic, NULL, &c), SHMQ_ERR_LIMIT);
    T_TRUE(p == NULL && c == NULL);
    /* Who only looks or removes needs no locked memory. */
    T_OK(shmq_topic_stat(topic, &stat));
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    return 0;
}

TEST(mlock_keeps_all_pages_in_memory)
{
    struct rlimit limit;
    struct shmq_topic *topic;
    struct shmq_producer *p;

    if (!NO_SANITIZER)
        T_SKIP("a sanitizer takes mlock away");
    T_TRUE(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (geteuid() != 0 && limit.rlim_cur < 1u << 20)
        T_SKIP("the limit of locked memory is too low here");
    topic = topic_with(SHMQ_TOPIC_MLOCK);
    p = t_producer(topic);
    T_TRUE(smaps("Locked:") >= size_of('d') + size_of('c'));
    shmq_producer_close(p);
    use(topic);
    shmq_topic_close(topic);
}

TEST(using_a_locked_topic_beyond_the_limit_fails)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 65536);
    struct t_proc proc;

    if (geteuid() != 0 || !NO_SANITIZER)
        T_SKIP("only root can become a user without rights, and mlock");
    attrs.flags = SHMQ_TOPIC_MLOCK | SHMQ_TOPIC_OWNER;
    attrs.owner = 65534;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    t_spawn(&proc, open_with_low_limit, NULL);
    t_join(&proc);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_NOENT);
}

TEST(huge_pages_are_asked_for)
{
    struct shmq_topic *topic = topic_with(SHMQ_TOPIC_HUGE);
    struct shmq_producer *p = t_producer(topic);
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    uint32_t asked = 0;

    T_TRUE(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        asked += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg");
    (void)fclose(file);
    shmq_producer_close(p);
    use(topic);
    shmq_topic_close(topic);
    if (asked == 0)
        T_SKIP("this kernel has no huge pages to ask for");
    T_TRUE(asked >= 2); /* both files */
}

/* -- owners
 * ------------------------------------------------------------------------- */

TEST(the_files_get_the_owners_that_were_asked_for)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096), got = t_attrs();
    struct shmq_topic *topic;
    struct stat st;

    if (geteuid() != 0)
        T_SKIP("only root gives files away");
    attrs.flags = SHMQ_TOPIC_OWNER | SHMQ_TOPIC_GROUP_OWNER;
    attrs.owner = 4321;
    attrs.group_owner = 1234;
    attrs.mode = 0660;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    for (int i = 0; i < 2; i++) {
        T_TRUE(stat(t_path("dc"[i], "t"), &st) == 0);
        T_TRUE(st.st_uid == 4321 && st.st_gid == 1234);
        T_EQ(st.st_mode & 0777, 0660);
    }
    /* root trusts its own topics only, unless told otherwise. */
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    T_TRUE(setenv("SHMQ_TRUSTED_UIDS", "4321", 1) == 0);
    T_OK(shmq_topic_open(t_ns, "t", &topic));
    T_OK(shmq_topic_attrs(topic, &got));
    T_TRUE(got.owner == 4321 && got.group_owner == 1234);
    use(topic);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_TRUE(unsetenv("SHMQ_TRUSTED_UIDS") == 0);
}

static int give_away(void *ctx)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);

    (void)ctx;
    T_TRUE(setuid(65534) == 0);
    attrs.flags = SHMQ_TOPIC_OWNER;
    attrs.owner = 0;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_PERM);
    return 0;
}

TEST(who_may_not_give_files_away_leaves_nothing)
{
    struct t_proc proc;

    if (geteuid() != 0)
        T_SKIP("only root can become somebody else");
    t_spawn(&proc, give_away, NULL);
    t_join(&proc);
    T_EQ(t_file_cnt(), 0);
}

static const struct CMUnitTest tests[] = {
    T(a_topic_is_opened_for_its_own_schema_only),
    T(wrong_schemas_are_refused),
    T(records_have_the_times_that_were_asked_for),
    T(wrong_times_are_refused),
    T(prefault_reserves_and_maps_all_memory_at_once),
    T(mlock_keeps_all_pages_in_memory),
    T(using_a_locked_topic_beyond_the_limit_fails),
    T(huge_pages_are_asked_for),
    T(the_files_get_the_owners_that_were_asked_for),
    T(who_may_not_give_files_away_leaves_nothing),
};
T_MAIN(tests)
