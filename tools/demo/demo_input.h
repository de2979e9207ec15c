/* demo_input.h - the lines of real files, copied to private memory so that a
 * log that grows or is rotated meanwhile changes nothing.
 *
 * A line ends with LF, which is not part of it; every other byte is, carriage
 * returns too. A last line without LF counts; an empty line is a line. */
#ifndef SHMQ_DEMO_INPUT_H
#define SHMQ_DEMO_INPUT_H

#include <stdint.h>

struct demo_line {
    const char *bytes;
    uint64_t size;
};

struct demo_input {
    struct demo_line *lines;
    uint64_t line_cnt, line_cap;
    char **texts; /* of the files; lines point into them */
    uint64_t file_cnt, bytes;
    uint64_t longest, empty, crlf, stray_cr, not_utf8, no_final_lf;
    uint64_t room_bytes; /* more is not read from files found by itself */
};

/* Reads one file. Returns 0, or -1 with errno. An empty file adds no line. */
int demo_input_add(struct demo_input *input, const char *path);

/* Reads text that is likely to be found on the machine, up to room_bytes;
 * files with NUL bytes are left out. Returns the number of files. */
uint64_t demo_input_find(struct demo_input *input);

void demo_input_free(struct demo_input *input);

#endif
