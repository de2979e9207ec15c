/* supervisor.c - restarts workers that die, and loses nothing.
 *     supervisor [JOBS]        (default 2000)
 *
 * Three workers share the group "work" and add up numbers; each number is
 * acknowledged only after its result was published. Some jobs kill their
 * worker: the supervisor starts another one, and the job is handed out again,
 * marked as such. In the end every number has arrived at least once. */
#include <shmq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3
#define DEADLY 97 /* every so many jobs one kills its first worker */

static int fail(const char *what)
{
    (void)fprintf(stderr, "supervisor: %s: %s\n", what, shmq_error_text());
    return 1;
}

static struct shmq_topic *topic_of(const char *name)
{
    struct shmq_topic *topic = NULL;

    (void)shmq_topic_create(NULL, name, NULL);
    (void)shmq_topic_open(NULL, name, &topic);
    return topic;
}

static struct shmq_consumer *member_of(struct shmq_topic *topic,
    const char *group)
{
    struct shmq_consumer_options o = {
        .struct_bytes = sizeof(o), .group = group};
    struct shmq_consumer *c = NULL;

    return shmq_consumer_open(topic, &o, &c) == 0 ? c : NULL;
}

static int work(void)
{
    struct shmq_topic *jobs = topic_of("jobs"), *results = topic_of("results");
    struct shmq_consumer *in = jobs ? member_of(jobs, "work") : NULL;
    struct shmq_producer *out = NULL;

    if (in == NULL || results == NULL ||
        shmq_producer_open(results, NULL, &out) != 0)
        return fail("worker");
    for (;;) {
        struct shmq_message job;
        uint64_t n;
        if (shmq_consumer_receive_wait(in, SHMQ_FOREVER, &job) != 0)
            return fail("receive");
        memcpy(&n, job.data, sizeof(n));
        if (n % DEADLY == 0 && !(job.flags & SHMQ_MESSAGE_REDELIVERED))
            (void)raise(SIGKILL);
        if (shmq_producer_publish_wait(
                out, &n, sizeof(n), SHMQ_FOREVER, NULL) != 0 ||
            shmq_consumer_release(in, &job) != 0)
            return fail("work");
    }
}

static pid_t start_worker(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(work());
    return pid;
}

/* Takes what results there are; true when all have come. */
static int collect(struct shmq_consumer *results, unsigned char *seen,
    uint64_t jobs, uint64_t *arrived)
{
    struct shmq_message msg;
    uint64_t n;

    while (shmq_consumer_receive_wait(
               results, shmq_deadline(5000000), &msg) == 0) {
        memcpy(&n, msg.data, sizeof(n));
        if (n < jobs && seen[n] < 255)
            *arrived += seen[n]++ == 0;
        (void)shmq_consumer_release(results, &msg);
    }
    return *arrived == jobs;
}

int main(int argc, char **argv)
{
    uint64_t jobs = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000, arrived = 0;
    struct shmq_topic *in = topic_of("jobs"), *out = topic_of("results");
    struct shmq_consumer *results = out ? member_of(out, "supervisor") : NULL;
    unsigned char *seen = calloc(jobs, 1);
    struct shmq_producer *p = NULL;
    uint64_t restarts = 0, twice = 0, published = 0;
    pid_t workers[WORKERS];

    if (in == NULL || results == NULL || seen == NULL ||
        shmq_producer_open(in, NULL, &p) != 0)
        return fail("open");
    shmq_consumer_close(member_of(in, "work")); /* before the first job */
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start_worker();
    while (published < jobs || !collect(results, seen, jobs, &arrived)) {
        while (published < jobs && /* FULL: collect, then go on */
            shmq_producer_publish(p, &published, sizeof(published), NULL) == 0)
            published++;
        (void)collect(results, seen, jobs, &arrived);
        for (pid_t dead; (dead = waitpid(-1, NULL, WNOHANG)) > 0; restarts++)
            for (int i = 0; i < WORKERS; i++)
                if (workers[i] == dead)
                    workers[i] = start_worker();
    }
    for (int i = 0; i < WORKERS; i++)
        (void)kill(workers[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    for (uint64_t n = 0; n < jobs; n++)
        twice += seen[n] > 1;
    (void)printf("%llu jobs, lost %llu, done twice %llu, workers restarted "
                 "%llu times\n",
        (unsigned long long)jobs, (unsigned long long)(jobs - arrived),
        (unsigned long long)twice, (unsigned long long)restarts);
    return arrived == jobs && restarts > 0 ? 0 : 1;
}
