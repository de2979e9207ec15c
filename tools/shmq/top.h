/* top.h - the parts of `shmq top`.
 *
 *   cmd_top.c    options, help, the loop
 *   top_rates.c  what two looks make per second
 *   top_text.c   the table
 *   top_json.c   the same as JSON
 *   top_screen.c redraws a terminal
 */
#ifndef SHMQ_CLI_TOP_H
#define SHMQ_CLI_TOP_H

#include "cli_json.h"
#include "watch_list.h"

/* Per second, between the last two looks; 0 at the first. */
struct top_rates {
    double in_messages, in_bytes;
    double dropped; /* refused or overwritten, all causes */
};
struct top_group_rates {
    double out_messages;
    double redelivered;
};

void top_rates(const struct watch_topic *topic, struct top_rates *ret);
void top_group_rates(const struct watch_topic *topic,
    const struct shmq_group_stat *group, struct top_group_rates *ret);

void top_text(const struct watch_list *list, struct cli_out *out);
void top_json(const struct watch_list *list, struct cli_out *out);

/* Whether stdout is a terminal that can be redrawn. */
bool top_screen_possible(void);
void top_screen_begin(void);
/* Draws `text` from the top left corner, cut to the window as it is now. */
int top_screen_draw(const struct cli_out *text);
void top_screen_end(void);
/* The window changed its size: draw again. Resets itself. */
bool top_screen_resized(void);

#endif
