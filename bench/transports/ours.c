/* ours.c - topics, producers and consumers for the lab. */
#include "ours.h"

#include "../leftovers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEASE_NS UINT64_C(50000000)

/* Large messages need larger rings than the default topic has; small ones use
 * the default. */
static void fill_attrs(
    const struct lab_channel *channel, struct shmq_topic_attrs *attrs)
{
    uint64_t frame = (uint64_t)channel->size * channel->batch + 4096;
    uint64_t arena = channel->arena_bytes;

    if (channel->size > 16384 && arena == 0) {
        arena = UINT64_C(1) << 20;
        while (arena < frame * 4)
            arena *= 2;
    }
    attrs->arena_bytes = arena;
    if (channel->size > 60000)
        attrs->max_message_bytes = channel->size;
}

static int explain(struct lab_channel *channel, const char *what)
{
    snprintf(channel->error, sizeof(channel->error), "%s: %s", what,
        shmq_error_text());
    return -1;
}

static void unlink_topic(const char *topic)
{
    shmq_topic_unlink(LAB_NAMESPACE, topic, SHMQ_UNLINK_FORCE);
}

int lab_ours_create(struct lab_channel *channel, uint32_t ring, uint32_t kind)
{
    struct shmq_topic_attrs attrs = {
        .struct_bytes = sizeof(attrs), .ring = ring};
    struct shmq_group_attrs group = {
        .struct_bytes = sizeof(group), .kind = kind};
    struct shmq_topic *topic;
    int rc;

    fill_attrs(channel, &attrs);
    if ((channel->flags & LAB_CHANNEL_LEASE) && kind == SHMQ_GROUP_SHARED)
        group.lease_ns = LEASE_NS;
    lab_leftovers_note(channel->name, unlink_topic);
    if (shmq_topic_create(LAB_NAMESPACE, channel->name, &attrs)) {
        lab_leftovers_forget(channel->name);
        return explain(channel, "create");
    }
    rc = shmq_topic_open(LAB_NAMESPACE, channel->name, &topic);
    if (rc == 0) {
        rc = shmq_group_create(topic, LAB_GROUP, &group, NULL);
        shmq_topic_close(topic);
    }
    if (rc == 0)
        return 0;
    explain(channel, "group");
    lab_ours_destroy(channel);
    return -1;
}

void lab_ours_destroy(struct lab_channel *channel)
{
    unlink_topic(channel->name);
    lab_leftovers_forget(channel->name);
}

uint32_t lab_ours_failed(struct lab_end *end, int rc)
{
    snprintf(end->error, sizeof(end->error), "%s: %s", shmq_err_name(rc),
        shmq_error_text());
    return LAB_FAILED;
}

int lab_ours_open(struct lab_end *end)
{
    struct shmq_producer_options tx = {.struct_bytes = sizeof(tx)};
    struct shmq_consumer_options rx = {.struct_bytes = sizeof(rx),
        .group = LAB_GROUP,
        .flags = SHMQ_CONSUMER_NO_CREATE};
    struct shmq_producer *producer;
    struct shmq_consumer *consumer;
    struct shmq_topic *topic;
    int rc = shmq_topic_open(LAB_NAMESPACE, end->channel->name, &topic);

    if (rc == 0) {
        if (end->channel->flags & LAB_CHANNEL_SLEEP)
            rx.spin_ns = 1;
        if (end->role == LAB_SENDER &&
            !(rc = shmq_producer_open(topic, &tx, &producer)))
            end->handle = producer;
        if (end->role == LAB_RECEIVER &&
            !(rc = shmq_consumer_open(topic, &rx, &consumer)))
            end->handle = consumer;
        if (rc)
            lab_ours_failed(end, rc);
        shmq_topic_close(topic);
        return rc ? -1 : 0;
    }
    lab_ours_failed(end, rc);
    return -1;
}

void lab_ours_close(struct lab_end *end)
{
    if (end->role == LAB_SENDER)
        shmq_producer_close(end->handle);
    else
        shmq_consumer_close(end->handle);
}

uint32_t lab_ours_send(struct lab_end *end, const void *src, uint32_t cnt)
{
    int rc = shmq_producer_publish(end->handle, src, end->channel->size, NULL);

    if (rc == 0)
        return cnt;
    return rc == SHMQ_ERR_FULL ? 0 : lab_ours_failed(end, rc);
}

static int take(void *ctx, const struct shmq_message *msg)
{
    lab_sink_take(ctx, msg->data, msg->size);
    return SHMQ_HANDLED_ACK;
}

static uint32_t polled(struct lab_end *end, int n)
{
    if (n >= 0)
        return (uint32_t)n;
    if (n == SHMQ_ERR_EMPTY || n == SHMQ_ERR_TIMEOUT || n == SHMQ_ERR_INTR)
        return 0;
    return lab_ours_failed(end, n);
}

uint32_t lab_ours_receive(
    struct lab_end *end, struct lab_sink *sink, uint32_t max)
{
    return polled(end, shmq_consumer_poll(end->handle, take, sink, max));
}

uint32_t lab_ours_wait(
    struct lab_end *end, struct lab_sink *sink, uint64_t timeout_ns)
{
    return polled(end,
        shmq_consumer_poll_wait(
            end->handle, take, sink, 64, shmq_deadline(timeout_ns)));
}

uint64_t lab_ours_footprint(const struct lab_channel *channel)
{
    static const char kinds[] = "dcm";
    uint64_t bytes = 0;

    for (const char *kind = kinds; *kind; kind++) {
        char path[256];
        struct stat st;

        snprintf(path, sizeof(path), "/dev/shm/shmq.%s.%c.%s", LAB_NAMESPACE,
            *kind, channel->name);
        if (stat(path, &st) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    return bytes;
}
