/* adversary_peer.c - the hostile process: everything that file modes allow. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adversary.h"
#include "support/support.h"

#define HEADS 65536u /* bytes of a file in which most words stand */

struct target {
    int fd;
    uint8_t *at;
    size_t bytes;
};

static uint64_t chance;

static uint64_t dice(uint64_t sides)
{
    return t_below(&chance, sides);
}

static void let_go(struct target *t)
{
    if (t->at)
        (void)munmap(t->at, t->bytes);
    if (t->fd >= 0)
        (void)close(t->fd);
    t->at = NULL;
    t->fd = -1;
}

static bool take(struct target *t, char kind)
{
    struct stat st;
    t->at = NULL;
    t->fd = open(
        t_path(kind, board->decoy ? "decoy" : "victim"), O_RDWR | O_CLOEXEC);
    if (t->fd < 0 || fstat(t->fd, &st) != 0 || st.st_size < 4096) {
        let_go(t);
        return false;
    }
    t->bytes = (size_t)st.st_size;
    void *at =
        mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
    t->at = at == MAP_FAILED ? NULL : at;
    return t->at != NULL;
}

static volatile uint64_t *word_of(const struct target *t)
{
    size_t words = t->bytes / 8, low = words < HEADS / 8 ? words : HEADS / 8;
    return (volatile uint64_t *)(void *)t->at + dice(dice(4) ? low : words);
}

static uint64_t evil(const struct target *t, uint64_t was)
{
    static uint64_t old[64];
    uint64_t r = t_random(&chance), replayed = old[r % 64];
    old[r >> 8 & 63] = was;
    switch (dice(12)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return INT64_MAX;
    case 3:
        return was + 1;
    case 4:
        return was - 1;
    case 5:
        return r;
    case 6:
        return replayed;
    case 7:
        return (uint64_t)(uintptr_t)word_of(t);
    case 8:
        return *word_of(t);
    case 9:
        return was ^ 1ull << (r & 63);
    case 10:
        return (was & 0xffffffff) | r << 32;
    default:
        return r % 4096;
    }
}

/* Beyond the end of a file that was cut meanwhile nothing is written. */
static void scribble(const struct target *t, uint64_t cnt)
{
    struct stat st;
    uint64_t done = 0;
    if (fstat(t->fd, &st) != 0 || st.st_size != (off_t)t->bytes)
        return;
    for (; done < cnt; done++) {
        volatile uint64_t *w = word_of(t);
        *w = evil(t, *w);
    }
    board->scribbles += done;
}

/* The same few words again and again, while others are at them. */
static void hammer(const struct target *t, uint64_t cnt)
{
    struct stat st;
    if (fstat(t->fd, &st) != 0 || st.st_size != (off_t)t->bytes)
        return;
    volatile uint64_t *w[4];
    uint64_t was[4];
    for (int i = 0; i < 4; i++) {
        w[i] = word_of(t);
        was[i] = *w[i];
    }
    for (uint64_t i = 0; i < cnt; i++) {
        *w[i & 3] = evil(t, was[i & 3]);
        *w[i & 3] = was[i & 3]; /* and back: only some saw it */
    }
    board->scribbles += 2 * cnt;
}

static void lock_bytes(const struct target *c)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    l.l_start = (off_t)(t_random(&chance) >> 2);
    l.l_len = dice(2) ? 0 : 1 + (off_t)dice(1u << 20);
    if (dice(3) == 0)
        l.l_start = l.l_len = 0; /* everything */
    (void)fcntl(c->fd, F_SETLK, &l);
    (void)flock(c->fd, LOCK_EX | LOCK_NB);
    board->locks++;
    t_sleep_ns(dice(5) * T_MS);
    l.l_type = F_UNLCK;
    (void)fcntl(c->fd, F_SETLK, &l);
    (void)flock(c->fd, LOCK_UN);
}

static void flood(const struct target *c)
{
    if (c->bytes < 4096 + 256 * 63 + 148)
        return; /* cut: what lies behind it is not the topic's */
    for (uint64_t i = 0; i < 2000; i++) {
        uint8_t *wake = c->at + 4096 + 256 * dice(64) + 144;
        (*(_Atomic uint32_t *)(void *)wake)++;
        (void)syscall(SYS_futex, wake, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
    }
    board->floods += 2000;
}

static void rename_about(void)
{
    char from[512], to[512];
    char kind = "dcm"[dice(board->durable ? 3 : 2)];
    (void)snprintf(from, sizeof from, "%s", t_path(kind, "victim"));
    (void)snprintf(to, sizeof to, "%s", t_path(kind, "elsewhere"));
    board->renames++;
    switch (dice(3)) {
    case 0: /* away and back */
        (void)rename(from, to);
        t_sleep_ns(dice(5) * T_MS);
        (void)rename(to, from);
        break;
    case 1: /* replaced by rubbish */
        (void)unlink(from);
        {
            int fd = open(from, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            uint64_t rubbish[512];
            for (size_t i = 0; i < 512; i++)
                rubbish[i] = t_random(&chance);
            ssize_t n = write(fd, rubbish, sizeof rubbish);
            (void)n;
            (void)close(fd);
        }
        break;
    default:
        (void)unlink(from);
        break;
    }
}

static void cut(const struct target *t)
{
    off_t to = dice(3) == 0 ? 0 : (off_t)dice(t->bytes);
    if (ftruncate(t->fd, to) != 0)
        return;
    board->truncations++;
    t_sleep_ns(dice(20) * T_MS);
    if (dice(2) && ftruncate(t->fd, (off_t)t->bytes) != 0)
        return; /* else long again, empty */
}

static void punch(const struct target *t)
{
    (void)fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
        (off_t)dice(t->bytes), 1 + (off_t)dice(t->bytes));
}

/* `m`: the watermarks of a durable topic, as if its shmqd had gone mad. */
static void strike(
    const struct target *d, const struct target *c, const struct target *m)
{
    const struct target *t = dice(2) ? d : c;
    if (m->at && dice(3) == 0)
        t = m;
    uint64_t what = dice(1000);
    if (board->decoy && what >= 880 && what < 894)
        return; /* its files stay */
    if (what < 550)
        scribble(t, 1ull << dice(14));
    else if (what < 800)
        hammer(t, 1ull << dice(14));
    else if (what < 850)
        lock_bytes(c);
    else if (what < 880)
        flood(c);
    else if (what < 884)
        rename_about();
    else if (what < 888)
        cut(t);
    else if (what < 892)
        punch(t);
    else if (what < 894) {
        board->deaths++;
        (void)kill(getpid(), SIGKILL);
    } else
        t_sleep_ns(dice(2000000));
}

int peer(void *ctx)
{
    chance = *(uint64_t *)ctx;
    while (!board->stop) {
        struct target d = {-1, NULL, 0}, c = d, m = d;
        uint32_t round = board->round;
        if (board->attack && take(&d, 'd') && take(&c, 'c') &&
            (!board->durable || board->decoy || take(&m, 'm')))
            while (!board->stop && board->attack && board->round == round)
                strike(&d, &c, &m);
        else
            t_pause();
        let_go(&d);
        let_go(&c);
        let_go(&m);
    }
    return 0;
}
