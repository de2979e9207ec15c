/* cli_base64.h - base64 of RFC 4648 section 4, padded, without line breaks. */
#ifndef SHMQ_CLI_BASE64_H
#define SHMQ_CLI_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that `len` bytes become when encoded. */
size_t cli_base64_len(size_t len);

/* Writes cli_base64_len(len) bytes to `to`. */
void cli_base64_encode(const void *data, size_t len, char *to);

/* Decodes in place or elsewhere (`to` may be `text`); *ret_len is at most
 * len / 4 * 3. False when it is not base64: strict, also about bits that must
 * be zero. */
bool cli_base64_decode(const char *text, size_t len, char *to, size_t *ret_len);

#endif
