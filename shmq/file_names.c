/* file_names.c - what namespaces, topics and their files may be called, and
 * whose files count. */
#include "files.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

static bool name_legal(const char *name, size_t max, const char *extra)
{
    size_t n = strlen(name);
    if (n < 1 || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr(extra, name[i]))
            return false;
    return true;
}

int shmqi_namespace(const char *ns, char ret[SHMQ_NAMESPACE_MAX + 1])
{
    if (!ns) {
        ns = getenv("SHMQ_NAMESPACE");
        if (!ns || !*ns)
            ns = "default";
    }
    if (!name_legal(ns, SHMQ_NAMESPACE_MAX, "_-"))
        return shmqi_fail(SHMQ_ERR_INVAL,
            "namespace '%.40s': not a legal name; use 1 to 32 of "
            "A-Z a-z 0-9 _ -",
            ns);
    (void)strcpy(ret, ns);
    return SHMQ_OK;
}

int shmqi_topic_name_check(const char *topic, bool system)
{
    const char *name = topic ? topic : "";
    size_t max = SHMQ_TOPIC_MAX;
    const char *extra = "._-";
    if (system && name[0] == '@') {
        name++;
        max += 7;
        extra = "._-@";
    }
    if (!name_legal(name, max, extra) || name[0] == '.')
        return shmqi_fail(SHMQ_ERR_INVAL,
            "topic '%.40s%s': not a legal name; use 1 to 128 of "
            "A-Z a-z 0-9 . _ -, not starting with a dot",
            topic ? topic : "", topic && strlen(topic) > 40 ? "..." : "");
    return SHMQ_OK;
}

void shmqi_path(
    char ret[SHMQI_PATH_MAX], const char *ns, char kind, const char *topic)
{
    (void)snprintf(
        ret, SHMQI_PATH_MAX, "%s/shmq.%s.%c.%s", SHMQI_DIR, ns, kind, topic);
}

bool shmqi_owner_trusted(uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return true;
    const char *list = getenv("SHMQ_TRUSTED_UIDS");
    for (const char *p = list; p && *p;) {
        char *end;
        unsigned long v = strtoul(p, &end, 10);
        if (end == p || (*end != ',' && *end != '\0'))
            break; /* not a list of numbers: trust nobody on it */
        if (v == (unsigned long)uid)
            return true;
        p = *end ? end + 1 : end;
    }
    return false;
}
