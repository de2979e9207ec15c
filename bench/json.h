/* json.h - writing and reading JSON, as much as the lab needs. */
#ifndef LAB_JSON_H
#define LAB_JSON_H

#include <stdint.h>
#include <stdio.h>

/* --- writing: commas and indentation are kept right ----------------------- */

struct lab_json {
    FILE *f;
    uint32_t depth;
    uint32_t fresh; /* nothing in the innermost one yet */
};

void lab_json_begin(struct lab_json *j, FILE *f);
int lab_json_end(struct lab_json *j); /* 0, or -1 when writing failed */
/* `key` NULL: in an array. */
void lab_json_object(struct lab_json *j, const char *key);
void lab_json_object_end(struct lab_json *j);
void lab_json_array(struct lab_json *j, const char *key);
void lab_json_array_end(struct lab_json *j);
void lab_json_text(struct lab_json *j, const char *key, const char *value);
void lab_json_number(struct lab_json *j, const char *key, double value);
void lab_json_numbers(
    struct lab_json *j, const char *key, const double *values, uint32_t cnt);

/* --- reading: a tree -------------------------------------------------------
 */

enum lab_json_kind {
    LAB_JSON_NULL,
    LAB_JSON_NUMBER,
    LAB_JSON_TEXT,
    LAB_JSON_ARRAY,
    LAB_JSON_OBJECT
};

struct lab_node {
    enum lab_json_kind kind;
    double number; /* true is 1, false 0 */
    char *text; /* texts */
    char *key; /* inside an object */
    struct lab_node *first, *next;
};

/* Reads a whole file. NULL with `error` (192 bytes) on failure. */
struct lab_node *lab_json_read(const char *path, char *error);
void lab_json_free(struct lab_node *node);
/* NULL when there is none; `node` may be NULL. */
const struct lab_node *lab_json_get(
    const struct lab_node *node, const char *key);
const char *lab_json_get_text(const struct lab_node *node, const char *key);
double lab_json_get_number(const struct lab_node *node, const char *key);

#endif
