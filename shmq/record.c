#include "record.h"

#include <string.h>

#include "copy.h"
#include "error.h"
#include "frame.h"

#define ATTR_HEAD 4u
#define ATTR_VALUE_MAX 65000u
#define ATTR_NAME_MAX 255u
#define ATTR_MUST_UNDERSTAND 0x8000u

static int attr_bytes_of(const struct shmq_attr *a, uint32_t *ret)
{
    uint32_t type = a->type & ~ATTR_MUST_UNDERSTAND;
    if (type == 0 || type > 0xffff)
        return shmqi_fail(SHMQ_ERR_INVAL,
            "attribute: type %u is not legal; "
            "use enum shmq_attr_type",
            a->type);
    if (a->value_bytes > ATTR_VALUE_MAX || (a->value_bytes && !a->value))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "attribute %u: value of %u bytes; "
            "at most %u",
            a->type, a->value_bytes, ATTR_VALUE_MAX);
    uint32_t name = 0;
    if (type == SHMQ_ATTR_HEADER) {
        size_t n = a->name ? strlen(a->name) : 0;
        if (n < 1 || n > ATTR_NAME_MAX)
            return shmqi_fail(SHMQ_ERR_INVAL,
                "attribute: a header needs a "
                "name of 1 to %u bytes",
                ATTR_NAME_MAX);
        name = (uint32_t)n + 1;
    }
    *ret = ATTR_HEAD + name + a->value_bytes;
    return SHMQ_OK;
}

int shmqi_attrs_bytes(
    const struct shmq_attr *attrs, uint32_t cnt, uint32_t *ret_bytes)
{
    uint32_t sum = 0;
    if (cnt && !attrs)
        return shmqi_fail(SHMQ_ERR_INVAL, "attributes: count without list");
    for (uint32_t i = 0; i < cnt; i++) {
        uint32_t one = 0;
        int rc = attr_bytes_of(&attrs[i], &one);
        if (rc)
            return rc;
        sum += one;
        if (sum > UINT16_MAX)
            return shmqi_fail(SHMQ_ERR_INVAL,
                "attributes: more than 65535 "
                "bytes together");
    }
    *ret_bytes = sum;
    return SHMQ_OK;
}

uint64_t shmqi_record_len(uint64_t size, uint32_t attr_bytes)
{
    return sizeof(struct shmqi_record_shm) + shmqi_pad8(attr_bytes) +
        shmqi_pad8(size);
}

static uint8_t *put_attr(uint8_t *at, const struct shmq_attr *a)
{
    uint32_t name = (a->type & ~ATTR_MUST_UNDERSTAND) == SHMQ_ATTR_HEADER
        ? (uint32_t)strlen(a->name) + 1
        : 0;
    uint16_t type = (uint16_t)a->type;
    uint16_t len = (uint16_t)(name + a->value_bytes);
    shmqi_put(at, &type, 2);
    shmqi_put(at + 2, &len, 2);
    at += ATTR_HEAD;
    if (name)
        shmqi_put(at, a->name, name);
    if (a->value_bytes)
        shmqi_put(at + name, a->value, a->value_bytes);
    return at + len;
}

uint8_t *shmqi_record_begin(uint8_t *at, uint64_t size,
    const struct shmq_attr *attrs, uint32_t cnt, uint32_t attr_bytes)
{
    struct shmqi_record_shm head = {(uint32_t)size, (uint16_t)attr_bytes, 0};
    shmqi_put(at, &head, sizeof head);
    at += sizeof head;
    uint8_t *p = at;
    for (uint32_t i = 0; i < cnt; i++)
        p = put_attr(p, &attrs[i]);
    return at + shmqi_pad8(attr_bytes);
}

int shmq_record_bytes(const struct shmq_record *record, uint64_t *ret_bytes)
{
    uint32_t attrs;
    if (!record || !ret_bytes || (record->size && !record->data))
        return shmqi_fail(SHMQ_ERR_INVAL, "record: no data");
    int rc = shmqi_attrs_bytes(record->attrs, record->attr_cnt, &attrs);
    if (rc)
        return rc;
    *ret_bytes = shmqi_record_len(record->size, attrs);
    return SHMQ_OK;
}

/* -- reading attributes ------------------------------------------------------
 */

static bool take_attr(
    const uint8_t *p, uint32_t room, struct shmq_attr *ret, uint32_t *ret_used)
{
    uint16_t type, len;
    if (room < ATTR_HEAD)
        return false;
    memcpy(&type, p, 2);
    memcpy(&len, p + 2, 2);
    if (type == 0 || len > room - ATTR_HEAD)
        return false;
    ret->type = type;
    ret->name = NULL;
    ret->value = p + ATTR_HEAD;
    ret->value_bytes = len;
    if ((type & ~ATTR_MUST_UNDERSTAND) == SHMQ_ATTR_HEADER) {
        const uint8_t *nul = memchr(p + ATTR_HEAD, 0, len);
        if (!nul)
            return false;
        ret->name = (const char *)(p + ATTR_HEAD);
        ret->value = nul + 1;
        ret->value_bytes = (uint32_t)(p + ATTR_HEAD + len - (nul + 1));
    }
    *ret_used = ATTR_HEAD + len;
    return true;
}

int shmq_message_attr(const struct shmq_message *msg, uint32_t type,
    uint32_t nth, struct shmq_attr *ret)
{
    if (!msg || !ret)
        return shmqi_fail(SHMQ_ERR_INVAL, "message: none given");
    const uint8_t *p = msg->attrs;
    uint32_t left = p ? msg->attr_bytes : 0, used;
    for (struct shmq_attr a; take_attr(p, left, &a, &used);
         p += used, left -= used) {
        if ((type == 0 || a.type == type) && nth-- == 0) {
            *ret = a;
            return SHMQ_OK;
        }
    }
    return SHMQ_ERR_NOENT;
}
