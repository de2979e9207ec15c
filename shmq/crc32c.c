/* crc32c.c - CRC-32C by tables, and by the processor's instruction.
 *
 * The instruction has a latency of three cycles and a throughput of one, so
 * long inputs run as three streams side by side; their results are joined by a
 * carry-less multiplication with x^(8n - 33), which is what n zero bytes do to
 * a CRC. */
#include <stdbool.h>
#include <string.h>

#include "crc32c.h"

/* Bytes per stream, and the factors for one and two streams behind. */
#define LONG_RUN 1360u
#define LONG_ONE 0x3f70cc6fu
#define LONG_TWO 0x5aa1f3cfu
#define SHORT_RUN 168u
#define SHORT_ONE 0x1b3d8f29u
#define SHORT_TWO 0xa60ce07bu

/* One step for each of the 16 low halves of a byte: small, and constant. */
static const uint32_t nibble[16] = {0x00000000, 0x105ec76f, 0x20bd8ede,
    0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78,
    0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a,
    0xf36e6f75};

uint32_t shmqi_crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define INSTRUCTION __attribute__((target("sse4.2,pclmul")))

static inline uint64_t load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

INSTRUCTION static inline uint32_t behind(uint32_t crc, uint32_t factor)
{
    __m128i product = _mm_clmulepi64_si128(
        _mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)factor), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Three streams of `run` bytes (a multiple of 8) each. */
INSTRUCTION static inline uint32_t three(
    uint32_t crc, const uint8_t *p, uint32_t run, uint32_t one, uint32_t two)
{
    uint64_t a = crc, b = 0, c = 0;
    for (uint32_t i = 0; i < run; i += 8) {
        a = _mm_crc32_u64(a, load(p + i));
        b = _mm_crc32_u64(b, load(p + run + i));
        c = _mm_crc32_u64(c, load(p + 2 * run + i));
    }
    return behind((uint32_t)a, two) ^ behind((uint32_t)b, one) ^ (uint32_t)c;
}

INSTRUCTION static uint32_t by_instruction(
    uint32_t crc, const uint8_t *p, size_t len)
{
    uint64_t v = (uint32_t)~crc;
    for (; len >= 3 * LONG_RUN; len -= 3 * LONG_RUN, p += 3 * LONG_RUN)
        v = three((uint32_t)v, p, LONG_RUN, LONG_ONE, LONG_TWO);
    for (; len >= 3 * SHORT_RUN; len -= 3 * SHORT_RUN, p += 3 * SHORT_RUN)
        v = three((uint32_t)v, p, SHORT_RUN, SHORT_ONE, SHORT_TWO);
    for (; len >= 8; len -= 8, p += 8)
        v = _mm_crc32_u64(v, load(p));
    for (; len > 0; len--, p++)
        v = _mm_crc32_u8((uint32_t)v, *p);
    return ~(uint32_t)v;
}

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif

static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1"
                : "+r"(crc)
                : "r"(v));
    }
    for (; len > 0; len--, p++)
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1"
                : "+r"(crc)
                : "r"((uint32_t)*p));
    return ~crc;
}

static bool has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

#else
static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
    return shmqi_crc32c_portable(crc, p, len);
}

static bool has_instruction(void)
{
    return false;
}
#endif

uint32_t shmqi_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    return has_instruction() ? by_instruction(crc, bytes, len)
                             : shmqi_crc32c_portable(crc, bytes, len);
}
