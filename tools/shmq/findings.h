/* findings.h - what `doctor` and `health` found out. */
#ifndef SHMQ_CLI_FINDINGS_H
#define SHMQ_CLI_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli_json.h"

enum finding_level {
    FINDING_OK, /* as it should be */
    FINDING_HINT, /* works; could be better, or harm in some cases */
    FINDING_BAD /* something does not work, or is stuck */
};

struct finding {
    enum finding_level level;
    const char *check; /* name of what was looked at */
    char *what;
    char *advice; /* what to do; NULL when nothing */
};

struct findings {
    struct finding *all;
    size_t cnt, cap;
};

/* `what` is a format; `advice` may be NULL. */
void findings_add(struct findings *f, enum finding_level level,
    const char *check, const char *advice, const char *what, ...)
    __attribute__((format(printf, 5, 6)));
void findings_free(struct findings *f);

bool findings_any(const struct findings *f, enum finding_level level);
const char *finding_level_name(enum finding_level level);

/* A line each: "level  check: what; advice". Levels below `least` are left
 * out. */
void findings_text(
    const struct findings *f, enum finding_level least, struct cli_out *out);
void findings_json(
    const struct findings *f, enum finding_level least, struct cli_json *json);

/* -- the checks; `ns` as the library takes it -------------------------------
 */

/* /dev/shm: kind, size, rights, room (check_shm.c). */
void check_shm(struct findings *f);
/* Only whether there is room left. */
void check_shm_room(struct findings *f);
/* Limits of this process and its container (check_limits.c). */
void check_limits(struct findings *f);
/* What the library asks of the kernel, tried out (check_kernel.c). */
void check_kernel(struct findings *f);
/* Whether logind would remove files at logout (check_logind.c). */
void check_logind(struct findings *f);
struct topic_view;
/* Whether groups' dead-letter topics take records (check_dead_letters.c). */
void check_dead_letters(struct findings *f, const char *ns, const char *name,
    const struct topic_view *view);
/* Each topic: readable, held up, members stopped or dead (check_topics.c).
 * Returns an exit status: 9 when one is durable and shmqd is not there. */
int check_topics(struct findings *f, const char *ns);
/* Files that belong to no topic (check_leftovers.c). */
void check_leftovers(struct findings *f, const char *ns);

#endif
