/* scribble_game.c - one game: a topic with all kinds of users in this process,
 * whose words change under their hands.
 *
 * What must hold whatever is written: each call ends after a bounded number of
 * accesses, with success or a documented error; what is handed out lies within
 * the data file (a view) or in private memory, as long as it says; loans lie
 * within the data file; a second topic of the same process works as ever. When
 * only the control file was written, every record received is one that was
 * published, byte for byte. One topic in four is durable (scribble_durable.c).
 */
#include "game.h"

#define OPS 400

/* -- the topic beside --------------------------------------------------------
 */

static void open_calm(struct game *g)
{
    struct shmq_topic_attrs attrs = g->spsc ? t_mpmc(16, 8192) : t_spsc(8192);
    g->calm = t_topic("calm", &attrs);
    g->calm_in = t_producer(g->calm);
    g->calm_out = t_exclusive(g->calm, "calm");
}

static void use_calm(struct game *g)
{
    struct shmq_message msg;
    scribble_call_begin("the calm topic");
    (void)t_publish(g->calm_in, ++g->calm_tag, 24);
    T_OK(shmq_consumer_receive(g->calm_out, &msg));
    T_CARRIES(&msg, g->calm_tag, 24);
    T_OK(shmq_consumer_release(g->calm_out, &msg));
    scribble_call_end();
}
/* -- a game ------------------------------------------------------------------
 */

static void choose_topic(struct game *g)
{
    static const uint32_t full[] = {
        SHMQ_ON_FULL_BLOCK, SHMQ_ON_FULL_DROP_NEW, SHMQ_ON_FULL_DROP_OLD};
    uint64_t arena = 4096ull << dice(g, 4);
    if (g->spsc)
        g->attrs = t_spsc(arena);
    else
        g->attrs = t_mpmc(2ull << dice(g, 8), arena);
    g->attrs.on_full = full[dice(g, g->spsc ? 2 : 3)];
    g->attrs.max_producers = g->spsc ? 1 : 1 + (uint32_t)dice(g, 4);
    g->attrs.max_groups = 1 + (uint32_t)dice(g, 4);
    g->attrs.max_members = 4 + (uint32_t)dice(g, 8);
    if (g->control_only) {
        g->attrs.mode = 0666;
        g->attrs.data_mode = 0644;
    }
}

static uint64_t rate(struct game *g)
{
    return dice(g, 3) == 0 ? 0 : 1ull << (1 + dice(g, 13));
}

static struct scribble_plan choose_plan(struct game *g)
{
    struct scribble_plan p;
    memset(&p, 0, sizeof p);
    p.control = true;
    p.data = !g->control_only;
    p.marks = g->shmqd && p.data && dice(g, 2);
    do {
        p.aimed = rate(g);
        p.stray = rate(g);
        p.again = dice(g, 2) ? 0 : 1ull << dice(g, 4);
    } while (p.aimed + p.stray + p.again == 0);
    return p;
}

static int remove_topic(void *ctx, const char *topic)
{
    (void)ctx;
    (void)shmq_topic_unlink(t_ns, topic, SHMQ_UNLINK_FORCE);
    return 0;
}

static void end(struct game *g)
{
    for (uint32_t i = 0; i < CONSUMERS; i++)
        scribble_close_consumer(&g->user[i]);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        CALL((shmq_producer_close(g->producer[i]), 0));
    CALL((shmq_topic_close(g->topic), 0));
    if (g->shmqd)
        scribble_end_durable(g);
}

void scribble_game(uint64_t seed)
{
    static struct game games; /* large */
    struct game *g = &games;
    memset(g, 0, sizeof *g);
    scribble_world(seed);
    g->dice = seed;
    g->control_only = dice(g, 4) == 0;
    g->spsc = dice(g, 3) == 0;
    choose_topic(g);
    g->payload = malloc(g->attrs.arena_bytes + 4096);
    T_TRUE(g->payload != NULL);
    if (seed % 4 == 3) {
        scribble_make_durable(g, "victim");
        g->topic = t_open("victim");
    } else {
        g->topic = t_topic("victim", &g->attrs);
    }
    g->segment = g->topic->segment;
    open_calm(g);
    scribble_aim(g->segment->data_map.at, g->segment->data_map.bytes,
        g->segment->control_map.at, g->segment->control_map.bytes);
    if (g->shmqd)
        scribble_aim_durable(g);
    uint64_t peace = dice(g, 60);
    struct scribble_plan plan = choose_plan(g);
    for (uint64_t i = 0; i < OPS; i++) {
        if (i == peace)
            scribble_start(&plan, seed);
        if (i % 16 == 0)
            use_calm(g);
        if (g->shmqd && i % 4 == 0)
            scribble_drain(g);
        if (g->shmqd && i % 8 == 0)
            scribble_wait(g);
        uint64_t what = dice(g, 32);
        if (what < 13)
            scribble_use_producer(g);
        else if (what < 28)
            scribble_use_consumer(g);
        else if (what < 30)
            scribble_look(g);
        else
            scribble_manage(g);
    }
    if (dice(g, 2))
        scribble_stop();
    end(g);
    scribble_stop();
    use_calm(g);
    shmq_consumer_close(g->calm_out);
    shmq_producer_close(g->calm_in);
    shmq_topic_close(g->calm);
    free(g->payload);
    T_OK(shmq_topic_list(t_ns, remove_topic, NULL));
}
