/* topic_list.c - the topics of a namespace, by their files. */
#define _GNU_SOURCE
#include "topic_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t cnt)
{
    for (size_t i = 0; i < cnt; i++)
        free(names[i]);
    free(names);
}

static int collect(DIR *dir, const char *prefix, char ***ret, size_t *ret_cnt)
{
    size_t n = strlen(prefix), cap = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, prefix, n) != 0 ||
            shmqi_topic_name_check(e->d_name + n, true) != SHMQ_OK)
            continue;
        if (*ret_cnt == cap) {
            cap = cap ? cap * 2 : 32;
            char **more = realloc(*ret, cap * sizeof *more);
            if (!more)
                return SHMQ_ERR_NOMEM;
            *ret = more;
        }
        char *name = strdup(e->d_name + n);
        if (!name)
            return SHMQ_ERR_NOMEM;
        (*ret)[(*ret_cnt)++] = name;
    }
    return SHMQ_OK;
}

int shmqi_topic_names(const char *ns, char kind,
    int (*visit)(void *ctx, const char *topic), void *ctx)
{
    char space[SHMQ_NAMESPACE_MAX + 1], prefix[SHMQ_NAMESPACE_MAX + 16];
    char **names = NULL;
    size_t cnt = 0;
    if (!visit)
        return shmqi_fail(SHMQ_ERR_INVAL, "list: no function to call");
    int rc = shmqi_namespace(ns, space);
    if (rc)
        return rc;
    (void)snprintf(prefix, sizeof prefix, "shmq.%s.%c.", space, kind);
    DIR *dir = opendir(SHMQI_DIR);
    if (!dir)
        return shmqi_fail_sys(errno, "cannot list " SHMQI_DIR);
    rc = collect(dir, prefix, &names, &cnt);
    (void)closedir(dir);
    if (rc)
        (void)shmqi_fail(rc, "no memory");
    if (rc == SHMQ_OK && cnt)
        qsort(names, cnt, sizeof *names, by_name);
    for (size_t i = 0; rc == SHMQ_OK && i < cnt; i++)
        rc = visit(ctx, names[i]);
    free_names(names, cnt);
    return rc;
}

int shmq_topic_list(
    const char *ns, int (*visit)(void *ctx, const char *topic), void *ctx)
{
    return shmqi_topic_names(ns, 'd', visit, ctx);
}
