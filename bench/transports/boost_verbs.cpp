// boost_verbs.cpp - peer: boost.interprocess message_queue.
//
// Senders and receivers try in a loop (try_send, try_receive), which is faster
// than its blocking calls while both sides are busy; sleepers use
// timed_receive.
#ifdef SHMQ_HAVE_BOOST

#include "boost_mq.h"

#include "../leftovers.h"

#include <boost/date_time/posix_time/posix_time_types.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <sys/stat.h>

namespace bi = boost::interprocess;

namespace
{

bi::message_queue *queue_of(struct lab_end *end)
{
    return static_cast<bi::message_queue *>(end->handle);
}

uint32_t failed(struct lab_end *end, const std::exception &e)
{
    std::snprintf(end->error, sizeof(end->error), "%s", e.what());
    return LAB_FAILED;
}

uint32_t took(struct lab_end *end, struct lab_sink *sink, bool got,
    bi::message_queue::size_type size)
{
    if (!got)
        return 0;
    lab_sink_take(sink, end->more, size);
    return 1;
}

void remove_queue(const char *name)
{
    bi::message_queue::remove(name);
}

} // namespace

int lab_boost_create(struct lab_channel *channel)
{
    lab_leftovers_note(channel->name, remove_queue);
    try {
        bi::message_queue queue(
            bi::create_only, channel->name, channel->depth, channel->size);
    } catch (const std::exception &e) {
        std::snprintf(channel->error, sizeof(channel->error), "%s", e.what());
        lab_boost_destroy(channel);
        return -1;
    }
    return 0;
}

void lab_boost_destroy(struct lab_channel *channel)
{
    remove_queue(channel->name);
    lab_leftovers_forget(channel->name);
}

int lab_boost_open(struct lab_end *end)
{
    try {
        end->handle = new bi::message_queue(bi::open_only, end->channel->name);
        end->more = std::malloc(end->channel->size);
    } catch (const std::exception &e) {
        failed(end, e);
        return -1;
    }
    return end->more ? 0 : -1;
}

void lab_boost_close(struct lab_end *end)
{
    delete queue_of(end);
    std::free(end->more);
}

uint32_t lab_boost_send(struct lab_end *end, const void *src, uint32_t cnt)
{
    try {
        return queue_of(end)->try_send(src, end->channel->size, 0) ? cnt : 0;
    } catch (const std::exception &e) {
        return failed(end, e);
    }
}

uint32_t lab_boost_receive(struct lab_end *end, struct lab_sink *sink, uint32_t)
{
    bi::message_queue::size_type size = 0;
    unsigned int priority = 0;

    try {
        bool got = queue_of(end)->try_receive(
            end->more, end->channel->size, size, priority);
        return took(end, sink, got, size);
    } catch (const std::exception &e) {
        return failed(end, e);
    }
}

uint32_t lab_boost_wait(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    using namespace boost::posix_time;
    bi::message_queue::size_type size = 0;
    unsigned int priority = 0;

    try {
        ptime until = microsec_clock::universal_time() +
            microseconds(static_cast<long>(timeout_ns / 1000));
        bool got = queue_of(end)->timed_receive(
            end->more, end->channel->size, size, priority, until);
        return took(end, sink, got, size);
    } catch (const std::exception &e) {
        return failed(end, e);
    }
}

// Its file; all of it is allocated at the start.
uint64_t lab_boost_footprint(const struct lab_channel *channel)
{
    char path[128];
    struct stat st;

    std::snprintf(path, sizeof(path), "/dev/shm/%s", channel->name);
    return stat(path, &st) == 0 ? static_cast<uint64_t>(st.st_blocks) * 512 : 0;
}

#endif
