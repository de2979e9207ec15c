/* crc32c.c - CRC-32C, by the processor's instruction or by tables.
 *
 * The instruction takes 3 cycles but one can begin each cycle: long input goes
 * through three of them side by side, and their results are joined by tables
 * that move a CRC over LANE or 2 x LANE bytes of zeros. */
#include <pthread.h>
#include <string.h>

#include "payload.h"

#if defined(__x86_64__)
#define SHMQW_CRC_X86 1
#endif

enum { LANE = 1024 };

static uint32_t byte_table[8][256];
static uint32_t over_lane[4][256]; /* LANE bytes of zeros behind a CRC */
static uint32_t over_two_lanes[4][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static uint32_t crc_bytes(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len; len--)
        crc = byte_table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
    return crc;
}

static uint32_t crc_zeros(uint32_t crc, size_t len)
{
    for (; len; len--)
        crc = byte_table[0][crc & 0xff] ^ (crc >> 8);
    return crc;
}

static void fill_over(uint32_t table[4][256], size_t zeros)
{
    uint32_t bit[32]; /* where each bit of a CRC ends up: it is linear */
    for (uint32_t i = 0; i < 32; i++)
        bit[i] = crc_zeros(1u << i, zeros);
    for (uint32_t byte = 0; byte < 4; byte++)
        for (uint32_t v = 0; v < 256; v++) {
            uint32_t sum = 0;
            for (uint32_t i = 0; i < 8; i++)
                if (v & 1u << i)
                    sum ^= bit[byte * 8 + i];
            table[byte][v] = sum;
        }
}

static void fill_tables(void)
{
    for (uint32_t v = 0; v < 256; v++) {
        uint32_t crc = v;
        for (int i = 0; i < 8; i++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
        byte_table[0][v] = crc;
    }
    for (uint32_t v = 0; v < 256; v++)
        for (uint32_t t = 1; t < 8; t++) {
            uint32_t before = byte_table[t - 1][v];
            byte_table[t][v] = byte_table[0][before & 0xff] ^ (before >> 8);
        }
    fill_over(over_lane, LANE);
    fill_over(over_two_lanes, 2 * LANE);
}

static uint64_t load8(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t crc_tables(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w = load8(p) ^ crc;
        crc = 0;
        for (uint32_t i = 0; i < 8; i++)
            crc ^= byte_table[7 - i][w >> (8 * i) & 0xff];
    }
    return crc_bytes(crc, p, len);
}

uint32_t shmqw_crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
    pthread_once(&tables_once, fill_tables);
    return ~crc_tables(~crc, bytes, len);
}

#ifdef SHMQW_CRC_X86
static uint32_t move_over(uint32_t table[4][256], uint32_t crc)
{
    return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^
        table[2][crc >> 16 & 0xff] ^ table[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t crc_instruction(
    uint32_t start, const uint8_t *p, size_t len)
{
    uint64_t a = start;
    for (; len >= 3 * (size_t)LANE; p += 3 * LANE, len -= 3 * (size_t)LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = __builtin_ia32_crc32di(a, load8(p + i));
            b = __builtin_ia32_crc32di(b, load8(p + LANE + i));
            c = __builtin_ia32_crc32di(c, load8(p + 2 * LANE + i));
        }
        a = move_over(over_two_lanes, (uint32_t)a) ^
            move_over(over_lane, (uint32_t)b) ^ c;
    }
    for (; len >= 8; p += 8, len -= 8)
        a = __builtin_ia32_crc32di(a, load8(p));
    uint32_t crc = (uint32_t)a;
    for (; len; len--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#endif

uint32_t shmqw_crc32c(uint32_t crc, const void *bytes, size_t len)
{
    if (len == 0)
        return crc;
    pthread_once(&tables_once, fill_tables);
#ifdef SHMQW_CRC_X86
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_instruction(~crc, bytes, len);
#endif
    return ~crc_tables(~crc, bytes, len);
}
