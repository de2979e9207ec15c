/* demo_main.c - options, set-up and the order of things; see demo.h. */
#include "demo.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define AUTO_LINES UINT64_C(1500000)
#define LINES_MIN UINT64_C(5000)
#define LINES_MAX UINT64_C(1000000000)
#define PACED_LINES UINT64_C(1500)
#define ROOM_BYTES (UINT64_C(32) << 20)
#define LINE_MAX_BYTES (UINT64_C(64) << 20)

static const char help[] =
    "usage: shmq-demo [--stop] [options] [FILE...]\n"
    "Publishes the lines of the files (by default real text found on this\n"
    "machine) from several processes; an exclusive group and a shared group\n"
    "read them, while one producer and one member are killed with SIGKILL.\n"
    "Then accounts for every line.\n"
    "\n"
    "  --stop         stop them for ever with SIGSTOP instead, and show how\n"
    "                 a stopped reader of a full topic is found and evicted\n"
    "  --rounds N     publish all lines N times (default: as often as makes\n"
    "                 1,500,000 lines)\n"
    "  --producers N  producer processes, 2 to 16 (3)\n"
    "  --workers N    members of the shared group, 2 to 16 (3)\n"
    "  --batch N      lines in one publish, 1 to 256 (16)\n"
    "  --json         the report as one JSON object; progress on stderr\n"
    "  --quiet        no progress\n"
    "  --help\n"
    "\n"
    "Exit status: 0 nothing lost, torn, doubled or out of order; 1 otherwise;\n"
    "2 usage; 4 no such file; 128+N ended by signal N. Leaves nothing "
    "behind.\n";

static int number(const char *text, uint32_t low, uint32_t high, uint32_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' ||
        value < low || value > high) {
        fprintf(stderr, "shmq-demo: %s: not a number from %u to %u\n", text,
            low, high);
        return -1;
    }
    *ret = (uint32_t)value;
    return 0;
}

/* Returns -1 to go on, else the exit status. */
static int parse(struct demo_options *o, int argc, char **argv)
{
    static const struct option names[] = {{"stop", no_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'r'},
        {"producers", required_argument, NULL, 'p'},
        {"workers", required_argument, NULL, 'w'},
        {"batch", required_argument, NULL, 'b'},
        {"json", no_argument, NULL, 'j'}, {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int rc = 0;
    for (int c;
         rc == 0 && (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        switch (c) {
        case 's':
            o->stop = true;
            break;
        case 'j':
            o->json = true;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'r':
            rc = number(optarg, 1, 1000000, &o->rounds);
            break;
        case 'p':
            rc = number(optarg, 2, DEMO_PRODUCER_MAX, &o->producers);
            break;
        case 'w':
            rc = number(optarg, 2, DEMO_MEMBER_MAX - 1, &o->workers);
            break;
        case 'b':
            rc = number(optarg, 1, DEMO_BATCH_MAX, &o->batch);
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            rc = -1;
        }
    }
    if (rc == 0)
        return -1;
    fputs("shmq-demo: see shmq-demo --help\n", stderr);
    return 2;
}

static int read_input(struct demo_run *run, int argc, char **argv)
{
    run->input.room_bytes = ROOM_BYTES;
    if (optind == argc)
        demo_input_find(&run->input);
    for (int i = optind; i < argc; i++)
        if (demo_input_add(&run->input, argv[i]) != 0) {
            fprintf(stderr, "shmq-demo: %s: %s\n", argv[i], strerror(errno));
            return errno == ENOENT ? 4 : 1;
        }
    if (run->input.line_cnt == 0) {
        fputs("shmq-demo: no lines to publish; name some files\n", stderr);
        return 2;
    }
    if (run->input.longest > LINE_MAX_BYTES) {
        fputs("shmq-demo: a line is longer than 64 MiB\n", stderr);
        return 2;
    }
    return 0;
}

/* Shares the lines out and numbers them. */
static int plan(struct demo_run *run)
{
    uint64_t cnt = run->input.line_cnt;
    uint32_t producers = run->options.producers;
    uint64_t rounds = run->options.rounds;
    if (rounds == 0)
        rounds = AUTO_LINES / cnt + 1;
    if (rounds * cnt < LINES_MIN) /* fewer cannot be hit in the middle */
        rounds = LINES_MIN / cnt + 1;
    if (rounds * cnt > LINES_MAX) {
        fputs("shmq-demo: too many lines; fewer rounds, please\n", stderr);
        return 2;
    }
    run->rounds = (uint32_t)rounds;
    for (uint32_t i = 0; i <= producers; i++) {
        struct demo_stream *s = &run->streams[i];
        s->first = i < producers && cnt >= producers ? cnt * i / producers : 0;
        s->share = i < producers && cnt >= producers
            ? cnt * (i + 1) / producers - s->first
            : cnt;
        s->line_cnt = i < producers ? s->share * rounds : PACED_LINES;
        s->mark_base = run->mark_cnt;
        run->mark_cnt += s->line_cnt;
        run->line_cnt += i < producers ? s->line_cnt : 0;
    }
    return 0;
}

/* Before anything is published: what no group waits for may be overwritten. */
static int make_groups(struct demo_run *run)
{
    struct shmq_group_attrs archive = {
        .struct_bytes = sizeof(archive), .kind = SHMQ_GROUP_EXCLUSIVE};
    struct shmq_group_attrs workers = {.struct_bytes = sizeof(workers),
        .kind = SHMQ_GROUP_SHARED,
        .lease_ns = run->options.stop ? DEMO_LEASE_NS : 0};
    int rc = shmq_group_create(run->topic, "archive", &archive, NULL);
    if (rc == 0)
        rc = shmq_group_create(run->topic, "workers", &workers, NULL);
    return rc;
}

static int make_topic(struct demo_run *run)
{
    uint64_t room = run->input.longest + sizeof(struct demo_stamp) + 128;
    uint64_t random = 0;
    struct shmq_topic_attrs attrs = {.struct_bytes = sizeof(attrs)};
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return SHMQ_ERR_SYS;
    snprintf(run->ns, sizeof(run->ns), "demo-%d-%012llx", (int)getpid(),
        (unsigned long long)random >> 16);
    if (room > 65536) {
        attrs.max_message_bytes = room;
        for (attrs.arena_bytes = 262144; attrs.arena_bytes < 4 * room;)
            attrs.arena_bytes *= 2;
    }
    int rc = shmq_topic_create(run->ns, "lines", &attrs);
    if (rc == 0)
        rc = shmq_topic_open(run->ns, "lines", &run->topic);
    return rc != 0 ? rc : make_groups(run);
}

static bool paced_done(struct demo_run *run)
{
    return run->producer_pids[run->options.producers] == 0;
}

static bool members_done(struct demo_run *run)
{
    for (uint32_t i = 0; i <= run->options.workers; i++)
        if (run->member_pids[i] != 0)
            return false;
    return true;
}

static int perform(struct demo_run *run)
{
    for (uint32_t i = 0; i <= run->options.workers; i++)
        if (demo_spawn_member(run, i) < 0)
            return -1;
    for (uint32_t i = 0; i < run->options.producers; i++)
        if (demo_spawn_producer(run, i, false) < 0)
            return -1;
    if (demo_hit_producer(run) != 0 || demo_hit_member(run) != 0 ||
        demo_wait(run, demo_producers_done) != 0)
        return -1;
    if (run->options.stop &&
        (demo_bury_producer(run) != 0 ||
            demo_wait(run, demo_producers_done) != 0))
        return -1;
    demo_say(run, "all lines are published; now 1,000 lines a second\n");
    if (demo_spawn_producer(run, run->options.producers, false) < 0 ||
        demo_wait(run, paced_done) != 0)
        return -1;
    atomic_store(&run->board->finish, 1);
    if (demo_wait(run, members_done) != 0)
        return -1;
    return run->options.stop ? demo_block(run) : 0;
}

static int finish(struct demo_run *run)
{
    int number = demo_interrupted();
    demo_account_all(run);
    demo_clean_up(run);
    run->account.ok = run->account.ok && run->account.left_behind == 0;
    if (number == 0 && run->options.json)
        demo_json(run);
    else if (number == 0)
        demo_report(run);
    if (number != 0)
        fprintf(stderr, "shmq-demo: ended by signal %d\n", number);
    else if (run->board->complaint[0] != '\0')
        fprintf(stderr, "shmq-demo: %s\n", run->board->complaint);
    bool ok = run->account.ok;
    demo_board_close(run);
    demo_input_free(&run->input);
    if (fflush(stdout) != 0)
        return 1;
    return number != 0 ? 128 + number : ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct demo_run run = {
        .options = {.producers = 3, .workers = 3, .batch = 16}};
    int status = parse(&run.options, argc, argv);
    if (status < 0)
        status = read_input(&run, argc, argv);
    else
        return status;
    if (status == 0)
        status = plan(&run);
    if (status != 0)
        return status;
    if (demo_board_open(&run) != 0 || demo_catch_signals() != 0) {
        perror("shmq-demo");
        return 1;
    }
    run.start_ns = demo_now_ns();
    if (make_topic(&run) != 0) {
        fprintf(stderr, "shmq-demo: %s\n", shmq_error_text());
        demo_clean_up(&run);
        return 1;
    }
    if (perform(&run) != 0 && demo_interrupted() == 0 &&
        run.board->complaint[0] == '\0')
        snprintf(run.board->complaint, sizeof(run.board->complaint),
            "a step failed: %s", strerror(errno));
    return finish(&run);
}
