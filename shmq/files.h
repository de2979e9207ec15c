/* files.h - names, permissions and life of a topic's files in /dev/shm.
 *
 * Crash argument: the files are made nameless (O_TMPFILE), complete, and get
 * their names by link(2): (watermarks,) control, data last. The topic exists
 * from the instant the data file has its name. Removal takes the data file's
 * name first. A control file without a data file is a leftover; it is removed
 * under the namespace lock, which every creator holds. */
#ifndef SHMQI_FILES_H
#define SHMQI_FILES_H

#include <sys/stat.h>

#include <shmq/topic.h>

#include "layout.h"

struct shmqi_marks_make;

#define SHMQI_DIR "/dev/shm"
#define SHMQI_PATH_MAX 224

/* A topic's files while they are being opened. */
struct shmqi_files {
    char ns[SHMQ_NAMESPACE_MAX + 1];
    char topic[SHMQ_TOPIC_MAX + 9];
    int data_fd, control_fd;
    bool data_writable;
    struct stat data_stat, control_stat;
    struct shmqi_constants_shm data, control;
};

/* Resolves and checks a namespace (NULL: environment, else "default"). */
int shmqi_namespace(const char *ns, char ret[SHMQ_NAMESPACE_MAX + 1]);
/* Checks a topic name; `system` allows a leading '@'. */
int shmqi_topic_name_check(const char *topic, bool system);
void shmqi_path(
    char ret[SHMQI_PATH_MAX], const char *ns, char kind, const char *topic);

int shmqi_files_init(struct shmqi_files *f, const char *ns, const char *topic);
/* Each opens, checks type, links and owner, and reads the header. */
int shmqi_files_open_data(struct shmqi_files *f);
int shmqi_files_open_control(struct shmqi_files *f);
/* 0 and the control file's stat without opening it, or -1. */
int shmqi_files_stat_control(const struct shmqi_files *f, struct stat *ret);
void shmqi_files_close(struct shmqi_files *f);

/* True when files of this owner may be trusted: ours, root's, or listed in
 * SHMQ_TRUSTED_UIDS. */
bool shmqi_owner_trusted(uid_t uid);

/* Takes the lock of a namespace and a user, waiting up to 5 s. */
int shmqi_namespace_lock(const char *ns, uid_t uid, int *ret_fd);
/* Lets it go, and removes it when the namespace has no files left. */
void shmqi_namespace_unlock(const char *ns, uid_t uid, int fd);

/* What a topic is made with beside its constants. */
struct shmqi_create {
    const char *schema; /* NULL: none */
    uid_t owner; /* (uid_t)-1: the caller */
    gid_t group_owner; /* (gid_t)-1: the caller's */
    const struct shmqi_marks_make *marks; /* durable: what the log is */
    bool huge; /* in huge pages where the host has them */
};

/* A nameless file of `bytes`, of which the first `reserved` are allocated. */
int shmqi_file_make(const char *topic, uint64_t bytes, uint64_t reserved,
    uint32_t mode, const struct shmqi_create *more, int *ret_fd);
int shmqi_file_open(const char *path, int mode);

/* Creates a topic whose constants are given (defaults filled in). */
int shmqi_files_create(const char *ns, const char *topic,
    struct shmqi_constants_shm *constants, const struct shmqi_create *more);

#endif
