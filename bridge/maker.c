#include "maker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define JOBS_MAX 256u /* not answered yet, of all clients */

struct job {
    uint64_t session_id;
    uint32_t corr_id;
    char name[SHMQ_TOPIC_MAX + 13], schema[SHMQ_SCHEMA_MAX + 1];
    struct shmq_topic_attrs attrs;
    int rc;
    char text[400]; /* of the error */
    struct job *next;
};

struct jobs {
    struct job *first, *last;
};

/* Shared by the bridge and its thread; the last of them frees it. */
struct shmqz_maker {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct jobs asked, made; /* under the lock */
    bool ends; /* under the lock */
    int event_fd;
    char ns[SHMQ_NAMESPACE_MAX + 1];
    /* of the bridge's thread alone */
    struct shmqz_server *server;
    struct shmqz_task task;
    struct shmqz_source source;
    uint32_t cnt;
};

static void push(struct jobs *jobs, struct job *job)
{
    job->next = NULL;
    if (jobs->last)
        jobs->last->next = job;
    else
        jobs->first = job;
    jobs->last = job;
}

static struct job *pop(struct jobs *jobs)
{
    struct job *job = jobs->first;
    if (job)
        jobs->first = job->next;
    if (!jobs->first)
        jobs->last = NULL;
    return job;
}

static void dispose(struct shmqz_maker *m)
{
    for (struct job *job; (job = pop(&m->asked)) || (job = pop(&m->made));)
        free(job);
    close(m->event_fd);
    pthread_cond_destroy(&m->more);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* -- the thread -------------------------------------------------------------
 */

static void make(const struct shmqz_maker *m, struct job *job)
{
    job->attrs.schema = job->schema[0] ? job->schema : NULL;
    job->rc = shmq_topic_create_durable(m->ns, job->name, &job->attrs, NULL);
    if (job->rc)
        strncpy(job->text, shmq_error_text(), sizeof job->text - 1);
}

static void *work(void *arg)
{
    struct shmqz_maker *m = arg;
    pthread_mutex_lock(&m->lock);
    for (;;) {
        while (!m->ends && !m->asked.first)
            pthread_cond_wait(&m->more, &m->lock);
        if (m->ends)
            break;
        struct job *job = pop(&m->asked);
        pthread_mutex_unlock(&m->lock);
        make(m, job);
        pthread_mutex_lock(&m->lock);
        push(&m->made, job);
        uint64_t one = 1;
        ssize_t told = write(m->event_fd, &one, sizeof one);
        (void)told; /* it cannot be full */
    }
    pthread_mutex_unlock(&m->lock);
    dispose(m);
    return NULL;
}

/* -- the bridge -------------------------------------------------------------
 */

static void tell(struct shmqz_server *server, const struct job *job)
{
    static const struct shmqw_done nothing;
    struct shmqz_session *session =
        shmqz_session_by_id(server, job->session_id);
    struct shmqw_message request = {0};
    if (!session)
        return;
    struct shmqz_peer peer = shmqz_session_peer(session);
    request.command = SHMQW_CREATE;
    request.corr_id = job->corr_id;
    /* shmqd did not answer in time: it may still be made. */
    enum shmqw_status status = job->rc == SHMQ_ERR_TIMEOUT
        ? SHMQW_NO_DAEMON
        : shmqz_status_of(job->rc);
    if (status == SHMQW_OK)
        shmqz_reply(
            server, &peer, &request, SHMQW_CREATE, 0, &nothing, sizeof nothing);
    else
        shmqz_refuse(server, &peer, &request, status, job->text);
}

static bool tell_all(void *ctx)
{
    struct shmqz_maker *m = ctx;
    uint64_t cnt;
    ssize_t had = read(m->event_fd, &cnt, sizeof cnt);
    (void)had;
    for (;;) {
        pthread_mutex_lock(&m->lock);
        struct job *job = pop(&m->made);
        pthread_mutex_unlock(&m->lock);
        if (!job)
            return false;
        m->cnt--;
        tell(m->server, job);
        free(job);
    }
}

static bool begin(struct shmqz_maker *m, struct shmqz_server *server)
{
    pthread_t thread;
    m->server = server;
    memcpy(m->ns, server->ns, strnlen(server->ns, sizeof m->ns - 1));
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->more, NULL);
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->task = (struct shmqz_task){.run = tell_all, .ctx = m};
    m->source = (struct shmqz_source){.fd = m->event_fd, .task = &m->task};
    if (m->event_fd < 0 || shmqz_source_watch(server->loop, &m->source))
        return false;
    if (pthread_create(&thread, NULL, work, m)) {
        shmqz_source_drop(server->loop, &m->source);
        return false;
    }
    pthread_detach(thread);
    return true;
}

static struct shmqz_maker *maker_of(struct shmqz_server *server)
{
    if (server->maker)
        return server->maker;
    struct shmqz_maker *m = calloc(1, sizeof *m);
    if (m && !begin(m, server)) {
        dispose(m);
        m = NULL;
    }
    server->maker = m;
    return m;
}

enum shmqw_status shmqz_make(struct shmqz_session *session,
    const struct shmqw_message *request, const char *name,
    const struct shmq_topic_attrs *attrs)
{
    struct shmqz_maker *m = maker_of(session->server);
    struct job *job = calloc(1, sizeof *job);
    if (!m || !job || m->cnt >= JOBS_MAX) {
        free(job);
        return m && m->cnt >= JOBS_MAX ? SHMQW_OVERLOADED : SHMQW_NO_SPACE;
    }
    job->session_id = session->id;
    job->corr_id = request->corr_id;
    memcpy(job->name, name, strnlen(name, sizeof job->name - 1));
    job->attrs = *attrs;
    if (attrs->schema)
        memcpy(job->schema, attrs->schema,
            strnlen(attrs->schema, sizeof job->schema - 1));
    m->cnt++;
    pthread_mutex_lock(&m->lock);
    push(&m->asked, job);
    pthread_cond_signal(&m->more);
    pthread_mutex_unlock(&m->lock);
    return SHMQW_OK;
}

void shmqz_maker_close(struct shmqz_server *server)
{
    struct shmqz_maker *m = server->maker;
    server->maker = NULL;
    if (!m)
        return;
    shmqz_task_drop(server->loop, &m->task);
    shmqz_source_drop(server->loop, &m->source);
    pthread_mutex_lock(&m->lock);
    m->ends = true;
    pthread_cond_signal(&m->more);
    pthread_mutex_unlock(&m->lock);
}
