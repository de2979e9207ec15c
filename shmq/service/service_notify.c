/* service_notify.c - the few lines of sd_notify() that are needed. */
#include "service_notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "units.h"

static int notify_fd = -1;

void shmqs_notify_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = getenv("NOTIFY_SOCKET");
    if (name == NULL || (name[0] != '/' && name[0] != '@'))
        return;
    size_t len = strlen(name);
    if (len >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) != 0) {
        close(fd);
        fd = -1;
    }
    notify_fd = fd;
}

void shmqs_notify(const char *state)
{
    if (notify_fd >= 0)
        (void)!send(notify_fd, state, strlen(state), MSG_NOSIGNAL);
}

/* WATCHDOG_PID guards against a variable inherited from a parent. */
uint64_t shmqs_notify_watchdog_ns(void)
{
    const char *period = getenv("WATCHDOG_USEC");
    const char *pid_text = getenv("WATCHDOG_PID");
    uint64_t period_us, pid;
    if (period == NULL || !shmqs_parse_u64(period, &period_us) ||
        period_us > UINT64_MAX / 1000)
        return 0;
    if (pid_text != NULL &&
        (!shmqs_parse_u64(pid_text, &pid) || pid != (uint64_t)getpid()))
        return 0;
    return period_us * 1000 / 2;
}
