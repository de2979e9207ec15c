/* cli_names.c - enumerations as words. */
#include "cli_names.h"

#include <shmq.h>

#define NAME_OF(names, value) \
    name_at(names, sizeof(names) / sizeof((names)[0]), value)

static const char *name_at(
    const char *const *names, uint64_t cnt, uint32_t value)
{
    return value < cnt && names[value] != NULL ? names[value] : "unknown";
}

const char *cli_ring_name(uint32_t ring)
{
    static const char *const names[] = {
        [SHMQ_RING_MPMC] = "mpmc", [SHMQ_RING_SPSC] = "spsc"};
    return NAME_OF(names, ring);
}

const char *cli_on_full_name(uint32_t on_full)
{
    static const char *const names[] = {[SHMQ_ON_FULL_BLOCK] = "block",
        [SHMQ_ON_FULL_DROP_NEW] = "drop-new",
        [SHMQ_ON_FULL_DROP_OLD] = "drop-old"};
    return NAME_OF(names, on_full);
}

const char *cli_durability_name(uint32_t durability)
{
    static const char *const names[] = {[SHMQ_DURABILITY_NONE] = "none",
        [SHMQ_DURABILITY_OS] = "os",
        [SHMQ_DURABILITY_DISK] = "disk"};
    return NAME_OF(names, durability);
}

const char *cli_kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [SHMQ_GROUP_SHARED] = "shared", [SHMQ_GROUP_EXCLUSIVE] = "exclusive"};
    return NAME_OF(names, kind);
}

const char *cli_absent_name(uint32_t absent)
{
    static const char *const names[] = {
        [SHMQ_ABSENT_KEEP] = "keep", [SHMQ_ABSENT_RELEASE] = "release"};
    return NAME_OF(names, absent);
}

const char *cli_role_name(uint32_t role)
{
    static const char *const names[] = {[SHMQ_ROLE_PRODUCER] = "producer",
        [SHMQ_ROLE_MEMBER] = "member",
        [SHMQ_ROLE_EPHEMERAL] = "ephemeral",
        [SHMQ_ROLE_ADMIN] = "admin"};
    return NAME_OF(names, role);
}

const char *cli_state_name(uint32_t state)
{
    static const char *const names[] = {[SHMQ_STATE_RUNNING] = "running",
        [SHMQ_STATE_STOPPED] = "stopped",
        [SHMQ_STATE_DEAD] = "dead",
        [SHMQ_STATE_UNKNOWN] = "running"};
    return NAME_OF(names, state);
}

const char *cli_timestamps_name(uint32_t timestamps)
{
    static const char *const names[] = {[SHMQ_TIMESTAMPS_FRAME] = "frame",
        [SHMQ_TIMESTAMPS_OFF] = "off",
        [SHMQ_TIMESTAMPS_RECORD] = "record"};
    return NAME_OF(names, timestamps);
}
