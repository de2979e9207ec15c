/* adversary_victim.c - the users of the topic: each goes on whatever happens,
 * opens again what broke, and checks a topic of its own that nobody attacks. */
#include <execinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adversary.h"
#include "support/support.h"

const char *const role_names[ROLE_CNT] = {"producer", "lender", "viewer",
    "member", "copier", "spinner", "sleeper", "poller", "looker", "comer",
    "command", "drainer"};
struct board *board;

struct self {
    enum role role;
    struct seat *seat;
    uint64_t chance, tag, calm_tag;
    struct shmq_topic *topic;
    struct shmq_producer *p;
    struct shmq_consumer *c;
    struct drainer *drainer;
    struct shmq_message held[4];
    uint32_t held_cnt;
    struct shmq_loan loan;
    bool lent, over; /* over: close everything, open anew */
    int fd;
    uint32_t round;
    struct shmq_producer *calm_in;
    struct shmq_consumer *calm_out;
};

static volatile uint64_t sink;
static uint8_t payload[8192];

static uint64_t dice(struct self *s, uint64_t sides)
{
    return t_below(&s->chance, sides);
}

static void begin(struct self *s, const char *what)
{
    (void)snprintf(s->seat->what, sizeof s->seat->what, "%s", what);
    s->seat->since_ns = t_now_ns();
}

static int done(struct self *s, int rc)
{
    s->seat->since_ns = 0;
    s->seat->calls++;
    if (rc >= 0)
        s->seat->oks++;
    else if (strcmp(shmq_err_name(rc), "UNKNOWN") == 0 ||
        rc == SHMQ_ERR_FORKED || rc == SHMQ_ERR_NOMEM)
        T_FAIL("a result that is not documented");
    if (rc == SHMQ_ERR_CORRUPT)
        s->seat->corrupts++;
    s->over |=
        rc == SHMQ_ERR_CORRUPT || rc == SHMQ_ERR_CLOSED || rc == SHMQ_ERR_STALE;
    return rc;
}
#define DO(call) (begin(s, #call), done(s, (call)))

static void look_at(const struct shmq_message *msg)
{
    struct shmq_attr a;
    const volatile uint8_t *data = msg->data, *attrs = msg->attrs;
    for (uint64_t i = 0; i < msg->size; i++)
        sink += data[i];
    for (uint32_t i = 0; i < msg->attr_bytes; i++)
        sink += attrs[i];
    for (uint32_t i = 0; i < 8 && shmq_message_attr(msg, 0, i, &a) == 0; i++)
        for (uint32_t k = 0; k < a.value_bytes; k++)
            sink += ((const volatile uint8_t *)a.value)[k];
}

static void look_at_held(struct self *s)
{
    begin(s, "looking at what is held");
    for (uint32_t i = 0; i < s->held_cnt; i++)
        look_at(&s->held[i]);
    s->seat->since_ns = 0;
}

static int handler(void *ctx, const struct shmq_message *msg)
{
    struct self *s = ctx;
    look_at(msg);
    return (int)dice(s, 3);
}

static void take_one(struct self *s, uint64_t wait_ns)
{
    if (s->held_cnt == 4)
        return;
    struct shmq_message *msg = &s->held[s->held_cnt];
    int rc = wait_ns
        ? DO(shmq_consumer_receive_wait(s->c, shmq_deadline(wait_ns), msg))
        : DO(shmq_consumer_receive(s->c, msg));
    if (rc == SHMQ_OK)
        s->held_cnt++;
}

static void give_one(struct self *s)
{
    if (s->held_cnt == 0)
        return;
    struct shmq_message *msg = &s->held[--s->held_cnt];
    look_at(msg);
    if (s->role == ROLE_COPIER && dice(s, 4) == 0)
        (void)DO(shmq_consumer_nack(s->c, msg));
    else
        (void)DO(shmq_consumer_release(s->c, msg));
}

static void publish(struct self *s)
{
    struct shmq_attr key = {SHMQ_ATTR_KEY, 3, "key", NULL};
    struct shmq_record rec[4];
    uint64_t size = dice(s, 8) ? dice(s, 200) : dice(s, 3000);
    memset(rec, 0, sizeof rec);
    for (uint32_t i = 0; i < 4; i++) {
        rec[i].data = payload;
        rec[i].size = size / 4;
        rec[i].attrs = &key;
        rec[i].attr_cnt = i & 1;
    }
    if (dice(s, 8) == 0)
        (void)DO(shmq_producer_publish_batch(s->p, rec, 4, NULL));
    else if (dice(s, 16) == 0)
        (void)DO(shmq_producer_publish_wait(
            s->p, payload, size, shmq_deadline(T_MS), NULL));
    else
        (void)DO(shmq_producer_publish(s->p, payload, size, NULL));
}

static void lend(struct self *s)
{
    if (!s->lent) {
        s->lent = DO(shmq_producer_loan(
                      s->p, 1 + dice(s, 3000), NULL, 0, &s->loan)) == SHMQ_OK;
        return;
    }
    begin(s, "writing to a loan");
    for (int i = 0; i < 20; i++)
        memset(s->loan.data, i, s->loan.size);
    s->seat->since_ns = 0;
    if (dice(s, 4) == 0)
        s->lent = DO(shmq_producer_commit(
                      s->p, &s->loan, s->loan.size, NULL)) != SHMQ_OK;
}

static int no_topic(void *ctx, const char *name)
{
    (void)ctx;
    sink += (uint64_t)name[0];
    return 0;
}

static void look(struct self *s)
{
    static struct shmq_group_stat groups[64];
    static struct shmq_endpoint_stat ends[128];
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};
    uint32_t cnt;
    (void)DO(shmq_topic_stat(s->topic, &st));
    (void)DO(shmq_topic_groups(s->topic, groups, 64, &cnt));
    (void)DO(shmq_topic_endpoints(s->topic, ends, 128, &cnt));
    (void)DO(shmq_topic_list(t_ns, no_topic, NULL));
    (void)DO(shmq_topic_check(s->topic));
    if (board->durable) {
        struct shmq_watermarks w = {.struct_bytes = sizeof w};
        uint64_t position = dice(s, 1u << 20);
        (void)DO(shmq_topic_watermarks(s->topic, &w));
        (void)DO(shmq_topic_level_wait(s->topic, position, SHMQ_LEVEL_DURABLE,
            shmq_deadline(dice(s, T_MS))));
    }
}

static void come_and_go(struct self *s)
{
    struct shmq_start start = {(uint32_t)dice(s, 5), 0, dice(s, 1u << 24)};
    struct shmq_consumer_options o = t_options("shared", 0);
    struct shmq_consumer *c = NULL;
    struct shmq_producer *p = NULL;
    const char *name = dice(s, 2) ? "extra" : "shared";
    switch (dice(s, 6)) {
    case 0:
        if (DO(shmq_producer_open(s->topic, NULL, &p)) == SHMQ_OK)
            shmq_producer_close(p);
        break;
    case 1:
        (void)DO(shmq_group_create(s->topic, "extra", NULL, &start));
        break;
    case 2:
        (void)DO(shmq_group_remove(s->topic, "extra", SHMQ_GROUP_FORCE));
        break;
    case 3:
        (void)DO(shmq_group_reset(s->topic, name, &start, SHMQ_GROUP_FORCE));
        break;
    case 4:
        (void)DO(shmq_group_evict(s->topic, (uint32_t)dice(s, 20), 0));
        break;
    default:
        if (dice(s, 2))
            o.group = NULL;
        o.start = start;
        if (DO(shmq_consumer_open(s->topic, &o, &c)) == SHMQ_OK) {
            (void)DO(shmq_consumer_poll(c, handler, s, 8));
            (void)DO(shmq_consumer_seek(c, &start));
            shmq_consumer_close(c);
        }
        break;
    }
    s->over |= dice(s, 8) == 0;
}

/* The command runs in a process of its own and must not die of a signal. */
static void command(struct self *s)
{
    static const char *const words[] = {"stat", "groups", "ls"};
    char path[512];
    const char *word = words[dice(s, 3)];
    const char *bin = getenv("SHMQ_BIN_DIR");
    if (bin == NULL) {
        t_pause();
        return;
    }
    (void)snprintf(path, sizeof path, "%s/shmq", bin);
    begin(s, "the shmq command");
    pid_t pid = fork();
    if (pid == 0) {
        FILE *null = freopen("/dev/null", "w", stdout);
        FILE *too = freopen("/dev/null", "w", stderr);
        (void)null;
        (void)too;
        (void)alarm(20);
        (void)execl(path, "shmq", "--namespace", t_ns, word,
            *word == 'l' ? NULL : "victim", NULL);
        _exit(126);
    }
    int status = 0;
    T_TRUE(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 126 ||
        WEXITSTATUS(status) >= 128)
        T_FAIL("the shmq command died");
    s->seat->since_ns = 0;
    s->seat->calls++;
    s->seat->oks += WEXITSTATUS(status) == 0;
    s->seat->corrupts += WEXITSTATUS(status) == 8;
}

static void work(struct self *s)
{
    struct pollfd fd = {.fd = s->fd, .events = POLLIN};
    switch (s->role) {
    case ROLE_PRODUCER:
        publish(s);
        break;
    case ROLE_LENDER:
        lend(s);
        break;
    case ROLE_SPINNER:
        take_one(s, T_MS);
        give_one(s);
        break;
    case ROLE_SLEEPER:
        take_one(s, 50 * T_MS);
        give_one(s);
        break;
    case ROLE_POLLER:
        for (int i = 0; i < 64 && !s->over; i++)
            if (DO(shmq_consumer_poll(s->c, handler, s, 16)) <= 0)
                break;
        (void)poll(&fd, 1, 10);
        break;
    case ROLE_LOOKER:
        look(s);
        break;
    case ROLE_COMER:
        come_and_go(s);
        break;
    case ROLE_COMMAND:
        command(s);
        break;
    case ROLE_DRAINER:
        if (s->drainer)
            (void)DO(drainer_turn(s->drainer));
        else
            t_pause();
        break;
    default:
        take_one(s, dice(s, 8) ? 0 : T_MS);
        look_at_held(s);
        if (dice(s, 2))
            give_one(s);
        if (dice(s, 16) == 0)
            (void)DO(shmq_consumer_poll(s->c, handler, s, 16));
        break;
    }
}

static void close_all(struct self *s)
{
    s->seat->opened = 0;
    begin(s, "closing");
    shmq_consumer_close(s->c);
    shmq_producer_close(s->p);
    drainer_close(s->drainer);
    shmq_topic_close(s->topic);
    s->seat->since_ns = 0;
    s->drainer = NULL;
    s->c = NULL;
    s->p = NULL;
    s->topic = NULL;
    s->held_cnt = 0;
    s->lent = s->over = false;
    s->fd = -1;
}

static int open_consumer(struct self *s)
{
    struct shmq_consumer_options o = t_options(NULL, 0);
    o.prefetch_frames = 8;
    if (s->role == ROLE_VIEWER)
        o = t_options("views", SHMQ_GROUP_EXCLUSIVE);
    else if (s->role == ROLE_MEMBER || s->role == ROLE_COPIER)
        o = t_options("shared", 0);
    if (s->role == ROLE_COPIER)
        o.flags = SHMQ_CONSUMER_COPY;
    o.spin_ns = s->role == ROLE_SPINNER ? SHMQ_FOREVER : 1;
    return DO(shmq_consumer_open(s->topic, &o, &s->c));
}

static bool open_all(struct self *s)
{
    if (s->role == ROLE_COMMAND)
        return true;
    if (s->role == ROLE_DRAINER)
        return !board->durable || DO(drainer_open(&s->drainer)) == SHMQ_OK;
    int rc = DO(shmq_topic_open(t_ns, "victim", &s->topic));
    if (rc == SHMQ_OK && s->role <= ROLE_LENDER)
        rc = DO(shmq_producer_open(s->topic, NULL, &s->p));
    else if (rc == SHMQ_OK && s->role <= ROLE_POLLER)
        rc = open_consumer(s);
    if (rc == SHMQ_OK && s->role == ROLE_POLLER)
        rc = DO(shmq_consumer_fd(s->c, &s->fd));
    s->over = rc != SHMQ_OK;
    if (rc != SHMQ_OK)
        return false;
    s->seat->opens++;
    s->seat->opened = s->round;
    return true;
}

/* Nobody attacks this one: all must be as ever, and as fast. */
static void use_calm(struct self *s)
{
    struct shmq_message msg;
    uint64_t from = t_now_ns();
    (void)t_publish(s->calm_in, ++s->calm_tag, 40);
    T_OK(shmq_consumer_receive(s->calm_out, &msg));
    T_CARRIES(&msg, s->calm_tag, 40);
    T_OK(shmq_consumer_release(s->calm_out, &msg));
    uint64_t ns = t_now_ns() - from;
    s->seat->calm_cnt++;
    s->seat->calm_ns += ns;
    if (ns > s->seat->calm_max_ns)
        s->seat->calm_max_ns = ns;
}

static void open_calm(struct self *s)
{
    char name[32];
    struct shmq_topic_attrs attrs =
        s->role & 1 ? t_mpmc(64, 16384) : t_spsc(16384);
    (void)snprintf(name, sizeof name, "calm.%s", role_names[s->role]);
    struct shmq_topic *topic = t_topic(name, &attrs);
    s->calm_in = t_producer(topic);
    s->calm_out = t_exclusive(topic, "calm");
    shmq_topic_close(topic);
}

/* The referee asks where a call is that does not end. */
static void where(int sig)
{
    void *stack[64];
    (void)sig;
    backtrace_symbols_fd(stack, backtrace(stack, 64), STDERR_FILENO);
    _exit(3);
}

int victim(void *ctx)
{
    struct self self, *s = &self;
    memset(s, 0, sizeof *s);
    s->role = *(enum role *)ctx;
    s->seat = &board->seats[s->role];
    s->chance = s->role + t_seed() * 1000;
    s->fd = -1;
    (void)signal(SIGQUIT, where);
    t_fill(payload, sizeof payload, s->role);
    open_calm(s);
    s->over = true;
    while (!board->stop) {
        use_calm(s);
        if (s->over || s->round != board->round) {
            close_all(s);
            s->round = board->round;
            if (!open_all(s)) {
                t_pause();
                continue;
            }
        }
        for (int i = 0; i < 32 && !s->over; i++)
            work(s);
        if (s->role != ROLE_SPINNER)
            t_sleep_ns(20000); /* two cores for all */
    }
    close_all(s);
    shmq_consumer_close(s->calm_out);
    shmq_producer_close(s->calm_in);
    return 0;
}
