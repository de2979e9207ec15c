// test_cpp_headers.cpp - the umbrella header in C++ (11 and later): every
// struct and enumerator compiles, and a record goes round.
#include <shmq.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <string>

namespace
{

int failures = 0;

void check(bool ok, const char *what)
{
    if (ok)
        return;
    std::fprintf(stderr, "not true: %s; %s\n", what, shmq_error_text());
    failures++;
}

struct Topic {
    std::string ns;
    shmq_topic *handle = nullptr;

    explicit Topic(const std::string &name) : ns(name)
    {
        struct shmq_topic_attrs attrs {
        };
        attrs.struct_bytes = sizeof(attrs);
        attrs.ring = SHMQ_RING_MPMC;
        attrs.on_full = SHMQ_ON_FULL_BLOCK;
        check(shmq_topic_create(ns.c_str(), "t", &attrs) == SHMQ_OK, "create");
        check(shmq_topic_open(ns.c_str(), "t", &handle) == SHMQ_OK, "open");
    }
    Topic(const Topic &) = delete;
    Topic &operator=(const Topic &) = delete;
    ~Topic()
    {
        shmq_topic_close(handle);
        check(shmq_topic_unlink(ns.c_str(), "t", 0) == SHMQ_OK, "unlink");
        std::remove(("/dev/shm/shmq." + ns + ".lock.0").c_str());
    }
};

void round_trip(Topic &topic)
{
    shmq_producer_options producer_options{};
    shmq_consumer_options consumer_options{};
    shmq_producer *producer = nullptr;
    shmq_consumer *consumer = nullptr;
    shmq_message msg{};
    shmq_attr key{};
    shmq_attr got{};
    shmq_record record{};

    producer_options.struct_bytes = sizeof(producer_options);
    consumer_options.struct_bytes = sizeof(consumer_options);
    consumer_options.group = "g";
    consumer_options.attrs.kind = SHMQ_GROUP_EXCLUSIVE;
    consumer_options.start.kind = SHMQ_START_EARLIEST;
    check(shmq_producer_open(topic.handle, &producer_options, &producer) == 0,
        "producer");
    check(shmq_consumer_open(topic.handle, &consumer_options, &consumer) == 0,
        "consumer");
    key.type = SHMQ_ATTR_KEY;
    key.value = "k";
    key.value_bytes = 1;
    record.data = "hello";
    record.size = 5;
    record.attrs = &key;
    record.attr_cnt = 1;
    check(shmq_producer_publish_batch(producer, &record, 1, nullptr) == 0,
        "publish");
    check(shmq_consumer_receive_wait(
              consumer, shmq_deadline(20000000000u), &msg) == 0,
        "receive");
    check(msg.size == 5 && std::memcmp(msg.data, "hello", 5) == 0, "payload");
    check(shmq_message_attr(&msg, SHMQ_ATTR_KEY, 0, &got) == 0 &&
            got.value_bytes == 1,
        "key");
    check(shmq_consumer_release(consumer, &msg) == 0, "release");
    check(shmq_consumer_poll(
              consumer,
              [](void *, const shmq_message *) -> int {
                  return SHMQ_HANDLED_ACK;
              },
              nullptr, 0) == 0,
        "poll");
    check(shmq_consumer_receive(consumer, &msg) == SHMQ_ERR_EMPTY, "empty");
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
}

void stat_and_groups(Topic &topic)
{
    struct shmq_topic_stat stat {
    };
    shmq_group_stat group{};
    shmq_endpoint_stat point{};
    shmq_gap gap{};
    shmq_loan loan{};
    uint32_t cnt = 0;

    stat.struct_bytes = sizeof(stat);
    check(shmq_topic_stat(topic.handle, &stat) == 0, "stat");
    check(stat.total_messages == 1, "total");
    check(shmq_topic_groups(topic.handle, &group, 1, &cnt) == 0, "groups");
    check(cnt == 1 && std::strcmp(group.name, "g") == 0, "group");
    check(shmq_topic_endpoints(topic.handle, &point, 1, &cnt) == 0, "points");
    check(cnt == 0, "no endpoints");
    check(gap.frames == 0 && loan.size == 0, "plain structs");
    check(shmq_group_remove(topic.handle, "g", 0) == 0, "remove");
}

} // namespace

int main()
{
    std::random_device random;
    Topic topic("cpp" + std::to_string(random()));

    round_trip(topic);
    stat_and_groups(topic);
    check(std::strcmp(shmq_err_name(SHMQ_ERR_GAP), "GAP") == 0, "name");
    check(shmq_version() != nullptr, "version");
    return failures == 0 ? 0 : 1;
}
