#include "nearest.h"

#include <arpa/inet.h>
#include <string.h>

#include "options.h"

enum from { FROM_IPC, FROM_HERE, FROM_AFAR };

static enum from from_of(const char *address)
{
    struct in6_addr six;
    struct in_addr four;
    if (inet_pton(AF_INET, address, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127 ? FROM_HERE : FROM_AFAR;
    if (inet_pton(AF_INET6, address, &six) != 1)
        return FROM_IPC;
    if (IN6_IS_ADDR_V4MAPPED(&six))
        return six.s6_addr[12] == 127 ? FROM_HERE : FROM_AFAR;
    return IN6_IS_ADDR_LOOPBACK(&six) ? FROM_HERE : FROM_AFAR;
}

/* 0: it cannot be reached. */
static int rank(const char *endpoint, enum from from)
{
    bool ipc = strncmp(endpoint, "ipc://", 6) == 0;
    if (from == FROM_AFAR)
        return !shmqz_endpoint_is_local(endpoint);
    return ipc == (from == FROM_IPC) ? 2 : 1;
}

bool shmqz_nearest(
    const char *list, const char *address, char *ret, size_t room)
{
    enum from from = from_of(address);
    char one[256];
    int best = 0;
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, ",");
        if (n < sizeof one && n < room) {
            memcpy(one, at, n);
            one[n] = '\0';
            int ranked = rank(one, from);
            if (ranked > best) {
                best = ranked;
                memcpy(ret, one, n + 1);
            }
        }
        at += n + (at[n] == ',');
    }
    return best > 0;
}
