/* test_unlink_race.c - a member that joins between the look of
 * shmq_topic_unlink at the endpoints and its mark is not robbed of the topic.
 * The hook makes it join at exactly that instant. */
#include <stdio.h>
#include <string.h>

#include "support/points.h"
#include "support/support.h"

#ifdef SHMQ_HOOKS
static struct shmq_topic *topic;
static struct shmq_consumer *member;
static uint32_t joined;

/* The mark is the only such operation on the version in unlink. */
static void join_before_mark(const char *op, const char *edge)
{
    struct shmq_consumer_options options = t_options("g", 0);

    if (strcmp(edge, "J4") != 0 ||
        (strcmp(op, "cas") != 0 && strcmp(op, "rmw") != 0))
        return;
    t_points(NULL);
    T_OK(shmq_consumer_open(topic, &options, &member));
    joined++;
}

static void a_member_that_joins_just_before_the_mark_keeps_its_topic(void)
{
    struct shmq_producer *producer;

    topic = t_topic("t", NULL);
    t_points(join_before_mark);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_BUSY);
    T_EQ(joined, 1);
    T_OK(shmq_topic_check(topic));
    producer = t_producer(topic);
    (void)t_publish(producer, 1, 16);
    t_take(member, 1, 16);
    shmq_consumer_close(member);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

/* With force nothing of the kind is promised: the member gets CLOSED. */
static void with_force_it_is_removed_all_the_same(void)
{
    struct shmq_message msg;

    topic = t_topic("t", NULL);
    t_points(join_before_mark);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    T_EQ(joined, 2);
    T_RC(shmq_consumer_receive(member, &msg), SHMQ_ERR_CLOSED);
    shmq_consumer_close(member);
    shmq_topic_close(topic);
}

int main(void)
{
    t_begin();
    a_member_that_joins_just_before_the_mark_keeps_its_topic();
    with_force_it_is_removed_all_the_same();
    t_end();
    (void)printf("passed\n");
    return 0;
}
#else
int main(void)
{
    (void)printf("skipped: the library has no hooks\n");
    return 77;
}
#endif
