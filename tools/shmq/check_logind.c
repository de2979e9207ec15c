/* check_logind.c - logind removes what a user has in /dev/shm when the user
 * logs out for good, unless RemoveIPC=no; system users are spared. */
#include "findings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_UID_MAX 999u

static const char *const folders[] = {"/usr/lib/systemd/logind.conf.d",
    "/run/systemd/logind.conf.d", "/etc/systemd/logind.conf.d"};

/* The last RemoveIPC= of a file: 1 yes, 0 no; else what it was. */
static int read_file(const char *path, int otherwise)
{
    char line[256];
    int removes = otherwise;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return otherwise;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *at = line + strspn(line, " \t");
        if (strncmp(at, "RemoveIPC", 9) != 0)
            continue;
        at += 9;
        at += strspn(at, " \t=");
        removes = strchr("yY1tT", *at) != NULL || strncmp(at, "on", 2) == 0;
    }
    fclose(file);
    return removes;
}

static int read_folder(const char *folder, int otherwise)
{
    struct dirent **names = NULL;
    char path[512];
    int removes = otherwise;
    int cnt = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < cnt; i++) {
        const char *name = names[i]->d_name;
        size_t len = strlen(name);
        if (len > 5 && strcmp(name + len - 5, ".conf") == 0) {
            snprintf(path, sizeof(path), "%s/%s", folder, name);
            removes = read_file(path, removes);
        }
        free(names[i]);
    }
    free(names);
    return removes;
}

void check_logind(struct findings *f)
{
    if (access("/run/systemd/seats", F_OK) != 0) {
        findings_add(f, FINDING_OK, "logind", NULL, "does not run");
        return;
    }
    int removes = read_file("/etc/systemd/logind.conf", 1);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        removes = read_folder(folders[i], removes);
    if (!removes)
        findings_add(f, FINDING_OK, "logind", NULL, "RemoveIPC=no");
    else if (geteuid() <= SYSTEM_UID_MAX)
        findings_add(f, FINDING_OK, "logind", NULL,
            "RemoveIPC=yes, which spares system users like this one");
    else
        findings_add(f, FINDING_HINT, "logind",
            "set RemoveIPC=no in /etc/systemd/logind.conf, use a system user, "
            "or loginctl enable-linger: this user's topics go at logout",
            "RemoveIPC=yes");
}
