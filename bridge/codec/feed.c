/* feed.c - messages of the live feed. */
#include <string.h>

#include "payload.h"

bool shmqw_feed_open(const void *bytes, size_t len, struct shmqw_feed *ret)
{
    struct shmqw_feed head;
    if (len != sizeof head)
        return false;
    memcpy(&head, bytes, sizeof head);
    if (head.version != SHMQW_VERSION)
        return false;
    *ret = head;
    return true;
}

bool shmqw_feed_topic(
    const void *bytes, size_t len, struct shmqw_view *ret, bool *ret_heartbeat)
{
    const uint8_t *at = bytes;
    bool heartbeat = len > 3 && memcmp(at, "\0HB", 3) == 0;
    if (heartbeat) {
        at += 3;
        len -= 3;
    }
    if (len < 2 || at[len - 1] != 0 || !shmqw_topic_legal(at, len - 1))
        return false;
    ret->at = at;
    ret->len = (uint32_t)(len - 1);
    *ret_heartbeat = heartbeat;
    return true;
}
