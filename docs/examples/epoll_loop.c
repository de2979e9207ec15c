/* epoll_loop.c - two topics and standard input in one epoll loop.
 *
 * Lines typed are published to "chat"; what others publish there and to "news"
 * is printed. Ends when standard input does and both topics are read. The rule
 * of the descriptor: receive until EMPTY, then wait for it, then again. */
#include <errno.h>
#include <shmq.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static int fail(const char *what)
{
    (void)fprintf(stderr, "epoll_loop: %s: %s\n", what, shmq_error_text());
    return 1;
}

/* All that is there; EMPTY at the end. */
static int print_all(struct shmq_waitset *set)
{
    struct shmq_message msg;
    struct shmq_consumer *from = NULL;
    int rc;

    while ((rc = shmq_waitset_receive(set, &msg, &from)) == 0) {
        (void)printf("%.*s\n", (int)msg.size, (const char *)msg.data);
        (void)shmq_consumer_release(from, &msg);
    }
    (void)fflush(stdout);
    return rc;
}

static int join(struct shmq_waitset *set, const char *name,
    struct shmq_topic **ret_topic)
{
    struct shmq_consumer_options o = {.struct_bytes = sizeof(o),
        .group = "epoll-loop",
        .attrs = {.kind = SHMQ_GROUP_EXCLUSIVE}};
    struct shmq_consumer *c = NULL;

    (void)shmq_topic_create(NULL, name, NULL);
    return shmq_topic_open(NULL, name, ret_topic) != 0 ||
        shmq_consumer_open(*ret_topic, &o, &c) != 0 ||
        shmq_waitset_add(set, c) != 0;
}

/* Publishes what was typed, a line a record; 0 at the end of input. */
static int publish_input(struct shmq_producer *p)
{
    char buf[4096];
    ssize_t got = read(STDIN_FILENO, buf, sizeof(buf));

    for (char *at = buf; got > 0 && at < buf + got;) {
        char *end = memchr(at, '\n', (size_t)(buf + got - at));
        if (end == NULL)
            end = buf + got;
        (void)shmq_producer_publish(p, at, (uint64_t)(end - at), NULL);
        at = end + 1;
    }
    return got > 0;
}

int main(void)
{
    struct shmq_topic *chat = NULL, *news = NULL;
    struct shmq_waitset *set = NULL;
    struct shmq_producer *p = NULL;
    struct epoll_event event = {.events = EPOLLIN};
    int loop = epoll_create1(EPOLL_CLOEXEC), fd, open = 1;

    if (shmq_waitset_open(NULL, &set) != 0 || join(set, "chat", &chat) ||
        join(set, "news", &news) || shmq_producer_open(chat, NULL, &p) != 0 ||
        shmq_waitset_fd(set, &fd) != 0)
        return fail("open");
    event.data.fd = fd;
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0)
        return 1;
    event.data.fd = STDIN_FILENO;
    if (epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0)
        return 1;
    while (open) {
        int rc = print_all(set); /* until EMPTY: only then wait */
        if (rc != SHMQ_ERR_EMPTY)
            return fail("receive");
        if (epoll_wait(loop, &event, 1, -1) < 0 && errno != EINTR)
            return 1;
        if (event.data.fd == STDIN_FILENO)
            open = publish_input(p);
    }
    return print_all(set) == SHMQ_ERR_EMPTY ? 0 : fail("receive");
}
