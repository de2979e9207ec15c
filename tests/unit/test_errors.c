/* test_errors.c - result numbers, names, texts, version and deadlines. */
#include "support/unit.h"

#include <limits.h>
#include <pthread.h>

TEST(error_numbers_are_frozen)
{
    T_EQ(SHMQ_OK, 0);
    T_TRUE(SHMQ_ERR_FULL == -1 && SHMQ_ERR_EMPTY == -2);
    T_TRUE(SHMQ_ERR_TIMEOUT == -3 && SHMQ_ERR_INTR == -4);
    T_TRUE(SHMQ_ERR_CLOSED == -5 && SHMQ_ERR_GAP == -6);
    T_TRUE(SHMQ_ERR_INVAL == -16 && SHMQ_ERR_NOENT == -17);
    T_TRUE(SHMQ_ERR_EXISTS == -18 && SHMQ_ERR_BUSY == -19);
    T_TRUE(SHMQ_ERR_PERM == -20 && SHMQ_ERR_TOO_LARGE == -21);
    T_TRUE(SHMQ_ERR_NOSPACE == -22 && SHMQ_ERR_LAYOUT == -23);
    T_TRUE(SHMQ_ERR_CORRUPT == -24 && SHMQ_ERR_STALE == -25);
    T_TRUE(SHMQ_ERR_NODAEMON == -26 && SHMQ_ERR_READ_ONLY == -27);
    T_TRUE(SHMQ_ERR_DURABILITY_FAILED == -28 && SHMQ_ERR_LIMIT == -29);
    T_TRUE(SHMQ_ERR_FORKED == -30 && SHMQ_ERR_NOMEM == -31);
    T_TRUE(SHMQ_ERR_SYS == -32);
}

TEST(other_public_numbers_are_frozen)
{
    T_TRUE(SHMQ_RING_MPMC == 1 && SHMQ_RING_SPSC == 2);
    T_TRUE(SHMQ_ON_FULL_BLOCK == 1 && SHMQ_ON_FULL_DROP_NEW == 2);
    T_TRUE(SHMQ_ON_FULL_DROP_OLD == 3 && SHMQ_DURABILITY_DISK == 2);
    T_TRUE(SHMQ_GROUP_SHARED == 1 && SHMQ_GROUP_EXCLUSIVE == 2);
    T_TRUE(SHMQ_ABSENT_KEEP == 1 && SHMQ_ABSENT_RELEASE == 2);
    T_TRUE(SHMQ_START_EARLIEST == 1 && SHMQ_START_LATEST == 2);
    T_TRUE(SHMQ_START_POSITION == 3 && SHMQ_START_TIME == 4);
    T_TRUE(SHMQ_ATTR_KEY == 1 && SHMQ_ATTR_CONTENT_TYPE == 2);
    T_TRUE(SHMQ_ATTR_REPLY_TO == 3 && SHMQ_ATTR_CORRELATION_ID == 4);
    T_TRUE(SHMQ_ATTR_HEADER == 5 && SHMQ_ATTR_RECORD_TIME == 6);
    T_TRUE(SHMQ_ATTR_EXPIRY == 7 && SHMQ_ATTR_DEAD_LETTER == 8);
    T_TRUE(SHMQ_MESSAGE_REDELIVERED == 1u && SHMQ_BATCH_MAX == 4096);
    T_TRUE(SHMQ_GAP_DROPPED == 1 && SHMQ_GAP_TRUNCATED == 4);
    T_TRUE(SHMQ_HANDLED_ACK == 0 && SHMQ_HANDLED_STOP == 1);
    T_TRUE(SHMQ_HANDLED_NACK == 2);
    T_TRUE(SHMQ_ROLE_PRODUCER == 1 && SHMQ_ROLE_ADMIN == 4);
    T_TRUE(SHMQ_STATE_RUNNING == 1 && SHMQ_STATE_UNKNOWN == 4);
}

TEST(every_error_has_a_name_of_its_own)
{
    for (int rc = -15; rc <= 0; rc++) {
        if (rc < -6)
            T_TRUE(strcmp(shmq_err_name(rc), "UNKNOWN") == 0);
        else
            T_TRUE(strcmp(shmq_err_name(rc), "UNKNOWN") != 0);
    }
    for (int rc = -32; rc <= -16; rc++) {
        T_TRUE(strcmp(shmq_err_name(rc), "UNKNOWN") != 0);
        for (int other = -32; other < rc; other++)
            T_TRUE(strcmp(shmq_err_name(rc), shmq_err_name(other)) != 0);
    }
    T_TRUE(strcmp(shmq_err_name(SHMQ_ERR_FULL), "FULL") == 0);
    T_TRUE(strcmp(shmq_err_name(SHMQ_ERR_TOO_LARGE), "TOO_LARGE") == 0);
    T_TRUE(strcmp(shmq_err_name(SHMQ_ERR_DURABILITY_FAILED),
               "DURABILITY_FAILED") == 0);
    T_TRUE(strcmp(shmq_err_name(SHMQ_ERR_SYS), "SYS") == 0);
}

TEST(any_integer_has_an_error_name)
{
    static const int odd[] = {1, -33, -7, 4096, INT_MAX, INT_MIN};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        T_TRUE(strcmp(shmq_err_name(odd[i]), "UNKNOWN") == 0);
}

TEST(version_is_that_of_the_headers)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%d.%d.%d", SHMQ_VERSION_MAJOR,
        SHMQ_VERSION_MINOR, SHMQ_VERSION_PATCH);
    T_TRUE(strcmp(shmq_version(), text) == 0);
}

TEST(deadlines_count_from_now_and_never_overflow)
{
    uint64_t before = t_now_ns();
    uint64_t deadline = shmq_deadline(1000000000);
    uint64_t after = t_now_ns();

    T_TRUE(deadline >= before + 1000000000 && deadline <= after + 1000000000);
    T_EQ(shmq_deadline(SHMQ_FOREVER), SHMQ_FOREVER);
    T_TRUE(shmq_deadline(SHMQ_FOREVER - 1) > after);
    T_TRUE(shmq_deadline(UINT64_MAX / 2) > after);
}

TEST(error_text_names_the_thing_and_has_no_newline)
{
    struct shmq_topic *topic = NULL;

    T_RC(shmq_topic_open(t_ns, "missing", &topic), SHMQ_ERR_NOENT);
    T_SAYS("missing");
    T_TRUE(strchr(shmq_error_text(), '\n') == NULL);
    T_TRUE(strchr(shmq_error_text(), ':') != NULL);
    T_TRUE(topic == NULL);
}

TEST(flow_outcomes_leave_the_error_text_alone)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_consumer *consumer = t_ephemeral(topic, SHMQ_START_LATEST);
    struct shmq_topic *missing = NULL;
    char text[512];

    T_RC(shmq_topic_open(t_ns, "missing", &missing), SHMQ_ERR_NOENT);
    (void)snprintf(text, sizeof(text), "%s", shmq_error_text());
    t_expect_empty(consumer);
    T_TRUE(strcmp(text, shmq_error_text()) == 0);
    shmq_consumer_close(consumer);
    shmq_topic_close(topic);
}

static void *error_free_thread(void *arg)
{
    (void)arg;
    T_TRUE(shmq_error_text() != NULL);
    T_TRUE(strstr(shmq_error_text(), "missing") == NULL);
    T_EQ(shmq_error_errno(), 0);
    return NULL;
}

TEST(error_text_belongs_to_the_thread)
{
    struct shmq_topic *topic = NULL;
    pthread_t thread;

    T_RC(shmq_topic_open(t_ns, "missing", &topic), SHMQ_ERR_NOENT);
    T_EQ(pthread_create(&thread, NULL, error_free_thread, NULL), 0);
    T_EQ(pthread_join(thread, NULL), 0);
    T_SAYS("missing");
}

static const struct CMUnitTest tests[] = {
    T(error_numbers_are_frozen),
    T(other_public_numbers_are_frozen),
    T(every_error_has_a_name_of_its_own),
    T(any_integer_has_an_error_name),
    T(version_is_that_of_the_headers),
    T(deadlines_count_from_now_and_never_overflow),
    T(error_text_names_the_thing_and_has_no_newline),
    T(flow_outcomes_leave_the_error_text_alone),
    T(error_text_belongs_to_the_thread),
};
T_MAIN(tests)
