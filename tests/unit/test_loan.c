/* test_loan.c - zero-copy publishing: loan, commit, abort, leaks. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/rig.h"

static struct shmq_loan lend(
    struct shmq_producer *producer, uint64_t size, uint64_t tag)
{
    struct shmq_loan loan;

    memset(&loan, 0, sizeof(loan));
    T_OK(shmq_producer_loan(producer, size, NULL, 0, &loan));
    T_EQ(loan.size, size);
    T_TRUE((uintptr_t)loan.data % 8 == 0);
    t_fill(loan.data, size, tag);
    return loan;
}

TEST(a_loan_is_invisible_until_it_is_committed)
{
    struct rig rig = rig_open(64, 65536);
    struct shmq_loan loan = lend(rig.producer, 100, 1);
    struct shmq_message msg;
    uint64_t position = 0;

    t_expect_empty(rig.consumer);
    T_EQ(shmq_producer_sequence(rig.producer), 0);
    T_OK(shmq_producer_commit(rig.producer, &loan, 100, &position));
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    T_CARRIES(&msg, 1, 100);
    T_EQ(msg.position, position);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    rig_close(&rig);
}

TEST(a_commit_may_use_less_than_was_lent)
{
    struct rig rig = rig_open(64, 65536);
    static const uint64_t used[] = {0, 1, 8, 99, 100};

    for (uint64_t i = 0; i < 5; i++) {
        struct shmq_loan loan = lend(rig.producer, 100, i);
        uint64_t position = 77;
        T_RC(shmq_producer_commit(rig.producer, &loan, 101, &position),
            SHMQ_ERR_INVAL);
        T_EQ(position, 77);
        T_OK(shmq_producer_commit(rig.producer, &loan, used[i], NULL));
        t_take(rig.consumer, i, used[i]);
    }
    rig_close(&rig);
}

TEST(loans_of_any_size_up_to_the_maximum)
{
    struct rig rig = rig_open(64, 65536);
    static const uint64_t sizes[] = {0, 1, 7, 64, 4097, 65536 / 2 - 128};

    for (uint64_t i = 0; i < 6; i++) {
        struct shmq_loan loan = lend(rig.producer, sizes[i], i);
        T_OK(shmq_producer_commit(rig.producer, &loan, sizes[i], NULL));
        t_take(rig.consumer, i, sizes[i]);
    }
    rig_close(&rig);
}

TEST(loans_are_committed_in_any_order)
{
    struct rig rig = rig_open(64, 65536);
    static const uint32_t order[] = {3, 0, 4, 1, 2};
    struct shmq_loan loans[5];
    uint64_t last = 0;

    for (uint32_t i = 0; i < 5; i++)
        loans[i] = lend(rig.producer, 10 + i, i);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t position = 0;
        T_OK(shmq_producer_commit(
            rig.producer, &loans[order[i]], 10 + order[i], &position));
        T_TRUE(i == 0 || position > last);
        last = position;
    }
    for (uint32_t i = 0; i < 5; i++) {
        struct shmq_message msg;
        T_OK(shmq_consumer_receive(rig.consumer, &msg));
        T_CARRIES(&msg, order[i], 10 + order[i]);
        T_EQ(msg.sequence, i);
        T_OK(shmq_consumer_release(rig.consumer, &msg));
    }
    rig_close(&rig);
}

TEST(aborted_loans_never_existed)
{
    struct rig rig = rig_open(64, 65536);

    for (uint64_t i = 0; i < 1000; i++) {
        struct shmq_loan first = lend(rig.producer, 1000, 1);
        struct shmq_loan second = lend(rig.producer, 10, 2);
        T_OK(shmq_producer_abort(rig.producer, i % 2 ? &first : &second));
        T_OK(shmq_producer_abort(rig.producer, i % 2 ? &second : &first));
    }
    T_EQ(shmq_producer_sequence(rig.producer), 0);
    T_EQ(t_stat(rig.topic).leaked_loan_bytes, 0);
    t_publish_run(rig.producer, 0, 5);
    t_take_run(rig.consumer, 0, 5);
    t_expect_empty(rig.consumer);
    rig_close(&rig);
}

TEST(a_loan_is_void_after_commit_and_abort)
{
    struct rig rig = rig_open(64, 65536);
    struct shmq_loan loan = lend(rig.producer, 100, 1);
    struct shmq_loan copy = loan;

    T_OK(shmq_producer_commit(rig.producer, &loan, 100, NULL));
    T_RC(shmq_producer_commit(rig.producer, &copy, 100, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_producer_abort(rig.producer, &copy), SHMQ_ERR_INVAL);
    loan = lend(rig.producer, 100, 2);
    copy = loan;
    T_OK(shmq_producer_abort(rig.producer, &loan));
    T_RC(shmq_producer_commit(rig.producer, &copy, 100, NULL), SHMQ_ERR_INVAL);
    memset(&copy, 0, sizeof(copy));
    T_RC(shmq_producer_abort(rig.producer, &copy), SHMQ_ERR_INVAL);
    t_take(rig.consumer, 1, 100);
    t_expect_empty(rig.consumer);
    rig_close(&rig);
}

TEST(sixty_four_loans_at_a_time)
{
    struct rig rig = rig_open(128, 1 << 18);
    struct shmq_loan loans[65];

    for (uint32_t i = 0; i < 64; i++)
        loans[i] = lend(rig.producer, 64, i);
    memset(&loans[64], 0x5a, sizeof(loans[64]));
    T_RC(shmq_producer_loan(rig.producer, 64, NULL, 0, &loans[64]),
        SHMQ_ERR_LIMIT);
    T_EQ(loans[64].size, 0x5a5a5a5a5a5a5a5a);
    T_OK(shmq_producer_abort(rig.producer, &loans[30]));
    loans[30] = lend(rig.producer, 64, 30);
    for (uint32_t i = 0; i < 64; i++)
        T_OK(shmq_producer_commit(rig.producer, &loans[63 - i], 64, NULL));
    for (uint32_t i = 0; i < 64; i++)
        t_take(rig.consumer, 63 - i, 64);
    rig_close(&rig);
}

TEST(publishing_goes_on_beside_a_loan)
{
    struct rig rig = rig_open(16, 65536);
    struct shmq_loan loan = lend(rig.producer, 5000, 1000);

    for (uint64_t i = 0; i < 300; i++) {
        int rc;
        unsigned char data[100];
        t_fill(data, sizeof(data), i);
        rc = shmq_producer_publish(rig.producer, data, sizeof(data), NULL);
        T_OK(rc);
        t_take(rig.consumer, i, 100);
    }
    T_OK(shmq_producer_commit(rig.producer, &loan, 5000, NULL));
    t_take(rig.consumer, 1000, 5000);
    rig_close(&rig);
}

TEST(leaked_loans_show_in_stat_and_end_with_the_producer)
{
    struct rig rig = rig_open(16, 65536);
    struct shmq_loan loan = lend(rig.producer, 20000, 1);

    T_TRUE(t_stat(rig.topic).leaked_loan_bytes >= 20000);
    shmq_producer_close(rig.producer);
    T_EQ(t_stat(rig.topic).leaked_loan_bytes, 0);
    rig.producer = t_producer(rig.topic);
    T_RC(shmq_producer_commit(rig.producer, &loan, 1, NULL), SHMQ_ERR_INVAL);
    for (uint64_t i = 0; i < 20; i++) {
        (void)t_publish(rig.producer, i, 30000);
        t_take(rig.consumer, i, 30000);
    }
    rig_close(&rig);
}

TEST(a_loan_survives_a_full_ring)
{
    struct rig rig = rig_open(4, 65536);
    struct shmq_loan loan = lend(rig.producer, 100, 4);
    uint64_t position = 77;

    t_publish_run(rig.producer, 0, 4);
    T_RC(shmq_producer_commit(rig.producer, &loan, 100, &position),
        SHMQ_ERR_FULL);
    T_RC(shmq_producer_commit_wait(
             rig.producer, &loan, 100, shmq_deadline(10 * T_MS), &position),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("g");
    T_EQ(position, 77);
    t_take_run(rig.consumer, 0, 4);
    T_OK(shmq_producer_commit(rig.producer, &loan, 100, &position));
    t_take(rig.consumer, 4, 100);
    loan = lend(rig.producer, 100, 5);
    t_publish_run(rig.producer, 0, 4);
    T_RC(shmq_producer_commit(rig.producer, &loan, 100, NULL), SHMQ_ERR_FULL);
    T_OK(shmq_producer_abort(rig.producer, &loan));
    t_take_run(rig.consumer, 0, 4);
    t_expect_empty(rig.consumer);
    rig_close(&rig);
}

TEST(a_full_arena_refuses_loans_until_readers_move_on)
{
    struct rig rig = rig_open(64, 4096);
    struct shmq_loan loan;
    uint64_t cnt = 0;
    int rc;

    memset(&loan, 0x5a, sizeof(loan));
    for (;; cnt++) {
        struct shmq_loan next;
        rc = shmq_producer_loan(rig.producer, 900, NULL, 0, &next);
        if (rc != 0)
            break;
        t_fill(next.data, 900, cnt);
        T_OK(shmq_producer_commit(rig.producer, &next, 900, NULL));
        T_TRUE(cnt < 10);
    }
    T_RC(rc, SHMQ_ERR_FULL);
    T_TRUE(cnt >= 2);
    T_RC(shmq_producer_loan_wait(
             rig.producer, 900, NULL, 0, shmq_deadline(10 * T_MS), &loan),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("g");
    T_EQ(loan.size, 0x5a5a5a5a5a5a5a5a);
    for (uint64_t i = 0; i < cnt; i++)
        t_take(rig.consumer, i, 900);
    T_OK(shmq_producer_loan_wait(
        rig.producer, 900, NULL, 0, shmq_deadline(T_PATIENCE), &loan));
    T_OK(shmq_producer_abort(rig.producer, &loan));
    rig_close(&rig);
}

/* A reader that does not gate must be told of every byte that is used again,
 * also when a publish freed memory, found too little and gave up. */
static void reuse_after_a_refusal(uint64_t taken, uint64_t more, uint64_t read)
{
    static unsigned char large[1900];
    struct rig rig = rig_open(256, 4096);
    struct shmq_consumer *e = t_ephemeral(rig.topic, SHMQ_START_EARLIEST);
    struct shmq_loan loan;
    struct shmq_message msg;
    uint64_t tag = 0;
    int rc;

    for (; tag < 12; tag++)
        (void)t_publish(rig.producer, tag, 250);
    for (uint64_t i = 0; i < taken; i++)
        t_take(rig.consumer, i, 250);
    for (uint64_t i = 0; i < read; i++)
        t_take(e, i, 250);
    T_RC(shmq_consumer_drained(rig.consumer), 0); /* tells its place */
    for (uint64_t i = 0; i < more; i++)
        if (shmq_producer_publish(rig.producer, large, 250, NULL) == 0)
            tag++;
    rc = shmq_producer_loan(rig.producer, 20, NULL, 0, &loan);
    (void)shmq_producer_publish(rig.producer, large, sizeof(large), NULL);
    if (rc == 0)
        T_OK(shmq_producer_abort(rig.producer, &loan));
    for (uint64_t i = 0; i < 8; i++)
        (void)shmq_producer_publish(rig.producer, large, 30, NULL);
    while ((rc = shmq_consumer_receive(e, &msg)) != SHMQ_ERR_EMPTY) {
        if (rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        if (msg.sequence < 12)
            T_CARRIES(&msg, msg.sequence, 250);
        T_OK(shmq_consumer_release(e, &msg));
    }
    shmq_consumer_close(e);
    rig_close(&rig);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(a_refused_publish_does_not_spoil_what_others_read)
{
    for (uint64_t taken = 1; taken < 12; taken++)
        for (uint64_t more = 0; more < 6; more++)
            for (uint64_t read = 0; read < taken; read++)
                reuse_after_a_refusal(taken, more, read);
}

/* What the random test believes. The reader tells the producer of its progress
 * in steps of an eighth of the ring, and always before it says EMPTY. */
struct model {
    struct rig rig;
    struct shmq_loan loans[20];
    uint64_t loan_tags[20];
    uint32_t loan_cnt;
    uint64_t tags[32]; /* published and not taken */
    uint64_t sizes[32];
    uint32_t head;
    uint32_t tail;
};

static void model_lend(struct model *m, uint64_t size, uint64_t tag)
{
    struct shmq_loan *loan = &m->loans[m->loan_cnt];
    int rc = shmq_producer_loan(m->rig.producer, size, NULL, 0, loan);

    if (rc == SHMQ_ERR_FULL && m->loan_cnt == 0 && m->head == m->tail) {
        t_expect_empty(m->rig.consumer);
        rc = shmq_producer_loan(m->rig.producer, size, NULL, 0, loan);
        T_OK(rc);
    }
    if (rc == SHMQ_ERR_FULL)
        return;
    T_OK(rc);
    m->loan_tags[m->loan_cnt++] = tag;
    t_fill(loan->data, size, tag);
}

static void model_finish(
    struct model *m, uint32_t pick, uint64_t used, bool give_up)
{
    struct shmq_loan *loan = &m->loans[pick];

    T_TRUE(t_matches(loan->data, loan->size, m->loan_tags[pick]));
    if (give_up) {
        T_OK(shmq_producer_abort(m->rig.producer, loan));
    } else {
        int rc = shmq_producer_commit(m->rig.producer, loan, used, NULL);
        if (rc == SHMQ_ERR_FULL) {
            T_TRUE(m->tail - m->head >= 32 - 32 / 8);
            return;
        }
        T_OK(rc);
        T_TRUE(m->tail - m->head < 32);
        m->tags[m->tail % 32] = m->loan_tags[pick];
        m->sizes[m->tail++ % 32] = used;
    }
    m->loan_cnt--;
    m->loans[pick] = m->loans[m->loan_cnt];
    m->loan_tags[pick] = m->loan_tags[m->loan_cnt];
}

TEST(loans_of_random_sizes_in_random_order)
{
    static struct model m;
    uint64_t rnd = t_seed_say("loans");

    m.rig = rig_open(32, 65536);
    for (uint64_t step = 0; step < 20000; step++) {
        uint64_t what = t_below(&rnd, 10);
        if (what < 4 && m.loan_cnt < 20) {
            model_lend(&m, t_below(&rnd, 2500), step);
        } else if (what < 7 && m.loan_cnt > 0) {
            uint32_t pick = (uint32_t)t_below(&rnd, m.loan_cnt);
            uint64_t used = t_below(&rnd, m.loans[pick].size + 1);
            model_finish(&m, pick, used, t_below(&rnd, 4) == 0);
        } else if (m.head != m.tail) {
            t_take(m.rig.consumer, m.tags[m.head % 32], m.sizes[m.head % 32]);
            m.head++;
        } else {
            t_expect_empty(m.rig.consumer);
        }
    }
    rig_close(&m.rig);
}

static const struct CMUnitTest tests[] = {
    T(a_loan_is_invisible_until_it_is_committed),
    T(a_commit_may_use_less_than_was_lent),
    T(loans_of_any_size_up_to_the_maximum),
    T(loans_are_committed_in_any_order),
    T(aborted_loans_never_existed),
    T(a_loan_is_void_after_commit_and_abort),
    T(sixty_four_loans_at_a_time),
    T(publishing_goes_on_beside_a_loan),
    T(leaked_loans_show_in_stat_and_end_with_the_producer),
    T(a_loan_survives_a_full_ring),
    T(a_full_arena_refuses_loans_until_readers_move_on),
    T(a_refused_publish_does_not_spoil_what_others_read),
    T(loans_of_random_sizes_in_random_order),
};
T_MAIN(tests)
