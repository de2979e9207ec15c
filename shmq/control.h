/* control.h - what shmqd is asked over its socket, and what it answers.
 *
 * shmq.NS.s in /dev/shm is an AF_UNIX SOCK_SEQPACKET socket on which shmqd
 * listens once it has recovered. One message asks, one answers, then the
 * connection may be used again. Messages are plain structs of this host, of
 * fixed size, little-endian; unknown fields are zero. Whoever reads one checks
 * size, magic, version, and that every text ends; descriptors are never passed.
 * The asker believes a socket whose owner it trusts (files.h). What may be
 * asked is decided by the asker's uid, which the kernel tells (SO_PEERCRED):
 * shmqd answers its own uid and root. */
#ifndef SHMQI_CONTROL_H
#define SHMQI_CONTROL_H

#include <stdint.h>

#include <shmq/durable.h>

#define SHMQI_CONTROL_MAGIC 0x4c54434du /* "MCTL" */
#define SHMQI_CONTROL_VERSION 1u
#define SHMQI_CONTROL_PATH_MAX 64
#define SHMQI_CONTROL_TEXT 1024
#define SHMQI_CONSUMED_ROOM 1024
/* How long askers look for a daemon. */
#define SHMQI_CONTROL_WAIT_NS 2000000000ull

enum shmqi_ask_kind {
    SHMQI_ASK_PING = 1, /* answer: text = state of the daemon as JSON */
    SHMQI_ASK_CREATE = 2,
    SHMQI_ASK_RETAIN = 3,
    SHMQI_ASK_REMOVE = 4
};

struct shmqi_ask {
    uint32_t magic, version;
    uint32_t kind; /* enum shmqi_ask_kind */
    uint32_t flags; /* REMOVE: enum shmq_unlink_flags */
    char topic[SHMQ_TOPIC_MAX + 9];
    char schema[SHMQ_SCHEMA_MAX + 1];
    char consumed[SHMQI_CONSUMED_ROOM];
    uint8_t pad[5];
    struct shmq_topic_attrs attrs; /* CREATE; `schema` in it means nothing */
    struct shmq_retention retain; /* CREATE, RETAIN; so does `consumed` */
    uint64_t reserved[4];
};

struct shmqi_answer {
    uint32_t magic, version;
    int32_t rc; /* enum shmq_err */
    int32_t err; /* errno behind it */
    char text[SHMQI_CONTROL_TEXT]; /* the sentence, or what was asked for */
    uint64_t reserved[4];
};

/* "/dev/shm/shmq.NS.s" */
int shmqi_control_path(char ret[SHMQI_CONTROL_PATH_MAX], const char *ns);

/* The asker's side: connects (looking for a daemon until `deadline_ns`), asks,
 * waits for the answer. NODAEMON; PERM (the socket's owner is not trusted);
 * else the answer's rc with its text as shmq_error_text(). */
int shmqi_control_ask(const char *ns, struct shmqi_ask *ask,
    uint64_t deadline_ns, struct shmqi_answer *ret);

/* As above, waiting for the answer of the daemon found at most `answer_ns`:
 * TIMEOUT. */
int shmqi_control_ask_for(const char *ns, struct shmqi_ask *ask,
    uint64_t deadline_ns, uint64_t answer_ns, struct shmqi_answer *ret);

/* As above, looking for a daemon once and waiting for its answer at most
 * `answer_ns`: TIMEOUT. */
int shmqi_control_ask_once(const char *ns, struct shmqi_ask *ask,
    uint64_t answer_ns, struct shmqi_answer *ret);

/* Both sides: whether the fields that `retention->flags` names can be meant.
 * INVAL: `consumed` must be "", "all" or names of groups, each once, separated
 * by single commas (anything else would match no group, and so keep history
 * for ever); an age must fit a signed number. */
int shmqi_retention_check(const struct shmq_retention *retention);

/* The daemon's side: whether `bytes` received bytes are a legal question; texts
 * are terminated. */
int shmqi_ask_check(struct shmqi_ask *ask, uint64_t bytes);

#endif
