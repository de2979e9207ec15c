/* victim.c - the process that is stepped, stopped and killed. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

/* Tells the tracer; it goes on when told to. */
static __attribute__((noinline)) void stand(enum phase phase)
{
    page->phase = phase;
    __asm__ volatile("int3" ::: "memory");
}

void v_must(int rc, const char *what)
{
    if (rc == SHMQ_OK)
        return;
    (void)fprintf(stderr, "victim: %s: %s: %s\n", what, shmq_err_name(rc),
        shmq_error_text());
    _exit(3);
}

static void fill_own(struct victim *v)
{
    static uint8_t data[1u << 18];
    uint64_t bytes = fill_bytes(&page->config);
    for (uint32_t i = 0; i < page->fill_cnt; i++) {
        uint32_t tag = TAG_FILL + 0x200 + i;
        fill_payload(data, bytes, tag);
        v_must(shmq_producer_publish(v->producer, data, bytes, NULL), "fill");
        tags_add(&page->before[AUDIT], tag);
        tags_add(&page->before[WORK], tag);
    }
}

void v_topic(struct victim *v)
{
    v_must(shmq_topic_open(page->ns, TOPIC, &v->topic), "open");
    struct shmqi_segment *s = v->topic->segment;
    page->map[0] = s->data_map.at;
    page->map[1] = s->control_map.at;
    page->map_bytes[0] = s->data_map.bytes;
    page->map_bytes[1] = s->control_map.bytes;
}

void v_producer(struct victim *v)
{
    struct shmq_producer_options o = {.struct_bytes = sizeof o, .spin_ns = 1};
    v_topic(v);
    v_must(shmq_producer_open(v->topic, &o, &v->producer), "producer");
    fill_own(v);
}

void v_fill_apart(struct victim *v)
{
    if (page->fill_cnt == 0)
        return;
    v_must(shmq_producer_open(v->topic, NULL, &v->producer), "producer");
    fill_own(v);
}

struct shmq_consumer_options v_options(struct victim *v, enum group group)
{
    struct shmq_consumer_options o;
    memset(&o, 0, sizeof o);
    o.struct_bytes = sizeof o;
    o.group = group_names[group];
    o.prefetch_frames = 4;
    o.spin_ns = 1;
    v->group = group;
    return o;
}

void v_consumer(struct victim *v, enum group group, uint32_t flags)
{
    struct shmq_consumer_options o = v_options(v, group);
    o.flags = flags;
    if (!v->topic)
        v_topic(v);
    v_fill_apart(v);
    v_must(shmq_consumer_open(v->topic, &o, &v->consumer), "consumer");
}

void v_receive(struct victim *v, uint32_t i)
{
    v_must(shmq_consumer_receive(v->consumer, &v->msg[i]), "receive");
    v->tags[i] = tag_of(&page->config, &v->msg[i]);
    if (v->tags[i] == 0)
        v_must(SHMQ_ERR_CORRUPT, "a record's bytes");
}

static void tear_down(struct victim *v)
{
    if (page->prey) {
        (void)kill((pid_t)page->prey, SIGKILL);
        (void)waitpid((pid_t)page->prey, NULL, 0);
        page->prey = page->prey_ready = 0;
    }
    shmq_watch_close(v->watch);
    shmq_waitset_close(v->set);
    shmq_server_close(v->server);
    shmq_caller_close(v->caller);
    shmq_consumer_close(v->consumer);
    shmq_consumer_close(v->second);
    shmq_producer_close(v->producer);
    shmq_topic_close(v->topic);
    free(v->data);
}

static void run(void)
{
    struct victim v;
    const struct op *op = page->config.op;
    uint64_t bytes = op_bytes(page->config.first);
    memset(&v, 0, sizeof v);
    v.data = calloc(1, bytes + 8);
    if (!v.data)
        v_must(SHMQ_ERR_NOMEM, "payload");
    fill_payload(v.data, bytes, TAG_OP);
    op->setup(&v);
    stand(PHASE_BEGIN);
    op->run(&v);
    stand(PHASE_END);
    if (op->finish)
        op->finish(&v);
    stand(PHASE_END);
    tear_down(&v);
}

static void pin(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();
    CPU_ZERO(&set);
    CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

pid_t victim_start(void)
{
    pid_t parent = getpid();
    pin(); /* inherited: a step between two CPUs costs five times as much */
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    sigset_t children; /* of the prey: no stop for the tracer */
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &children, NULL);
    (void)raise(SIGSTOP);
    for (;;) {
        stand(PHASE_IDLE);
        if (page->command == CMD_QUIT)
            _exit(0);
        run();
    }
}
