/* settings_help.c - --help, from the tables. */
#include "settings_impl.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_COLUMN = 30 };

/* One option; line breaks in its text go to the column. */
static void print_option(const struct shmqs_option *option, const char *dashes)
{
    int width = printf("  %s%s", dashes, option->name);
    if (option->placeholder != NULL)
        width += printf(
            "%s%s", dashes[0] != '\0' ? " " : " = ", option->placeholder);
    if (width >= TEXT_COLUMN)
        width = printf("\n") - 1;
    printf("%*s", TEXT_COLUMN - width, "");
    for (const char *p = option->help; *p != '\0'; p++) {
        putchar(*p);
        if (*p == '\n')
            printf("%*s", TEXT_COLUMN, "");
    }
    if (option->fallback != NULL)
        printf(" (%s)", option->fallback);
    if (option->environment != NULL)
        printf(" [%s]", option->environment);
    putchar('\n');
}

int shmqs_help_print(const struct shmqs_program *program)
{
    printf("usage: %s [OPTION...]\n\n%s\n\nOptions, with (defaults) and "
           "[environment]:\n",
        program->name, program->purpose);
    const struct shmqs_option *option = program->options;
    for (; option->name != NULL; option++)
        print_option(option, "--");
    const struct shmqs_section *section = program->sections;
    for (; section != NULL && section->kind != NULL; section++) {
        printf("\nKeys of a section [%s NAME] of the file:\n", section->kind);
        for (option = section->options; option->name != NULL; option++)
            print_option(option, "");
    }
    if (program->notes != NULL)
        printf("\n%s\n", program->notes);
    return ferror(stdout) || fflush(stdout) != 0 ? SHMQS_EXIT_FAILED
                                                 : SHMQS_EXIT_DONE;
}
