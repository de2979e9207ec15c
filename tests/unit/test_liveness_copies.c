/* test_liveness_copies.c - the static and the shared libshmq in one process:
 * each holds locks that the other's close(2) would drop. */
#include "support/unit.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "support/proc.h"

/* The shared library's functions, found by name. */
struct copy {
    int (*topic_open)(const char *, const char *, struct shmq_topic **);
    void (*topic_close)(struct shmq_topic *);
    int (*producer_open)(struct shmq_topic *,
        const struct shmq_producer_options *, struct shmq_producer **);
    int (*publish)(struct shmq_producer *, const void *, uint64_t, uint64_t *);
    void (*producer_close)(struct shmq_producer *);
    int (*consumer_open)(struct shmq_topic *,
        const struct shmq_consumer_options *, struct shmq_consumer **);
    int (*receive)(struct shmq_consumer *, struct shmq_message *);
    int (*release)(struct shmq_consumer *, struct shmq_message *);
    void (*consumer_close)(struct shmq_consumer *);
};

static void find(void *library, const char *name, void *ret, size_t bytes)
{
    void *found = dlsym(library, name);

    T_TRUE(found != NULL && bytes == sizeof(found));
    memcpy(ret, &found, bytes);
}

#define FIND(field, name) find(library, name, &copy->field, sizeof(copy->field))

static bool load(struct copy *copy)
{
    const char *folder = getenv("SHMQ_LIB_DIR");
    char path[1024];
    void *library;

    (void)snprintf(
        path, sizeof(path), "%s/libshmq.so", folder == NULL ? "." : folder);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    FIND(topic_open, "shmq_topic_open");
    FIND(topic_close, "shmq_topic_close");
    FIND(producer_open, "shmq_producer_open");
    FIND(publish, "shmq_producer_publish");
    FIND(producer_close, "shmq_producer_close");
    FIND(consumer_open, "shmq_consumer_open");
    FIND(receive, "shmq_consumer_receive");
    FIND(release, "shmq_consumer_release");
    FIND(consumer_close, "shmq_consumer_close");
    T_TRUE(copy->topic_open != shmq_topic_open);
    return true;
}

static void publish(
    struct copy *copy, struct shmq_producer *producer, uint64_t tag)
{
    unsigned char data[16];

    t_fill(data, sizeof(data), tag);
    T_OK(copy->publish(producer, data, sizeof(data), NULL));
}

TEST(both_copies_exchange_records_in_one_process)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c = t_shared(topic, "s");
    struct shmq_producer *p = t_producer(topic);
    struct shmq_topic *topic2 = NULL;
    struct shmq_producer *p2 = NULL;
    struct shmq_consumer *c2 = NULL;
    struct shmq_message held;
    struct shmq_message msg;
    struct copy copy;

    if (!load(&copy))
        T_SKIP("libshmq.so is not there");
    T_OK(copy.topic_open(t_ns, "t", &topic2));
    T_OK(copy.producer_open(topic2, NULL, &p2));
    T_OK(copy.consumer_open(topic2, &options, &c2));
    for (uint64_t i = 0; i < 50; i++) {
        t_publish_run(p, 2 * i, 1);
        publish(&copy, p2, 2 * i + 1);
        T_OK(shmq_consumer_receive(c, &held));
        T_CARRIES(&held, 2 * i, 16);
        T_OK(copy.receive(c2, &msg));
        T_CARRIES(&msg, 2 * i + 1, 16);
        T_OK(copy.release(c2, &msg));
        T_OK(shmq_consumer_release(c, &held));
    }
    T_EQ(t_stat(topic).member_cnt, 2);
    T_EQ(t_stat(topic).producer_cnt, 2);
    copy.consumer_close(c2);
    copy.producer_close(p2);
    copy.topic_close(topic2);
    T_EQ(t_stat(topic).member_cnt, 1);
    T_EQ(t_stat(topic).producer_cnt, 1);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

/* Holds a record by the static copy while the shared one comes and goes. */
static int hold_beside_a_copy(void *ctx)
{
    struct shmq_consumer *c = t_shared(t_open("t"), "s");
    struct shmq_message msg;
    struct shmq_topic *topic = NULL;
    struct shmq_producer *producer = NULL;
    struct copy copy;

    T_OK(shmq_consumer_receive(c, &msg));
    if (!load(&copy))
        return 1;
    for (uint32_t i = 0; i < 3; i++) {
        T_OK(copy.topic_open(t_ns, "t", &topic));
        T_OK(copy.producer_open(topic, NULL, &producer));
        copy.producer_close(producer);
        copy.topic_close(topic);
    }
    t_tell(1);
    if (*(bool *)ctx)
        t_wait_for_death();
    (void)t_hear();
    T_CARRIES(&msg, 0, 16);
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    return 0;
}

TEST(a_copy_that_detaches_does_not_make_the_other_look_dead)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer *c = t_shared(topic, "s");
    struct shmq_producer *p = t_producer(topic);
    struct shmq_message msg;
    struct copy copy;

    T_NEED_PROC();
    if (!load(&copy))
        T_SKIP("libshmq.so is not there");
    for (uint32_t k = 0; k < 2; k++) {
        struct t_proc proc;
        bool die = k == 1;
        t_publish_run(p, 0, 1);
        t_spawn(&proc, hold_beside_a_copy, &die);
        (void)t_recv(&proc);
        for (uint32_t i = 0; i < 20; i++) {
            t_expect_empty(c);
            shmq_consumer_close(t_ephemeral(topic, SHMQ_START_LATEST));
        }
        if (die) {
            t_kill(&proc);
            T_OK(
                shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
            T_CARRIES(&msg, 0, 16);
            T_OK(shmq_consumer_release(c, &msg));
            (void)t_bury(&proc);
        } else {
            t_send(&proc, 1);
            t_join(&proc);
            t_expect_empty(c);
        }
    }
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(both_copies_exchange_records_in_one_process),
    T(a_copy_that_detaches_does_not_make_the_other_look_dead),
};
T_MAIN(tests)
