/* check_leftovers.c - files in /dev/shm that belong to no topic. Each is
 * harmless, and cleared away by who comes next; told because people ask. */
#include "findings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_SHM "/dev/shm"

struct looked {
    struct findings *f;
    char prefix[64]; /* "shmq.NS." */
    unsigned alone, doorbells;
};

/* A control file whose data file is not there: a killed create or rm. */
static void look_at_control(struct looked *l, const char *topic)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof(path), DIR_SHM "/%sd.%s", l->prefix, topic);
    if (stat(path, &st) == 0)
        return;
    l->alone++;
    findings_add(l->f, FINDING_HINT, "leftover",
        "create or remove any topic of this namespace: that clears it away",
        "control file of topic %s without its data file", topic);
}

static void look_at(struct looked *l, const char *name)
{
    size_t len = strlen(l->prefix);
    if (strncmp(name, l->prefix, len) != 0)
        return;
    name += len;
    if (name[0] == 'c' && name[1] == '.')
        look_at_control(l, name + 2);
    if (name[0] == 'b' && name[1] == '.')
        l->doorbells++;
}

void check_leftovers(struct findings *f, const char *ns)
{
    struct looked l = {f, "", 0, 0};
    DIR *dir = opendir(DIR_SHM);
    if (ns == NULL)
        ns = getenv("SHMQ_NAMESPACE");
    if (ns == NULL || ns[0] == '\0')
        ns = "default";
    snprintf(l.prefix, sizeof(l.prefix), "shmq.%s.", ns);
    if (dir == NULL)
        return; /* told with /dev/shm */
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        look_at(&l, e->d_name);
    closedir(dir);
    if (l.alone == 0)
        findings_add(f, FINDING_OK, "leftovers", NULL,
            "none; %u consumers wait on a descriptor", l.doorbells);
}
