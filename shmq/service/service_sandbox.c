/* service_sandbox.c - no capabilities, no new privileges, few system calls.
 * The only file that sees libseccomp. */
#include "service_sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool shmqs_sandbox_possible(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
    return false;
#else
    return true;
#endif
#else
    return true;
#endif
}

/* The bounding set can be emptied only by who may set capabilities; for
 * anybody else no_new_privs already bars the way back. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    for (unsigned long cap = 0; cap < 64; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    (void)syscall(SYS_capset, &header, none);
    /* A sandbox around us may forbid to drop what is not there. */
    if (syscall(SYS_capget, &header, has) != 0)
        return -1;
    if (memcmp(has, none, sizeof(none)) != 0) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

static int forbid_core_files(void)
{
    struct rlimit core = {0, 0};
    if (setrlimit(RLIMIT_CORE, &core) == 0)
        return 0;
    return getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 ? -1 : 0;
}

static int add_rule(scmp_filter_ctx filter, const struct shmqs_allowed *allowed)
{
    int number = seccomp_syscall_resolve_name(allowed->name);
    if (number == __NR_SCMP_ERROR || number < 0)
        return 0;
    if (allowed->arg == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
        SCMP_CMP(allowed->arg - 1, SCMP_CMP_MASKED_EQ, allowed->mask,
            allowed->value));
}

/* Returns 0 or a negative errno. Calls of another architecture (32-bit ones)
 * kill: their numbers mean something else. */
static int filter_calls(const struct shmqs_allowed *allowed)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return -ENOMEM;
    int rc = seccomp_attr_set(
        filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0) /* a binary tree: few comparisons per call */
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (; rc == 0 && allowed->name != NULL; allowed++)
        rc = add_rule(filter, allowed);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

int shmqs_sandbox_enter(
    const struct shmqs_allowed *allowed, const char **ret_step)
{
    *ret_step = "setrlimit";
    if (forbid_core_files() != 0)
        return -1;
    *ret_step = "capset";
    if (drop_capabilities() != 0)
        return -1;
    *ret_step = "no_new_privs";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    *ret_step = "seccomp";
    int rc = filter_calls(allowed);
    if (rc != 0) {
        errno = -rc;
        return -1;
    }
    return 0;
}
