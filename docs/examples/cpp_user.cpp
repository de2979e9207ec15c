// cpp_user.cpp - libshmq from C++: handles that close themselves.
#include <shmq.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace
{

template <typename T, void (*close)(T *)> struct Closer {
    void operator()(T *handle) const { close(handle); }
};
template <typename T, void (*close)(T *)>
using Handle = std::unique_ptr<T, Closer<T, close>>;

using Topic = Handle<shmq_topic, shmq_topic_close>;
using Producer = Handle<shmq_producer, shmq_producer_close>;
using Consumer = Handle<shmq_consumer, shmq_consumer_close>;

void check(int rc)
{
    if (rc < 0)
        throw std::runtime_error(shmq_error_text());
}

Topic open_topic(const char *name)
{
    shmq_topic *topic = nullptr;
    int rc = shmq_topic_create(nullptr, name, nullptr);
    if (rc != SHMQ_ERR_EXISTS)
        check(rc);
    check(shmq_topic_open(nullptr, name, &topic));
    return Topic(topic);
}

Producer open_producer(const Topic &topic)
{
    shmq_producer *producer = nullptr;
    check(shmq_producer_open(topic.get(), nullptr, &producer));
    return Producer(producer);
}

Consumer open_member(const Topic &topic, const std::string &group)
{
    shmq_consumer *consumer = nullptr;
    shmq_consumer_options options{};
    options.struct_bytes = sizeof(options);
    options.group = group.c_str();
    check(shmq_consumer_open(topic.get(), &options, &consumer));
    return Consumer(consumer);
}

// A record that is released when it goes out of scope.
class Record
{
  public:
    explicit Record(const Consumer &consumer) : consumer_(consumer.get())
    {
        check(shmq_consumer_receive_wait(consumer_, SHMQ_FOREVER, &msg_));
    }
    Record(const Record &) = delete;
    Record &operator=(const Record &) = delete;
    ~Record() { (void)shmq_consumer_release(consumer_, &msg_); }
    std::string text() const
    {
        return std::string(static_cast<const char *>(msg_.data), msg_.size);
    }

  private:
    shmq_consumer *consumer_;
    shmq_message msg_{};
};

} // namespace

int main()
{
    try {
        Topic topic = open_topic("cpp");
        Consumer consumer = open_member(topic, "readers");
        Producer producer = open_producer(topic);
        for (int i = 0; i < 3; i++) {
            std::string text = "record " + std::to_string(i);
            check(shmq_producer_publish(
                producer.get(), text.data(), text.size(), nullptr));
        }
        for (int i = 0; i < 3; i++)
            std::printf("%s\n", Record(consumer).text().c_str());
    } catch (const std::exception &e) {
        std::fprintf(stderr, "cpp_user: %s\n", e.what());
        return 1;
    }
    return 0;
}
