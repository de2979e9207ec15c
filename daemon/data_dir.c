/* data_dir.c - the rules for the place of the data directory. */
#include "data_dir.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *state_home(char *room, size_t size)
{
    const char *home = getenv("XDG_STATE_HOME");
    if (home != NULL && home[0] == '/')
        return home;
    home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        const struct passwd *user = getpwuid(geteuid());
        home = user != NULL ? user->pw_dir : "/";
    }
    snprintf(room, size, "%s/.local/state", home);
    return room;
}

/* Makes the directories above `path` that are missing. */
static int make_parents(char *path, mode_t mode)
{
    for (char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = '\0';
        int rc = mkdir(path, mode);
        *p = '/';
        if (rc != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static bool absolute(const char *given, char *ret, size_t room)
{
    char here[SHMQD_PATH_MAX];
    int n;
    if (given[0] == '/')
        n = snprintf(ret, room, "%s", given);
    else if (getcwd(here, sizeof(here)) != NULL)
        n = snprintf(ret, room, "%s/%s", here, given);
    else
        return false;
    return n > 0 && (size_t)n < room;
}

int shmqd_data_dir(struct shmqd *daemon)
{
    const struct shmqs_values *values = shmqs_settings_values(daemon->settings);
    const char *given = shmqs_text(values, "data-dir");
    char home[SHMQD_PATH_MAX];
    bool root = geteuid() == 0;
    if (given != NULL) {
        /* Paths of topics are told through shared memory, where they have less
         * room than PATH_MAX. */
        if (absolute(given, daemon->dir, sizeof(daemon->dir) - 128))
            return 0;
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_USAGE,
            shmqs_place(values, "data-dir"), "the path is too long");
    }
    int n = snprintf(daemon->dir, sizeof(daemon->dir) - 128, "%s/shmq/%s",
        root ? "/var/lib" : state_home(home, sizeof(home)), daemon->ns);
    if (n < 0 || (size_t)n >= sizeof(daemon->dir) - 128)
        return shmqs_settings_fail(daemon->settings, SHMQS_EXIT_USAGE,
            "--data-dir", "the default is too long a path; give one");
    if (make_parents(daemon->dir, root ? 0755 : 0700) != 0)
        return shmqs_settings_fail(daemon->settings,
            errno == EACCES || errno == EROFS ? SHMQS_EXIT_PERMISSION
                                              : SHMQS_EXIT_FAILED,
            daemon->dir, "cannot be made: %s; give --data-dir",
            strerror(errno));
    return 0;
}
