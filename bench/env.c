/* env.c - reading the machine's own description. What cannot be read is said
 * to be unknown. */
#include "env.h"

#include "clock.h"
#include "transport.h"
#include "world.h"

#include <shmq.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#ifndef LAB_FLAGS
#define LAB_FLAGS "unknown"
#endif
#ifndef LAB_LIBRARY_FLAGS
#define LAB_LIBRARY_FLAGS "unknown"
#endif

/* First line of a file, or "unknown". */
static void read_line(const char *path, char *text, size_t cap)
{
    FILE *f = fopen(path, "re");

    snprintf(text, cap, "unknown");
    if (!f)
        return;
    if (fgets(text, (int)cap, f))
        text[strcspn(text, "\n")] = '\0';
    fclose(f);
}

/* The value behind "key : " in /proc/cpuinfo; 0 when there is none. */
static int cpuinfo(const char *key, char *text, size_t cap)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[8192];
    int found = 0;

    while (f && !found && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');

        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, cap, "%s", colon + (colon[1] == ' ' ? 2 : 1));
        found = 1;
    }
    if (f)
        fclose(f);
    return found;
}

static void read_machine(struct lab_env *env)
{
    char vendor[64] = "", flags[8192] = "";

    if (!cpuinfo("model name", env->cpu_model, sizeof(env->cpu_model)))
        snprintf(env->cpu_model, sizeof(env->cpu_model), "unknown");
    read_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof(vendor));
    snprintf(env->virtual_machine, sizeof(env->virtual_machine), "none seen");
    if (cpuinfo("flags", flags, sizeof(flags)) && strstr(flags, " hypervisor"))
        snprintf(env->virtual_machine, sizeof(env->virtual_machine),
            "yes (%.40s)", vendor);
    read_line(
        "/sys/devices/system/cpu/smt/control", env->smt, sizeof(env->smt));
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        env->governor, sizeof(env->governor));
    read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", env->thp,
        sizeof(env->thp));
}

/* "spectre_v2: Mitigation: ..." becomes "spectre_v2", if it is mitigated. */
static void read_mitigations(struct lab_env *env)
{
    static const char base[] = "/sys/devices/system/cpu/vulnerabilities";
    DIR *dir = opendir(base);
    struct dirent *entry;
    size_t len = 0;

    while (dir && (entry = readdir(dir))) {
        char path[384], text[256];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
        read_line(path, text, sizeof(text));
        if (strncmp(text, "Mitigation", 10) != 0)
            continue;
        if (len + strlen(entry->d_name) + 2 >= sizeof(env->mitigations))
            break;
        len += (size_t)snprintf(env->mitigations + len,
            sizeof(env->mitigations) - len, "%s%s", len ? " " : "",
            entry->d_name);
    }
    if (dir)
        closedir(dir);
    else
        snprintf(env->mitigations, sizeof(env->mitigations), "unknown");
}

static uint32_t count_nodes(void)
{
    DIR *dir = opendir("/sys/devices/system/node");
    struct dirent *entry;
    uint32_t cnt = 0;

    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, "node", 4) == 0 &&
            strspn(entry->d_name + 4, "0123456789") ==
                strlen(entry->d_name + 4))
            cnt++;
    }
    if (dir)
        closedir(dir);
    return cnt;
}

uint64_t lab_env_steal(void)
{
    unsigned long long v[8] = {0};
    char line[512];

    read_line("/proc/stat", line, sizeof(line));
    if (sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0],
            &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
        return 0;
    return v[7];
}

double lab_env_load(void)
{
    double load = 0.0;

    return getloadavg(&load, 1) == 1 ? load : 0.0;
}

static void read_software(struct lab_env *env)
{
    struct utsname name;
    time_t now = time(NULL);
    struct tm tm;

    if (uname(&name) == 0)
        snprintf(env->kernel, sizeof(env->kernel), "%.60s %.60s %.30s",
            name.sysname, name.release, name.machine);
    snprintf(env->compiler, sizeof(env->compiler), "%s", COMPILER);
    snprintf(env->flags, sizeof(env->flags), "%s", LAB_FLAGS);
    snprintf(env->library_flags, sizeof(env->library_flags), "%s",
        LAB_LIBRARY_FLAGS);
    snprintf(env->versions, sizeof(env->versions), "shmq %s%s", shmq_version(),
        lab_peer_versions());
    if (gmtime_r(&now, &tm))
        strftime(env->started, sizeof(env->started), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void lab_env_read(struct lab_env *env)
{
    struct statvfs vfs;
    struct sysinfo info;
    size_t len = 0;

    memset(env, 0, sizeof(*env));
    read_machine(env);
    read_mitigations(env);
    read_software(env);
    env->numa_nodes = count_nodes();
    env->cpus_online = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (sysinfo(&info) == 0)
        env->memory_bytes = (uint64_t)info.totalram * info.mem_unit;
    if (statvfs("/dev/shm", &vfs) == 0)
        env->shm_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    env->load1 = lab_env_load();
    env->steal_ticks = lab_env_steal();
    for (uint32_t i = 0; i < lab_setup.cpu_cnt && len + 8 < sizeof(env->cpus);
         i++)
        len += (size_t)snprintf(env->cpus + len, sizeof(env->cpus) - len,
            "%s%d", i ? "," : "", lab_setup.cpus[i]);
}

void lab_env_print_short(FILE *f)
{
    static struct lab_env env;

    lab_env_read(&env);
    fprintf(f,
        "shmq-bench: %s, %u cores, using %s; %s; virtual machine: %s\n"
        "shmq-bench: %s, load %.2f; clock %s %.3f GHz, skew %.0f ns (known to "
        "%.0f)\n",
        env.cpu_model, env.cpus_online, env.cpus, env.kernel,
        env.virtual_machine, env.versions, env.load1, lab_clock.source,
        lab_clock.tick_ghz, lab_clock.skew_ns, lab_clock.skew_bound_ns);
    if (lab_setup.cpu_cnt < 2)
        fprintf(f,
            "shmq-bench: only one core: latencies between processes "
            "mean nothing here\n");
}
