/* bridge_probe.c - what the bridge moves, and what plain sockets move. */
#define _GNU_SOURCE
#include "bridge_probe.h"

#ifndef SHMQ_HAVE_ZMQ
const char *lab_bridge_missing(void)
{
    return "built without libzmq3-dev";
}
int lab_bridge_feed(uint32_t size, uint32_t flags, double *rate, char *error)
{
    (void)size, (void)flags, (void)rate, (void)error;
    return -1;
}
int lab_bridge_deliver(uint32_t size, double *rate, double *batch, char *error)
{
    (void)size, (void)rate, (void)batch, (void)error;
    return -1;
}
int lab_bridge_push(uint64_t bytes, double *rate, char *error)
{
    (void)bytes, (void)rate, (void)error;
    return -1;
}
int lab_bridge_publish(uint32_t size, uint32_t flags, double *p50, char *error)
{
    (void)size, (void)flags, (void)p50, (void)error;
    return -1;
}
#else
#include "bridge_world.h"

#include "bridge/codec/message.h"
#include "bridge/codec/payload.h"

#include <shmq.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define WARM_S 0.3
#define MEASURE_S 0.7
#define SAMPLES 20000u
#define FRAME_RECORDS 64u
#define CREDIT_BYTES (UINT64_C(8) << 20)
#define CREDIT_RECORDS UINT64_C(16384)

/* Counts what arrives while the measurement lasts. */
static double rate_of(_Atomic uint64_t *count)
{
    uint64_t first, last;
    double begin, end;

    lab_bridge_sleep(WARM_S);
    first = atomic_load(count);
    begin = lab_bridge_seconds();
    lab_bridge_sleep(MEASURE_S);
    last = atomic_load(count);
    end = lab_bridge_seconds();
    return (double)(last - first) / (end - begin);
}

static int gave_up(struct lab_bridge_run *run, char *error)
{
    if (atomic_load(&run->shared->stop) != 2)
        return 0;
    snprintf(error, 160, "%s", run->shared->error);
    return -1;
}

/* --- live feed ------------------------------------------------------------ */

static void subscribe(struct lab_bridge_run *run)
{
    void *context = zmq_ctx_new();
    void *socket = lab_bridge_socket(run, context, ZMQ_SUB, 1, 0);
    struct lab_bridge_shared *s = run->shared;
    zmq_msg_t msg;
    int part = 0;

    zmq_setsockopt(
        socket, ZMQ_SUBSCRIBE, LAB_BRIDGE_TOPIC, sizeof(LAB_BRIDGE_TOPIC));
    zmq_msg_init(&msg);
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        if (zmq_msg_recv(&msg, socket, 0) < 0)
            continue;
        part++;
        if (zmq_msg_more(&msg))
            continue;
        if (part < 3)
            lab_bridge_die(run, "feed message");
        part = 0;
        atomic_store_explicit(&s->bytes,
            atomic_load_explicit(&s->bytes, memory_order_relaxed) +
                zmq_msg_size(&msg),
            memory_order_relaxed);
        if (atomic_fetch_add(&s->received, 1) == 0)
            atomic_fetch_add(&s->ready, 1);
    }
    _exit(0);
}

/* Until the subscription has arrived, messages get lost: those do not count. */
static void pace_start(struct lab_bridge_run *run)
{
    struct lab_bridge_shared *s = run->shared;

    if (atomic_load(&s->ready) == 0) {
        lab_bridge_sleep(1e-3);
        atomic_store(&s->sent, 0);
        atomic_store(&s->received, 0);
    }
}

static void publish_locally(struct lab_bridge_run *run)
{
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    void *data = calloc(1, run->size);

    if (!data || shmq_topic_open(LAB_BRIDGE_NS, LAB_BRIDGE_TOPIC, &topic) ||
        shmq_producer_open(topic, NULL, &producer))
        lab_bridge_die(run, "producer");
    while (lab_bridge_may_send(run)) {
        if (shmq_producer_publish(producer, data, run->size, NULL) == SHMQ_OK)
            atomic_fetch_add(&run->shared->sent, 1);
        pace_start(run);
    }
    _exit(0);
}

static void publish_plainly(struct lab_bridge_run *run)
{
    void *context = zmq_ctx_new();
    void *socket = lab_bridge_socket(run, context, ZMQ_XPUB, 1, 1);
    struct shmqw_feed head = {.version = SHMQW_VERSION};
    void *data = calloc(1, run->size);
    uint8_t subscription[64];

    if (!data)
        lab_bridge_die(run, "memory");
    while (lab_bridge_may_send(run)) {
        (void)zmq_recv(
            socket, subscription, sizeof(subscription), ZMQ_DONTWAIT);
        if (zmq_send(socket, LAB_BRIDGE_TOPIC, sizeof(LAB_BRIDGE_TOPIC),
                ZMQ_SNDMORE) < 0 ||
            zmq_send(socket, &head, sizeof(head), ZMQ_SNDMORE) < 0 ||
            zmq_send(socket, data, run->size, 0) < 0)
            continue;
        atomic_fetch_add(&run->shared->sent, 1);
        pace_start(run);
    }
    _exit(0);
}

int lab_bridge_feed(
    uint32_t size, uint32_t flags, double *ret_rate, char *error)
{
    struct lab_bridge_run run;
    int plain = (flags & LAB_BRIDGE_PLAIN) != 0;
    int rc = lab_bridge_begin(&run, size, flags, error);

    if (rc == 0 && !plain)
        rc = lab_bridge_start(&run, error);
    if (rc == 0)
        rc = lab_bridge_fork(&run, subscribe, error);
    if (rc == 0)
        rc = lab_bridge_fork(
            &run, plain ? publish_plainly : publish_locally, error);
    if (rc == 0)
        rc = lab_bridge_wait_ready(&run, 1, error);
    if (rc == 0) {
        *ret_rate = rate_of(&run.shared->received);
        rc = gave_up(&run, error);
    }
    lab_bridge_end(&run);
    return rc;
}

/* --- a reliable peer --------------------------------------------------------
 */

struct peer {
    struct lab_bridge_run *run;
    void *socket;
    uint32_t corr_id;
    uint8_t control[4096];
    zmq_msg_t head, payload;
    struct shmqw_credit granted;
};

static void open_peer(struct peer *p, struct lab_bridge_run *run)
{
    memset(p, 0, sizeof(*p));
    p->run = run;
    p->socket = lab_bridge_socket(run, zmq_ctx_new(), ZMQ_DEALER, 0, 0);
    zmq_msg_init(&p->head);
    zmq_msg_init(&p->payload);
}

static void begin(struct shmqw_writer *w, struct peer *p,
    enum shmqw_command command, uint32_t flags, uint32_t corr, uint32_t stream)
{
    shmqw_begin(w, p->control, sizeof(p->control), command, flags, SHMQW_OK,
        corr, stream);
}

static void send_control(struct peer *p, struct shmqw_writer *w, int more)
{
    size_t n = shmqw_end(w);

    if (zmq_send(p->socket, p->control, n, more ? ZMQ_SNDMORE : 0) < 0)
        lab_bridge_die(p->run, "send");
}

/* The next message; false: none for a while (ZMQ_DONTWAIT: now). */
static int receive(struct peer *p, struct shmqw_message *ret, int flags)
{
    int more;

    if (zmq_msg_recv(&p->head, p->socket, flags) < 0)
        return 0;
    more = zmq_msg_more(&p->head);
    if (more && zmq_msg_recv(&p->payload, p->socket, 0) < 0)
        lab_bridge_die(p->run, "receive");
    if (shmqw_open(zmq_msg_data(&p->head), zmq_msg_size(&p->head), more != 0,
            ret) != SHMQW_OK)
        lab_bridge_die(p->run, "message");
    if (ret->command == SHMQW_ERROR)
        lab_bridge_die(p->run, shmqw_status_name(ret->status));
    return 1;
}

static void expect(
    struct peer *p, enum shmqw_command command, struct shmqw_message *ret)
{
    double end = lab_bridge_seconds() + 5.0;

    while (!receive(p, ret, 0)) {
        if (lab_bridge_seconds() > end)
            lab_bridge_die(p->run, "no answer");
    }
    if (ret->command != command)
        lab_bridge_die(p->run, "another answer");
}

static void hello(struct peer *p)
{
    struct shmqw_hello body = {
        .proto_min = SHMQW_VERSION, .proto_max = SHMQW_VERSION};
    struct shmqw_message msg;
    struct shmqw_writer w;

    begin(&w, p, SHMQW_HELLO, 0, 1, 0);
    shmqw_put_fixed(&w, &body, sizeof(body));
    send_control(p, &w, 0);
    expect(p, SHMQW_WELCOME, &msg);
}

/* --- reliable delivery ------------------------------------------------------
 */

static uint32_t attach(struct peer *p, uint64_t *ret_generation)
{
    struct shmqw_attach body = {.until = SHMQW_NONE,
        .prefetch_frames = 1024,
        .credit_bytes = CREDIT_BYTES,
        .credit_records = CREDIT_RECORDS};
    struct shmqw_attached reply;
    struct shmqw_message msg;
    struct shmqw_writer w;

    begin(&w, p, SHMQW_ATTACH, 0, 2, 0);
    shmqw_put_fixed(&w, &body, sizeof(body));
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, LAB_BRIDGE_TOPIC);
    shmqw_put_text(&w, SHMQW_TLV_GROUP, "g");
    send_control(p, &w, 0);
    expect(p, SHMQW_ATTACH, &msg);
    shmqw_fixed(&msg, &reply, sizeof(reply));
    *ret_generation = reply.generation;
    return msg.stream_id;
}

/* As the C client does it: what was received is acknowledged when nothing more
 * is there, credit is granted a quarter of the window at a time. */
static void tell(struct peer *p, uint32_t stream, uint64_t generation,
    struct shmqw_range *done, uint64_t bytes, uint64_t records)
{
    struct shmqw_generation ack = {generation};
    struct shmqw_credit credit = {
        bytes + CREDIT_BYTES, records + CREDIT_RECORDS};
    struct shmqw_writer w;

    begin(&w, p, SHMQW_ACK, 0, 0, stream);
    shmqw_put_fixed(&w, &ack, sizeof(ack));
    shmqw_put(&w, SHMQW_TLV_RANGES, done, sizeof(*done));
    send_control(p, &w, 0);
    done->to = 0;
    if (credit.bytes - p->granted.bytes < CREDIT_BYTES / 4 &&
        credit.records - p->granted.records < CREDIT_RECORDS / 4)
        return;
    begin(&w, p, SHMQW_CREDIT, 0, 0, stream);
    shmqw_put_fixed(&w, &credit, sizeof(credit));
    send_control(p, &w, 0);
    p->granted = credit;
}

static void consume(struct lab_bridge_run *run)
{
    struct lab_bridge_shared *s = run->shared;
    struct shmqw_range done = {0, 0};
    uint64_t bytes = 0, records = 0, generation;
    struct peer p;
    uint32_t stream;

    open_peer(&p, run);
    hello(&p);
    stream = attach(&p, &generation);
    atomic_fetch_add(&s->ready, 1);
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        struct shmqw_deliver body;
        struct shmqw_message msg;

        if (!receive(&p, &msg, done.to ? ZMQ_DONTWAIT : 0)) {
            if (done.to)
                tell(&p, stream, generation, &done, bytes, records);
            continue;
        }
        if (msg.command != SHMQW_DELIVER)
            continue;
        shmqw_fixed(&msg, &body, sizeof(body));
        bytes += zmq_msg_size(&p.payload);
        records += body.record_cnt;
        if (shmqw_deliver_check(&body, zmq_msg_data(&p.payload),
                zmq_msg_size(&p.payload)) != SHMQW_OK)
            lab_bridge_die(run, "payload");
        atomic_store(&s->bytes, bytes);
        atomic_store(&s->received, records);
        atomic_fetch_add(&s->batches, 1);
        if (done.to == 0)
            done.from = body.base_pos;
        done.to = body.end_pos;
    }
    _exit(0);
}

/* As fast as the group lets it. */
static void publish_frames(struct lab_bridge_run *run)
{
    static struct shmq_record records[FRAME_RECORDS];
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    void *data = calloc(1, run->size);
    uint32_t n = run->size >= 65536 ? 1 : FRAME_RECORDS;

    if (!data || shmq_topic_open(LAB_BRIDGE_NS, LAB_BRIDGE_TOPIC, &topic) ||
        shmq_producer_open(topic, NULL, &producer))
        lab_bridge_die(run, "producer");
    for (uint32_t i = 0; i < n; i++) {
        records[i].data = data;
        records[i].size = run->size;
    }
    while (!atomic_load_explicit(&run->shared->stop, memory_order_relaxed))
        (void)shmq_producer_publish_batch_wait(
            producer, records, n, shmq_deadline(100000000), NULL);
    _exit(0);
}

int lab_bridge_deliver(
    uint32_t size, double *ret_bytes_rate, double *ret_batch_bytes, char *error)
{
    struct lab_bridge_run run;
    int rc = lab_bridge_begin(&run, size, 0, error);

    if (rc == 0)
        rc = lab_bridge_start(&run, error);
    if (rc == 0)
        rc = lab_bridge_fork(&run, consume, error);
    if (rc == 0)
        rc = lab_bridge_wait_ready(&run, 1, error);
    if (rc == 0)
        rc = lab_bridge_fork(&run, publish_frames, error);
    if (rc == 0) {
        *ret_bytes_rate = rate_of(&run.shared->bytes);
        *ret_batch_bytes = (double)atomic_load(&run.shared->bytes) /
            (double)(atomic_load(&run.shared->batches) + 1);
        rc = gave_up(&run, error);
    }
    lab_bridge_end(&run);
    return rc;
}

static void push(struct lab_bridge_run *run)
{
    void *socket = lab_bridge_socket(run, zmq_ctx_new(), ZMQ_PUSH, 0, 0);
    void *data = calloc(1, run->size);

    if (!data)
        lab_bridge_die(run, "memory");
    while (lab_bridge_may_send(run))
        if (zmq_send(socket, data, run->size, 0) >= 0)
            atomic_fetch_add(&run->shared->sent, 1);
    _exit(0);
}

static void pull(struct lab_bridge_run *run)
{
    struct lab_bridge_shared *s = run->shared;
    void *socket = lab_bridge_socket(run, zmq_ctx_new(), ZMQ_PULL, 0, 1);
    zmq_msg_t msg;

    zmq_msg_init(&msg);
    atomic_fetch_add(&s->ready, 1);
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        if (zmq_msg_recv(&msg, socket, 0) < 0)
            continue;
        atomic_fetch_add(&s->bytes, zmq_msg_size(&msg));
        atomic_fetch_add(&s->received, 1);
    }
    _exit(0);
}

int lab_bridge_push(uint64_t batch_bytes, double *ret_bytes_rate, char *error)
{
    struct lab_bridge_run run;
    int rc = lab_bridge_begin(&run, (uint32_t)batch_bytes, 0, error);

    if (rc == 0)
        rc = lab_bridge_fork(&run, pull, error);
    if (rc == 0)
        rc = lab_bridge_wait_ready(&run, 1, error);
    if (rc == 0)
        rc = lab_bridge_fork(&run, push, error);
    if (rc == 0) {
        *ret_bytes_rate = rate_of(&run.shared->bytes);
        rc = gave_up(&run, error);
    }
    lab_bridge_end(&run);
    return rc;
}

/* --- publishing --------------------------------------------------------------
 */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static size_t make_payload(struct lab_bridge_run *run, uint8_t **ret)
{
    struct shmqw_payload payload;
    struct shmqw_record record = {.size = run->size};
    size_t room = shmqw_record_bytes(run->size, 0);
    void *data = calloc(1, run->size);

    *ret = malloc(room);
    if (!*ret || !data)
        lab_bridge_die(run, "memory");
    record.data = data;
    shmqw_payload_begin(&payload, *ret, room);
    if (!shmqw_put_record(&payload, &record))
        lab_bridge_die(run, "record");
    return payload.len;
}

/* One PUBLISH and its answer. Plain: the same parts, which come back. */
static void publish_once(
    struct peer *p, uint64_t sequence, const uint8_t *payload, size_t bytes)
{
    struct shmqw_publish body = {.producer_id = 77,
        .sequence = sequence,
        .settled = sequence,
        .epoch = 1,
        .record_cnt = 1,
        .level = SHMQW_LEVEL_PUBLISHED};
    struct shmqw_message msg;
    struct shmqw_writer w;
    int plain = (p->run->flags & LAB_BRIDGE_PLAIN) != 0;

    body.payload_crc32c = shmqw_crc32c(0, payload, bytes);
    begin(&w, p, SHMQW_PUBLISH, SHMQW_FLAG_PAYLOAD, ++p->corr_id, 0);
    shmqw_put_fixed(&w, &body, sizeof(body));
    shmqw_put_text(&w, SHMQW_TLV_TOPIC, LAB_BRIDGE_TOPIC);
    send_control(p, &w, 1);
    if (zmq_send(p->socket, payload, bytes, 0) < 0)
        lab_bridge_die(p->run, "send");
    expect(p, plain ? SHMQW_PUBLISH : SHMQW_PUBACK, &msg);
    if (msg.status != SHMQW_OK || msg.corr_id != p->corr_id)
        lab_bridge_die(p->run, shmqw_status_name(msg.status));
}

static void ask(struct lab_bridge_run *run)
{
    static double times[SAMPLES];
    double end;
    uint32_t n = 0;
    uint64_t sequence = 0;
    uint8_t *payload;
    struct peer p;
    size_t bytes = make_payload(run, &payload);

    open_peer(&p, run);
    if (!(run->flags & LAB_BRIDGE_PLAIN))
        hello(&p);
    end = lab_bridge_seconds() + WARM_S;
    while (lab_bridge_seconds() < end)
        publish_once(&p, sequence++, payload, bytes);
    end = lab_bridge_seconds() + MEASURE_S;
    while (n < SAMPLES) {
        double begun = lab_bridge_seconds(), done;

        publish_once(&p, sequence++, payload, bytes);
        done = lab_bridge_seconds();
        times[n++] = (done - begun) * 1e9;
        if (done > end)
            break;
    }
    qsort(times, n, sizeof(*times), by_size);
    run->shared->p50_ns = times[n / 2];
    atomic_fetch_add(&run->shared->ready, 1);
    _exit(0);
}

static void echo(struct lab_bridge_run *run)
{
    void *socket = lab_bridge_socket(run, zmq_ctx_new(), ZMQ_ROUTER, 0, 1);
    zmq_msg_t msg;

    zmq_msg_init(&msg);
    while (!atomic_load(&run->shared->stop)) {
        int more;

        if (zmq_msg_recv(&msg, socket, 0) < 0)
            continue;
        more = zmq_msg_more(&msg);
        if (zmq_msg_send(&msg, socket, more ? ZMQ_SNDMORE : 0) < 0)
            lab_bridge_die(run, "echo");
    }
    _exit(0);
}

int lab_bridge_publish(
    uint32_t size, uint32_t flags, double *ret_p50_ns, char *error)
{
    struct lab_bridge_run run;
    int rc = lab_bridge_begin(&run, size, flags, error);

    if (rc == 0)
        rc = flags & LAB_BRIDGE_PLAIN ? lab_bridge_fork(&run, echo, error)
                                      : lab_bridge_start(&run, error);
    if (rc == 0)
        rc = lab_bridge_fork(&run, ask, error);
    if (rc == 0)
        rc = lab_bridge_wait_ready(&run, 1, error);
    if (rc == 0)
        *ret_p50_ns = run.shared->p50_ns;
    lab_bridge_end(&run);
    return rc;
}
#endif
