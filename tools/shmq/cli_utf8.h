/* cli_utf8.h - which bytes are UTF-8. */
#ifndef SHMQ_CLI_UTF8_H
#define SHMQ_CLI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strict: no overlong forms, no surrogates, nothing above U+10FFFF. Total. */
bool cli_utf8_valid(const void *data, size_t len);

/* Encodes a code point; returns the number of bytes, 1 to 4. */
size_t cli_utf8_encode(uint32_t code, char buf[4]);

#endif
