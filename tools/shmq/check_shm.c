/* check_shm.c - the file system that topics live in. */
#include "findings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DIR_SHM "/dev/shm"
#define TMPFS 0x01021994
#define MIB (UINT64_C(1) << 20)

static uint64_t mib(uint64_t bytes)
{
    return bytes / MIB;
}

void check_shm_room(struct findings *f)
{
    struct statvfs vfs;
    if (statvfs(DIR_SHM, &vfs) != 0) {
        findings_add(f, FINDING_BAD, "shm", "mount a tmpfs there",
            DIR_SHM ": %s", strerror(errno));
        return;
    }
    uint64_t size = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    uint64_t room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    bool tight = room < MIB || room < size / 20;
    if (size == 0) /* a ramfs, say */
        findings_add(f, FINDING_OK, "shm-room", NULL, "has no limit");
    else
        findings_add(f, tight ? FINDING_BAD : FINDING_OK, "shm-room",
            tight ? "remove topics, or enlarge it: mount -o remount,size=... "
                    "/dev/shm (docker: --shm-size)"
                  : NULL,
            "%" PRIu64 " MiB of %" PRIu64 " MiB free", mib(room), mib(size));
    if (vfs.f_files != 0 && vfs.f_favail < 64)
        findings_add(f, FINDING_BAD, "shm-files",
            "remove files, or remount with a larger nr_inodes",
            "room for %" PRIu64 " more files only", (uint64_t)vfs.f_favail);
}

static void check_kind(struct findings *f)
{
    struct statfs fs;
    struct stat st;
    if (statfs(DIR_SHM, &fs) != 0 || stat(DIR_SHM, &st) != 0)
        return; /* told by the room */
    if ((uint64_t)fs.f_type != TMPFS)
        findings_add(f, FINDING_HINT, "shm-kind",
            "mount a tmpfs there: on a disk, topics cost writes",
            "is no tmpfs (type 0x%" PRIx64 ")", (uint64_t)fs.f_type);
    else
        findings_add(f, FINDING_OK, "shm-kind", NULL, "is a tmpfs");
    if ((st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)
        findings_add(f, FINDING_HINT, "shm-mode",
            "chmod 1777 /dev/shm: without the sticky bit anybody may remove "
            "anybody's topics",
            "mode %04o", (unsigned)st.st_mode & 07777);
}

/* What creating a topic does, without a name. */
static void check_create(struct findings *f)
{
    int fd = open(DIR_SHM, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        findings_add(f, FINDING_BAD, "shm-create",
            "give this user write permission, or a tmpfs that has O_TMPFILE",
            "cannot make a nameless file: %s", strerror(errno));
        return;
    }
    int err = posix_fallocate(fd, 0, 256 * 1024);
    findings_add(f, err != 0 ? FINDING_BAD : FINDING_OK, "shm-create",
        err != 0 ? "make room, see above" : NULL, "reserving 256 KiB: %s",
        err != 0 ? strerror(err) : "works");
    close(fd);
}

void check_shm(struct findings *f)
{
    check_shm_room(f);
    check_kind(f);
    check_create(f);
}
