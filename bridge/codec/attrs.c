/* attrs.c - attributes of records. */
#include <string.h>

#include "payload.h"

enum {
    HEAD = 4,
    TYPE_HEADER = 5,
    TYPE_EXPIRY = 7,
    NAME_MAX_BYTES = 255,
    MUST_UNDERSTAND = 0x8000
};

/* A header's value is name, NUL, value. */
static bool split_header(struct shmqw_attr *a)
{
    const uint8_t *from = a->value;
    const uint8_t *nul =
        a->value_bytes ? memchr(from, 0, a->value_bytes) : NULL;
    if (!nul || nul == from || nul - from > NAME_MAX_BYTES)
        return false;
    a->name = (const char *)from;
    a->value_bytes -= (uint32_t)(nul + 1 - from);
    a->value = nul + 1;
    return true;
}

bool shmqw_attr_next(const void *attrs, uint32_t attr_bytes, uint32_t *cursor,
    struct shmqw_attr *ret)
{
    const uint8_t *at = (const uint8_t *)attrs + *cursor;
    uint16_t head[2];
    if (*cursor > attr_bytes || attr_bytes - *cursor < HEAD)
        return false;
    memcpy(head, at, sizeof head);
    if (head[0] == 0 || head[1] > attr_bytes - *cursor - HEAD)
        return false;
    struct shmqw_attr a = {head[0], head[1], at + HEAD, NULL};
    if ((a.type & ~(uint32_t)MUST_UNDERSTAND) == TYPE_HEADER &&
        !split_header(&a))
        return false;
    *cursor += HEAD + (uint32_t)head[1];
    *ret = a;
    return true;
}

bool shmqw_attrs_legal(const void *attrs, uint32_t attr_bytes, bool from_client)
{
    uint32_t cursor = 0;
    struct shmqw_attr a;
    while (attr_bytes && shmqw_attr_next(attrs, attr_bytes, &cursor, &a)) {
        uint32_t type = a.type & ~(uint32_t)MUST_UNDERSTAND;
        if (from_client &&
            ((type > TYPE_HEADER && type != TYPE_EXPIRY) || type == 0 ||
                a.value_bytes > SHMQW_ATTR_VALUE_MAX))
            return false;
    }
    return cursor == attr_bytes;
}

uint32_t shmqw_attr_bytes(const struct shmqw_attr *attr)
{
    uint32_t type = attr->type & ~(uint32_t)MUST_UNDERSTAND;
    size_t name = 0;
    if (type == 0 || type > UINT16_MAX ||
        attr->value_bytes > SHMQW_ATTR_VALUE_MAX ||
        (attr->value_bytes && !attr->value))
        return 0;
    if (type == TYPE_HEADER) {
        name = attr->name ? strlen(attr->name) : 0;
        if (name < 1 || name > NAME_MAX_BYTES)
            return 0;
        name++;
    }
    return HEAD + (uint32_t)name + attr->value_bytes;
}

uint8_t *shmqw_attr_put(uint8_t *at, const struct shmqw_attr *attr)
{
    uint32_t bytes = shmqw_attr_bytes(attr);
    uint16_t head[2] = {(uint16_t)attr->type, (uint16_t)(bytes - HEAD)};
    uint32_t name = bytes - HEAD - attr->value_bytes;
    memcpy(at, head, sizeof head);
    at += HEAD;
    if (name)
        memcpy(at, attr->name, name);
    if (attr->value_bytes)
        memcpy(at + name, attr->value, attr->value_bytes);
    return at + name + attr->value_bytes;
}
