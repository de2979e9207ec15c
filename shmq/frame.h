/* frame.h - reading frames and records that others wrote.
 *
 * Rule R4: every length is loaded once into a local, checked against the
 * mapped size, and only the local is used. Frames of groups that gate are
 * constant while they are read; others may change under the reader, who then
 * copies first and validates the copy (mpmc.h, spsc.h). */
#ifndef SHMQI_FRAME_H
#define SHMQI_FRAME_H

#include <string.h>

#include <shmq/message.h>

#include "layout.h"
#include "words.h"

#if defined(__SANITIZE_THREAD__)
#define SHMQI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHMQI_TSAN 1
#endif
#endif
#ifdef SHMQI_TSAN
#define SHMQI_RACY \
    static __attribute__((no_sanitize("thread"), noinline, unused))
#else
#define SHMQI_RACY static inline
#endif

/* Copies bytes that a peer may be overwriting. The values may be torn; the
 * caller validates afterwards. Nothing is loaded a second time later. */
SHMQI_RACY void shmqi_copy_racy(void *to, const void *from, size_t bytes)
{
#ifdef SHMQ_HOOKS
    if (shmqi_hooks) {
        shmqi_hooks->get(to, from, bytes);
        return;
    }
#endif
#ifdef SHMQI_TSAN
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
#else
    memcpy(to, from, bytes);
    __asm__ volatile("" ::: "memory");
#endif
}

#ifdef SHMQI_TSAN
/* A word, whole, unseen by the thread sanitizer. */
SHMQI_RACY uint64_t shmqi_word_racy(const void *at)
{
    return *(const volatile uint64_t *)at;
}
#endif

/* Where a frame lies, and its header, checked. */
struct shmqi_frame {
    struct shmqi_frame_shm head;
    const uint8_t *bytes; /* the header's place in the arena */
    uint32_t arena;
};

/* False when slot word `w` does not point to a frame within one arena. */
static inline bool shmqi_frame_open(
    const struct shmqi_ring *r, uint64_t w, struct shmqi_frame *ret)
{
    uint64_t off = shmqi_slot_frame(w) * SHMQI_FRAME_UNIT;
    uint64_t arena = off >> r->arena_lg2;
    uint64_t room = r->arena_bytes - (off & (r->arena_bytes - 1));
    if (arena >= r->producer_cnt)
        return false;
    const uint8_t *bytes = r->arena_base + off;
    shmqi_copy_racy(&ret->head, bytes, sizeof ret->head);
    uint64_t len = ret->head.len_bytes;
#ifdef SHMQ_BUG_FRAME_UNBOUNDED
    room = UINT64_MAX;
#endif
#ifdef SHMQ_BUG_HEADER_TRUSTED /* the size in the file, not the mapped one */
    shmqi_copy_racy(&room, &r->data->constants.arena_bytes, sizeof room);
#endif
    uint64_t min = sizeof ret->head +
        (uint64_t)ret->head.record_cnt * sizeof(struct shmqi_record_shm);
    if (len > room || (len & 7) || ret->head.record_cnt == 0 ||
        ret->head.record_cnt > SHMQ_BATCH_MAX || len < min)
        return false;
    ret->bytes = bytes;
    ret->arena = (uint32_t)arena;
    return true;
}

/* One record inside checked bytes. */
struct shmqi_view {
    const uint8_t *data, *attrs;
    uint32_t size, attr_bytes;
    uint32_t next; /* offset of the next record */
};

static inline uint64_t shmqi_pad8(uint64_t v)
{
    return (v + 7) & ~7ull;
}

/* The record at offset `off` of `bytes` (`len` long); false for nonsense. */
static inline bool shmqi_record_view(
    const uint8_t *bytes, uint32_t len, uint32_t off, struct shmqi_view *ret)
{
    struct shmqi_record_shm head;
    if (off > len || len - off < sizeof head)
        return false;
    shmqi_copy_racy(&head, bytes + off, sizeof head);
    uint64_t attrs = shmqi_pad8(head.attr_bytes);
    uint64_t end = off + sizeof head + attrs + shmqi_pad8(head.size);
#ifndef SHMQ_BUG_RECORD_UNBOUNDED
    if (end > len)
        return false;
#endif
    ret->attrs = bytes + off + sizeof head;
    ret->data = ret->attrs + attrs;
    ret->size = head.size;
    ret->attr_bytes = head.attr_bytes;
    ret->next = (uint32_t)end;
    return true;
}

#endif
