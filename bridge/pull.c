/* pull.c - records that come without a question: published or counted as
 * refused. */
#include <string.h>

#include "denials.h"
#include "feed.h"
#include "publish.h"
#include "topics.h"

/* The topic's name in the first part, with or without its NUL. */
static bool name_of(const struct shmqz_part *part, char *ret, size_t room)
{
    const uint8_t *at = shmqz_part_data(part);
    size_t n = shmqz_part_bytes(part);
    if (n > 0 && at[n - 1] == '\0')
        n--;
    if (n >= room || !shmqw_topic_legal(at, n))
        return false;
    memcpy(ret, at, n);
    ret[n] = '\0';
    return true;
}

static int publish(struct shmqz_server *server, struct shmqz_message *message,
    struct shmqz_topic *topic)
{
    struct shmqz_part *data = &message->parts[1];
    struct shmqw_record record = {0};
    record.data = shmqz_part_data(data);
    record.size = (uint32_t)shmqz_part_bytes(data);
    if (shmqz_part_bytes(data) > server->limits.max_payload)
        return SHMQ_ERR_TOO_LARGE;
    if (message->part_cnt == 3) {
        size_t n = shmqz_part_bytes(&message->parts[2]);
        record.attrs = shmqz_part_data(&message->parts[2]);
        record.attr_bytes = (uint32_t)n;
        if (n > UINT16_MAX ||
            !shmqw_attrs_legal(record.attrs, record.attr_bytes, true))
            return SHMQ_ERR_INVAL;
    }
    return shmqz_publish_one(topic, &record);
}

void shmqz_pull_message(
    struct shmqz_server *server, struct shmqz_message *message)
{
    char name[SHMQ_TOPIC_MAX + 13];
    struct shmqz_topic *topic;
    server->counters.messages_in++;
    if (message->part_cnt < 2 || message->part_cnt > 3 || message->cut ||
        !name_of(&message->parts[0], name, sizeof name)) {
        server->counters.bad_messages++;
        return;
    }
    if (!shmqz_is_known(server, message->user, message->key)) {
        shmqz_denied(message->user, "publishing to", name);
        server->counters.pull_refused++;
        return;
    }
    if (!shmqz_allowed(server, message->user, SHMQZ_PUBLISH, name))
        return;
    int rc = shmqz_topic_use(server, name, &topic);
    if (rc == SHMQ_OK) {
        rc = publish(server, message, topic);
        shmqz_topic_unuse(topic);
    }
    if (rc == SHMQ_OK)
        server->counters.pulled++;
    else
        server->counters.pull_refused++;
}
