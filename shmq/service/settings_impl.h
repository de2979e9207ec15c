/* settings_impl.h - what the parts of the settings share. */
#ifndef SHMQS_SETTINGS_IMPL_H
#define SHMQS_SETTINGS_IMPL_H

#include "settings.h"

#include <stddef.h>

struct shmqs_value {
    char *text; /* NULL: not given */
    char *place;
    uint64_t number;
    bool given;
};

/* Values of one table, in its order. */
struct shmqs_values {
    const struct shmqs_option *options;
    struct shmqs_value *values;
    char *kind; /* of a section */
    char *name;
    char *place;
};

struct shmqs_settings {
    const struct shmqs_program *program;
    struct shmqs_values own;
    struct shmqs_values *sections;
    uint32_t section_cnt;
};

/* Memory for settings: never NULL, the program ends with a message instead. */
void *shmqs_alloc(void *old, size_t bytes);
char *shmqs_copy(const char *text);

void shmqs_values_init(
    struct shmqs_values *values, const struct shmqs_option *options);

/* The option called `name`, or NULL. */
const struct shmqs_option *shmqs_option_find(
    const struct shmqs_option *options, const char *name);

/* Sets `option`, written `text` at `place`; a value already given stays when
 * `keep`. Returns 0, or a status after having said why. */
int shmqs_value_set(const struct shmqs_settings *settings,
    struct shmqs_values *values, const struct shmqs_option *option,
    const char *text, const char *place, bool keep);

/* "PLACE: message" about an unknown word, with the nearest of `options` (and
 * of section kinds, if `sections` is not NULL). */
int shmqs_unknown(const struct shmqs_settings *settings, const char *place,
    const char *what, const char *word, const struct shmqs_option *options,
    const char *dashes);

/* Reads the file (settings_file.c). Returns 0 or a status. */
int shmqs_file_read(struct shmqs_settings *settings, const char *path);

/* Writes --help (settings_help.c). Returns the exit status. */
int shmqs_help_print(const struct shmqs_program *program);

#endif
