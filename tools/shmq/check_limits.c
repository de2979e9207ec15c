/* check_limits.c - limits of this process and of its container. */
#include "findings.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "service/units.h"

static void put_limit(char *buf, size_t len, rlim_t value)
{
    if (value == RLIM_INFINITY)
        snprintf(buf, len, "unlimited");
    else
        snprintf(buf, len, "%" PRIu64, (uint64_t)value);
}

static void check_limit(struct findings *f, const struct rlimit *limit,
    const char *name, rlim_t enough, const char *advice)
{
    char text[32];
    put_limit(text, sizeof(text), limit->rlim_cur);
    bool low = limit->rlim_cur != RLIM_INFINITY && limit->rlim_cur < enough;
    findings_add(f, low ? FINDING_HINT : FINDING_OK, name, low ? advice : NULL,
        "%s", text);
}

/* First number of a file, or false. */
static bool read_number(const char *path, uint64_t *ret)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    text[strcspn(text, " \n")] = '\0';
    return shmqs_parse_u64(text, ret);
}

/* Pages of /dev/shm count as memory of the group that touched them first. */
static void check_memory_group(struct findings *f)
{
    struct statvfs vfs;
    uint64_t limit;
    if (!read_number("/sys/fs/cgroup/memory.max", &limit) &&
        !read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit))
        return; /* none, or "max" */
    if (statvfs("/dev/shm", &vfs) != 0)
        return;
    uint64_t size = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    if (limit >= UINT64_C(1) << 60)
        return; /* how the first version writes "max" */
    bool low = limit < size;
    findings_add(f, low ? FINDING_HINT : FINDING_OK, "memory-limit",
        low ? "keep the topics well below it: what they hold counts, and "
              "beyond it processes are killed"
            : NULL,
        "memory control group: %" PRIu64 " bytes", limit);
}

void check_limits(struct findings *f)
{
    struct rlimit limit;
    uint64_t maps;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        check_limit(f, &limit, "limit-files", 256,
            "ulimit -n 1024: an open topic takes 2 descriptors, a pollable "
            "consumer 3 more");
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0)
        check_limit(f, &limit, "limit-file-size", UINT64_C(1) << 30,
            "ulimit -f unlimited: topics are files, longer than what they use");
    if (getrlimit(RLIMIT_AS, &limit) == 0)
        check_limit(f, &limit, "limit-address-space", UINT64_C(4) << 30,
            "ulimit -v unlimited: a topic's files are mapped whole");
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        check_limit(f, &limit, "limit-locked-memory", UINT64_C(64) << 20,
            "ulimit -l, or LimitMEMLOCK=: topics made with --mlock need it");
    if (read_number("/proc/sys/vm/max_map_count", &maps) && maps < 4096)
        findings_add(f, FINDING_HINT, "map-count",
            "sysctl vm.max_map_count=65530", "%" PRIu64, maps);
    check_memory_group(f);
}
