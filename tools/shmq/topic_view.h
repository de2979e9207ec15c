/* topic_view.h - what `stat` and `groups` show of a topic. */
#ifndef SHMQ_CLI_TOPIC_VIEW_H
#define SHMQ_CLI_TOPIC_VIEW_H

#include "cli.h"
#include "cli_json.h"
#include "cli_out.h"

struct topic_view {
    struct shmq_topic *topic;
    struct shmq_topic_attrs attrs;
    struct shmq_topic_stat stat;
    bool durable;
    bool far_marks; /* from afar: marks hold written and durable only */
    struct shmq_watermarks marks; /* of a durable topic */
    struct shmq_group_stat *groups;
    uint32_t group_cnt;
    struct shmq_endpoint_stat *endpoints;
    uint32_t endpoint_cnt;
};

/* Opens the topic and takes the snapshots. Returns an exit status and has told
 * a failure; close in any case. */
int topic_view_open(const char *ns, const char *name, struct topic_view *ret);

/* The same in two steps, for those who look again and again: each returns a
 * result of the library and tells nothing. After a failed look what is in the
 * view is that of the last good one. */
int topic_view_attach(const char *ns, const char *name, struct topic_view *ret);
int topic_view_look(struct topic_view *view);
void topic_view_close(struct topic_view *view);

/* The array of groups; the whole topic as one object. */
void topic_view_groups_json(
    const struct topic_view *view, struct cli_json *json);
void topic_view_json(const struct topic_view *view, struct cli_json *json);

/* The same as tables for people. */
void topic_view_groups_text(const struct topic_view *view, struct cli_out *out);
void topic_view_text(const struct topic_view *view, struct cli_out *out);

/* A line for everybody who holds producers up now, behind `indent`. */
void topic_view_holders_text(
    const struct topic_view *view, struct cli_out *out, const char *indent);

/* One word for enum shmq_durable_state. */
const char *topic_view_state(uint32_t state);

/* Names in shared memory are whatever a peer wrote: nothing of it may drive a
 * terminal. Copies `text` to `buf` of `len` bytes; returns buf. */
const char *topic_view_printable(const char *text, char *buf, size_t len);

#endif
