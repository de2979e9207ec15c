/* test_shm_full.c - a small or full /dev/shm: an error where memory is taken,
 * never a signal later. Each test mounts a /dev/shm of its own in a private
 * mount namespace, in a child. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "support/proc.h"

#define NOT_ALLOWED 1000

/* In a child: /dev/shm becomes a tmpfs of `size`. */
static void mount_shm(const char *size)
{
    char options[64];

    (void)snprintf(options, sizeof(options), "size=%s,mode=1777", size);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, options) != 0) {
        t_tell(NOT_ALLOWED);
        _exit(0);
    }
    t_tell(1);
}

static uint64_t free_bytes(void)
{
    struct statvfs fs;

    T_EQ(statvfs("/dev/shm", &fs), 0);
    return (uint64_t)fs.f_bfree * fs.f_bsize;
}

/* A file that leaves `left` bytes free. */
static void fill_up(uint64_t left)
{
    int fd = open("/dev/shm/ballast", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint64_t now = free_bytes();

    T_TRUE(fd >= 0);
    if (now > left)
        T_EQ(posix_fallocate(fd, 0, (off_t)(now - left)), 0);
    T_EQ(close(fd), 0);
}

static void make_room(void)
{
    T_EQ(unlink("/dev/shm/ballast"), 0);
}

static void run(int (*fn)(void *ctx))
{
    struct t_proc proc;

    t_spawn(&proc, fn, NULL);
    if (t_recv(&proc) == NOT_ALLOWED)
        T_SKIP("no right to mount a /dev/shm of one's own");
    t_join(&proc);
}

static int create_without_room(void *ctx)
{
    (void)ctx;
    mount_shm("4m");
    for (uint64_t left = 0; left < 100000; left += 4096) {
        uint64_t before;
        int rc;
        fill_up(left);
        before = free_bytes();
        rc = shmq_topic_create(t_ns, "t", NULL);
        if (rc == 0) {
            T_OK(shmq_topic_unlink(t_ns, "t", 0));
        } else {
            T_RC(rc, SHMQ_ERR_NOSPACE);
            T_EQ(shmq_error_errno(), ENOSPC);
            T_SAYS("/dev/shm");
            T_TRUE(t_file_cnt() == 0);
            /* A lock file may have been made; it has no bytes. */
            T_EQ(free_bytes(), before);
        }
        make_room();
    }
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    shmq_topic_close(t_open("t"));
    return 0;
}

TEST(create_in_a_full_shm_is_nospace_and_leaves_nothing)
{
    run(create_without_room);
}

/* Uses every byte a handle owns. */
static void use_whole_ring(struct shmq_producer *producer,
    struct shmq_consumer *c, uint64_t size, uint32_t laps)
{
    uint64_t tag = 0;
    uint64_t taken = 0;

    for (uint32_t lap = 0; lap < laps; lap++) {
        for (;;) {
            static unsigned char data[65536];
            int rc;
            t_fill(data, size, tag);
            rc = shmq_producer_publish(producer, data, size, NULL);
            if (rc == SHMQ_ERR_FULL)
                break;
            T_OK(rc);
            tag++;
        }
        while (taken < tag)
            t_take(c, taken++, size);
        t_expect_empty(c);
    }
}

static int open_producers_without_room(void *ctx)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 262144);
    struct shmq_topic *topic;
    struct shmq_consumer *c;
    struct shmq_producer *producers[8];
    struct shmq_producer *none = NULL;
    uint32_t cnt = 0;
    int rc;

    (void)ctx;
    mount_shm("1m");
    attrs.max_members = 4;
    topic = t_topic("t", &attrs);
    c = t_exclusive(topic, "x");
    for (; cnt < 8; cnt++) {
        rc = shmq_producer_open(topic, NULL, &producers[cnt]);
        if (rc != 0)
            break;
    }
    T_RC(rc, SHMQ_ERR_NOSPACE);
    T_EQ(shmq_error_errno(), ENOSPC);
    T_TRUE(cnt >= 1 && cnt < 4);
    T_EQ(t_stat(topic).producer_cnt, cnt);
    fill_up(0);
    for (uint32_t i = 0; i < cnt; i++)
        use_whole_ring(producers[i], c, 60000, 5);
    T_RC(shmq_producer_open(topic, NULL, &none), SHMQ_ERR_NOSPACE);
    T_TRUE(none == NULL);
    shmq_producer_close(producers[0]);
    producers[0] = t_producer(topic); /* takes over the arena */
    use_whole_ring(producers[0], c, 1000, 5);
    make_room();
    for (uint32_t i = 0; i < cnt; i++)
        shmq_producer_close(producers[i]);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(t_file_cnt(), 0);
    return 0;
}

TEST(a_producer_without_room_for_its_arena_is_nospace)
{
    run(open_producers_without_room);
}

static int open_groups_without_room(void *ctx)
{
    struct shmq_topic_attrs attrs = t_mpmc(4096, 65536);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    uint32_t cnt = 0;

    (void)ctx;
    mount_shm("8m");
    attrs.max_groups = 64;
    topic = t_topic("t", &attrs);
    producer = t_producer(topic);
    fill_up(0);
    for (; cnt < 64; cnt++) {
        struct shmq_consumer_options options;
        struct shmq_consumer *c = NULL;
        char name[16];
        int rc;
        (void)snprintf(name, sizeof(name), "g%u", cnt);
        options =
            t_options(name, cnt % 2 ? SHMQ_GROUP_EXCLUSIVE : SHMQ_GROUP_SHARED);
        rc = shmq_consumer_open(topic, &options, &c);
        if (rc != 0) {
            T_RC(rc, SHMQ_ERR_NOSPACE);
            break;
        }
        t_publish_run(producer, 0, 4);
        t_take_run(c, 0, 4);
        t_expect_empty(c);
        shmq_consumer_close(c);
        T_OK(shmq_group_remove(topic, name, 0));
    }
    (void)t_stat(topic);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}

TEST(groups_in_a_full_shm_work_or_are_nospace)
{
    run(open_groups_without_room);
}

static int spsc_in_a_full_shm(void *ctx)
{
    struct shmq_topic_attrs attrs = t_spsc(262144);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *c;

    (void)ctx;
    mount_shm("1m");
    topic = t_topic("t", &attrs);
    fill_up(0);
    producer = t_producer(topic);
    c = t_exclusive(topic, "x");
    use_whole_ring(producer, c, 60000, 5);
    use_whole_ring(producer, c, 1000, 5);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}

TEST(a_byte_ring_is_reserved_when_it_is_made)
{
    run(spsc_in_a_full_shm);
}

static int default_topics_in_64_mib(void *ctx)
{
    struct shmq_topic *topic;
    struct shmq_producer *producers[64];
    struct shmq_consumer *c;
    uint64_t before;

    (void)ctx;
    mount_shm("64m");
    before = free_bytes();
    topic = t_topic("t", NULL);
    producers[0] = t_producer(topic);
    c = t_shared(topic, "s");
    T_TRUE(before - free_bytes() <= 4u << 20);
    use_whole_ring(producers[0], c, 65536 - 8, 5);
    T_TRUE(before - free_bytes() <= 4u << 20);
    for (uint32_t i = 1; i < 64; i++)
        producers[i] = t_producer(topic);
    for (uint32_t i = 0; i < 64; i++)
        use_whole_ring(producers[i], c, 65536, 2);
    for (uint32_t i = 0; i < 64; i++)
        shmq_producer_close(producers[i]);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_TRUE(before - free_bytes() < 65536);
    return 0;
}

TEST(sixty_four_mebibytes_are_enough_for_a_default_topic)
{
    run(default_topics_in_64_mib);
}

static const struct CMUnitTest tests[] = {
    T(create_in_a_full_shm_is_nospace_and_leaves_nothing),
    T(a_producer_without_room_for_its_arena_is_nospace),
    T(groups_in_a_full_shm_work_or_are_nospace),
    T(a_byte_ring_is_reserved_when_it_is_made),
    T(sixty_four_mebibytes_are_enough_for_a_default_topic),
};
T_MAIN(tests)
