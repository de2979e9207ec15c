/* names.c - what commands and statuses are called, and which names of topics
 * and groups are legal. */
#include <string.h>

#include "message.h"

static const char *const statuses[SHMQW_STATUS_CNT] = {"OK", "BAD_FRAME",
    "UNSUPPORTED_VERSION", "UNKNOWN_COMMAND", "UNAUTHENTICATED", "FORBIDDEN",
    "NO_SUCH_TOPIC", "TOPIC_EXISTS", "OUT_OF_RANGE", "DATA_CORRUPT",
    "LOG_TRUNCATED", "NO_SPACE", "READ_ONLY", "TOO_LARGE", "CREDIT_EXCEEDED",
    "FENCED_GENERATION", "UNKNOWN_MEMBER", "GROUP_BUSY", "OUT_OF_ORDER",
    "PRODUCER_FENCED", "TIMEOUT_LEVEL", "OVERLOADED", "DURABILITY_FAILED",
    "COMMIT_BEYOND_END", "SHUTTING_DOWN", "CRC_MISMATCH", "HISTORY_GONE",
    "LIMIT", "STALE", "CLOSED", "INVALID", "NO_SUCH_GROUP", "GROUP_EXISTS",
    "NO_DAEMON", "INTERNAL", "UNKNOWN_SESSION", "UNKNOWN_STREAM", "FULL"};

static const char *const commands[SHMQW_COMMAND_CNT] = {
    [SHMQW_HELLO] = "HELLO",
    [SHMQW_WELCOME] = "WELCOME",
    [SHMQW_LIST] = "LIST",
    [SHMQW_DESCRIBE] = "DESCRIBE",
    [SHMQW_CREATE] = "CREATE",
    [SHMQW_ATTACH] = "ATTACH",
    [SHMQW_CREDIT] = "CREDIT",
    [SHMQW_DELIVER] = "DELIVER",
    [SHMQW_COMMIT] = "COMMIT",
    [SHMQW_SEEK] = "SEEK",
    [SHMQW_DETACH] = "DETACH",
    [SHMQW_PUBLISH] = "PUBLISH",
    [SHMQW_PUBACK] = "PUBACK",
    [SHMQW_GAP] = "GAP",
    [SHMQW_PING] = "PING",
    [SHMQW_PONG] = "PONG",
    [SHMQW_REVOKE] = "REVOKE",
    [SHMQW_ERROR] = "ERROR",
    [SHMQW_BYE] = "BYE",
    [SHMQW_ACK] = "ACK",
    [SHMQW_NACK] = "NACK",
    [SHMQW_CHECK] = "CHECK",
    [SHMQW_END] = "END",
};

const char *shmqw_status_name(uint32_t status)
{
    return status < SHMQW_STATUS_CNT ? statuses[status] : "UNKNOWN";
}

const char *shmqw_command_name(uint32_t command)
{
    const char *name = command < SHMQW_COMMAND_CNT ? commands[command] : NULL;
    return name ? name : "UNKNOWN";
}

static bool name_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '@';
}

static bool name_legal(const uint8_t *name, size_t len, size_t max)
{
    if (len < 1 || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!name_char(name[i]))
            return false;
    return true;
}

bool shmqw_topic_legal(const void *name, size_t len)
{
    return name_legal(name, len, SHMQW_TOPIC_MAX) &&
        *(const uint8_t *)name != '.';
}

bool shmqw_group_legal(const void *name, size_t len)
{
    return name_legal(name, len, SHMQW_GROUP_MAX);
}
